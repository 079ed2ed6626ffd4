//! Text for people. What objects say of themselves is outside input.

/// Without what a terminal or a browser would obey: control characters, and those that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `1 object`, `2 objects`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{count} {}", plural(count, one))
}

/// The word for so many: `object`, `objects`.
pub(crate) fn plural(count: u64, one: &str) -> String {
    format!("{one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_obeyed_is_left() {
        assert_eq!(printable("a\u{1b}[31mé\n"), "a\\u{1b}[31mé\\n");
        assert_eq!(
            printable("\u{9b}\u{202e}\u{2066}\u{200f}"),
            "\\u{9b}\\u{202e}\\u{2066}\\u{200f}"
        );
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "object")),
            ["0 objects", "1 object", "2 objects"]
        );
    }
}
