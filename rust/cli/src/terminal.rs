//! Terminals: how wide they are, and colours that have a meaning.
//!
//! Only a terminal gets colours and a width; a pipe or a file gets whole lines without either. `NO_COLOR` and
//! `CLICOLOR` are obeyed (<https://no-color.org>, by the crate `console`).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

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
    width_of(&Term::stdout())
}

/// The columns of standard error.
pub(crate) fn error_width() -> Option<usize> {
    width_of(&Term::stderr())
}

fn width_of(term: &Term) -> Option<usize> {
    term.is_term()
        .then(|| usize::from(term.size_checked().map_or(80, |(_, columns)| columns)))
}

/// Text after a label, wrapped to the width of the terminal and indented as far as the label reaches. `text` is
/// printable.
pub(crate) fn hanging(label: &str, label_width: usize, text: &str) -> String {
    hanging_in(width(), label, label_width, text)
}

/// As [`hanging`], in a terminal of so many columns.
pub(crate) fn hanging_in(width: Option<usize>, label: &str, label_width: usize, text: &str) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(label_width).max(20));
    let mut out = String::new();
    for (number, line) in wrapped(text, room).iter().enumerate() {
        let pad = if number == 0 {
            label_width.saturating_sub(console::measure_text_width(label))
        } else {
            // A long word, such as an ARN, may begin further to the left, so that it is in one piece.
            let length = line.chars().count();
            width.map_or(label_width, |width| {
                label_width.min(width.saturating_sub(length).max(2))
            })
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}{:pad$}{line}", if number == 0 { label } else { "" }, "");
    }
    out
}

static WIDE: AtomicBool = AtomicBool::new(false);

/// Tables are as wide as their cells from now on.
pub(crate) fn be_wide() {
    WIDE.store(true, Ordering::Relaxed);
}

/// Rows of printable cells, the first of which is the head.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// The columns whose cells are numbers, and stand on the right.
    numbers: Vec<usize>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Table {
        Table {
            rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()],
            numbers: Vec::new(),
        }
    }

    /// The columns with these heads hold numbers.
    pub(crate) fn numbers(mut self, heads: &[&str]) -> Table {
        let head = self.rows.first().into_iter().flatten().enumerate();
        let found = head.filter(|(_, name)| heads.contains(&name.as_str()));
        self.numbers = found.map(|(column, _)| column).collect();
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The cells whole, however wide the terminal is.
    pub(crate) fn whole(&self) -> String {
        self.fitted(usize::MAX)
    }

    /// Where the table is wider than the terminal, the longest cells are shortened in their middle.
    pub(crate) fn text(&self) -> String {
        self.fitted(limit())
    }

    /// As [`Table::text`]; `None` if no shortening makes it fit.
    pub(crate) fn text_if_it_fits(&self) -> Option<String> {
        let least = self.widths().into_iter().map(|width| width.min(NARROWEST));
        (total(&least.collect::<Vec<_>>()) <= limit()).then(|| self.text())
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }

    fn fitted(&self, limit: usize) -> String {
        let mut widths = self.widths();
        while total(&widths) > limit {
            match widths.iter_mut().filter(|width| **width > NARROWEST).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    let cell = shortened(cell, *width);
                    if self.numbers.contains(&column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }
}

const BETWEEN: usize = 2;
/// No column is made narrower, in characters.
const NARROWEST: usize = 8;

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + BETWEEN * widths.len().saturating_sub(1)
}

/// The most columns of a table.
fn limit() -> usize {
    width()
        .filter(|_| !WIDE.load(Ordering::Relaxed))
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_does_not_fit_behind_its_label_begins_further_left() {
        let text = hanging_in(
            Some(30),
            "label",
            10,
            "one two three four 0123456789012345678901234567 end",
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "label     one two three four",
                "  0123456789012345678901234567",
                "          end",
            ]
        );
    }

    #[test]
    fn the_longest_cells_of_a_table_give_way() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let mut table = Table::new(&["key", "kms key", "objects"]).numbers(&["objects"]);
        table.row(["lake", arn, "12"].map(str::to_owned));
        assert!(table.whole().contains(arn));
        let narrow = table.fitted(40);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(
            narrow.contains("arn:aws") && narrow.contains("90ab") && narrow.contains("lake"),
            "{narrow}"
        );
        assert!(narrow.ends_with("     12\n"), "{narrow}");
        // Nothing is left that could give way.
        assert!(table.fitted(3).contains("objects"));
    }
}
