//! Text for people. Names and values from objects are outside input.

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

/// A number of bytes in the largest binary unit that has at least one of it: `512 bytes`, `1.5 GiB`.
pub(crate) fn in_units(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return counted(bytes, "byte");
    }
    let mut unit = 0;
    let mut rest = bytes;
    while rest >= 1024 * 1024 {
        rest /= 1024;
        unit += 1;
    }
    // Tenths, cut off: 1023.99 KiB is not 1024.0 KiB.
    format!("{}.{} {}", rest / 1024, rest % 1024 * 10 / 1024, UNITS[unit])
}

/// The text in at most `limit` characters, its middle left out: an ARN or a fingerprint is known by both its ends.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit || limit == 0 {
        return text.to_owned();
    }
    let kept = limit - 1;
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(length - kept / 2).collect();
    format!("{head}…{tail}")
}

/// The text in lines of at most `limit` characters, broken at spaces. A longer word, such as an ARN, stays whole. So
/// does a command in backticks: a shell into which it is pasted would run each of its lines.
pub(crate) fn wrapped(text: &str, limit: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let in_pairs = text.matches('`').count().is_multiple_of(2);
    let mut in_command = false;
    let words = text.split(|c| {
        in_command ^= in_pairs && c == '`';
        c == ' ' && !in_command
    });
    for word in words {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() || line.chars().count() + 1 + word.chars().count() <= limit {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
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
    fn bytes_are_told_in_binary_units() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (5 * 1024 * 1024 * 1024, "5.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(in_units(bytes), text);
        }
    }

    #[test]
    fn the_middle_of_a_long_text_gives_way() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("äöüäöüäöü", 4), "äö…ü");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("arn:aws:kms and", 5), ["arn:aws:kms", "and"]);
        assert_eq!(wrapped("a  b", 80), ["a  b"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("run `a b c`, then", 5), ["run", "`a b c`,", "then"]);
        assert_eq!(wrapped("it`s one two", 5), ["it`s", "one", "two"]);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "object")),
            ["0 objects", "1 object", "2 objects"]
        );
    }
}
