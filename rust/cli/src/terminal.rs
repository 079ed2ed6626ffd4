//! Terminals: how wide they are, and colours that have a meaning.
//!
//! Only a terminal gets colours and a width; a pipe or a file gets whole lines without either. `NO_COLOR` and
//! `CLICOLOR` are obeyed (<https://no-color.org>, by the crate `console`).

use std::fmt::Write as _;

use console::{Style, Term};

use crate::text::{shortened, wrapped};

/// The meaning of a colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth knowing.
    Plain,
    /// Should be changed.
    Doubtful,
    /// Does not work, or is not safe.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Good => Style::new().green(),
            Tone::Plain => Style::new(),
            Tone::Doubtful => Style::new().yellow().bold(),
            Tone::Bad => Style::new().red().bold(),
        }
    }

    /// The text in this tone, for standard output.
    pub(crate) fn on_stdout(self, text: &str) -> String {
        self.style().for_stdout().apply_to(text).to_string()
    }

    /// The text in this tone, for standard error.
    pub(crate) fn on_stderr(self, text: &str) -> String {
        self.style().for_stderr().apply_to(text).to_string()
    }
}

/// The columns of standard output; `None`: it is not a terminal, and lines have no limit.
pub(crate) fn width() -> Option<usize> {
    let term = Term::stdout();
    term.is_term()
        .then(|| usize::from(term.size_checked().map_or(80, |(_, columns)| columns)))
}

/// Text after a label, wrapped to the width of the terminal and indented as far as the label reaches. `text` is
/// printable.
pub(crate) fn hanging(label: &str, label_width: usize, text: &str) -> String {
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(label_width).max(20));
    let mut out = String::new();
    for (number, line) in wrapped(text, room).iter().enumerate() {
        let pad = if number == 0 {
            label_width.saturating_sub(console::measure_text_width(label))
        } else {
            label_width
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}{:pad$}{line}", if number == 0 { label } else { "" }, "");
    }
    out
}

/// A table whose first row is its head. Where it is wider than the terminal, the longest cells are shortened in their
/// middle, unless `whole`. Cells are printable.
pub(crate) fn table(rows: &[Vec<String>], whole: bool) -> String {
    let limit = width().filter(|_| !whole).unwrap_or(usize::MAX);
    fitted(rows, limit)
}

const BETWEEN: usize = 2;
/// No column is made narrower, in characters.
const NARROWEST: usize = 8;

fn fitted(rows: &[Vec<String>], limit: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + BETWEEN * columns.saturating_sub(1);
    while total(&widths) > limit {
        match widths.iter_mut().filter(|width| **width > NARROWEST).max() {
            Some(widest) => *widest -= 1,
            None => break,
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{:<width$}", shortened(cell, *width)))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_cells_of_a_table_give_way() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let rows = [row(["key", "kms key", "objects"]), row(["lake", arn, "12"])];
        let wide = fitted(&rows, usize::MAX);
        assert!(wide.contains(arn));
        let narrow = fitted(&rows, 40);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(
            narrow.contains("arn:aws") && narrow.contains("90ab") && narrow.contains("lake"),
            "{narrow}"
        );
        // Nothing is left that could give way.
        assert!(fitted(&rows, 3).contains("objects"));
    }
}
