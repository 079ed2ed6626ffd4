//! The totals of an audit: bounded, however many objects there are.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{json, Value};

use super::finding::Finding;
use super::look::{Group, Row};
use super::share::{Amount, Folders, Shares};
use crate::terminal::{hanging, Table};
use crate::text::{counted, in_units, printable};

/// More groups than that are counted as one: names in descriptions are outside input.
const MAX_GROUPS: usize = 10_000;

/// Everything that was seen.
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) groups: BTreeMap<Group, Amount>,
    pub(super) findings: BTreeMap<Finding, (Amount, Vec<String>)>,
    pub(super) shares: Shares,
    pub(super) folders: Folders,
    with_findings: u64,
    examples: usize,
}

impl Tally {
    /// Of the objects whose keys begin with `prefix`.
    pub(super) fn new(prefix: &str, examples: usize) -> Tally {
        Tally {
            objects: 0,
            bytes: 0,
            groups: BTreeMap::new(),
            findings: BTreeMap::new(),
            shares: Shares::default(),
            folders: Folders::below(prefix),
            with_findings: 0,
            examples,
        }
    }

    pub(super) fn add(&mut self, row: Row) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(row.bytes);
        let with_findings = !row.findings.is_empty();
        self.with_findings += u64::from(with_findings);
        self.shares.add(row.protection, row.bytes, with_findings);
        self.folders
            .add(&row.key, row.protection, row.bytes, with_findings);
        for finding in &row.findings {
            let (amount, examples) = self.findings.entry(*finding).or_default();
            amount.add(row.bytes);
            if examples.len() < self.examples {
                examples.push(row.uri.clone());
            }
        }
        let group = if self.groups.len() < MAX_GROUPS || self.groups.contains_key(&row.group) {
            row.group
        } else {
            Group {
                mode: "others".to_owned(),
                ..Group::default()
            }
        };
        self.groups.entry(group).or_default().add(row.bytes);
    }

    pub(super) fn worst_first(&self) -> Vec<(&Finding, &(Amount, Vec<String>))> {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity()));
        findings
    }

    pub(super) fn has_findings(&self) -> bool {
        self.with_findings > 0
    }

    /// Objects with at least one finding.
    pub(super) fn finding_objects(&self) -> u64 {
        self.with_findings
    }

    pub(super) fn groups_json(&self) -> Value {
        self.groups
            .iter()
            .map(|(group, amount)| {
                let mut value = json!({});
                for (name, cell) in Group::COLUMNS.iter().zip(group.cells()) {
                    value[*name] = json!(cell);
                }
                value["objects"] = json!(amount.objects);
                value["bytes"] = json!(amount.bytes);
                value
            })
            .collect()
    }

    pub(super) fn findings_json(&self) -> Value {
        self.findings
            .iter()
            .map(|(finding, (amount, examples))| {
                json!({
                    "finding": finding.name(), "objects": amount.objects, "bytes": amount.bytes,
                    "what": finding.what(), "remedy": finding.remedy(), "examples": examples,
                })
            })
            .collect()
    }

    fn table(&self) -> Vec<Vec<String>> {
        let head = Group::COLUMNS.iter().copied().chain(["objects", "bytes"]);
        let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
        for (group, amount) in &self.groups {
            let mut row: Vec<String> = group.cells().map(str::to_owned).to_vec();
            row.extend([amount.objects.to_string(), amount.bytes.to_string()]);
            rows.push(row);
        }
        rows
    }

    pub(super) fn csv(&self) -> String {
        self.table().iter().map(|row| csv_line(row)).collect()
    }

    /// For people: the sums, the findings, the worst first, and then the tables.
    pub(super) fn text(&self, prefix: &str) -> String {
        let mut out = format!(
            "{}: {}, {}\n{}",
            printable(prefix),
            counted(self.objects, "object"),
            in_units(self.bytes),
            hanging("", 0, &self.shares.text())
        );
        if self.findings.is_empty() {
            out.push_str("No findings.\n");
        }
        for (finding, (amount, examples)) in self.worst_first() {
            // Writing to a string never fails.
            let _ = writeln!(
                out,
                "\n{}: {}, {}",
                finding.severity().tone().on_stdout(&finding.name()),
                counted(amount.objects, "object"),
                in_units(amount.bytes)
            );
            for text in [finding.what(), finding.remedy()] {
                out.push_str(&hanging("", 2, text));
            }
            for example in examples {
                let _ = writeln!(out, "  - {}", printable(example));
            }
        }
        out.push('\n');
        out.push_str(&self.groups_text());
        out.push_str(&self.folders.text());
        out
    }

    /// The groups in a table; in a narrow terminal in two lines each.
    fn groups_text(&self) -> String {
        let head: Vec<&str> = Group::COLUMNS
            .iter()
            .copied()
            .chain(["objects", "size"])
            .collect();
        let mut table = Table::new(&head).numbers(&["objects", "size"]);
        let mut short =
            Table::new(&["key", "version", "readable", "objects", "size"]).numbers(&["objects", "size"]);
        let mut details = Vec::new();
        for (group, amount) in &self.groups {
            let amounts = || [amount.objects.to_string(), in_units(amount.bytes)];
            table.row(group.cells().map(cell).into_iter().chain(amounts()));
            let named = [&group.key, &group.version, &group.readable];
            short.row(named.map(|text| cell(text)).into_iter().chain(amounts()));
            let more = [&group.mode, &group.content, &group.wrap, &group.place, &group.sse];
            let more: Vec<String> = more
                .into_iter()
                .filter(|cell| !cell.is_empty())
                .map(|cell| printable(cell))
                .collect();
            details.push(more.join(", "));
        }
        if let Some(text) = table.text_if_it_fits() {
            return text;
        }
        let text = short.text();
        let mut lines = text.lines();
        let mut out = lines.next().map_or_else(String::new, |head| format!("{head}\n"));
        for (line, more) in lines.zip(details) {
            let _ = writeln!(out, "{line}");
            out.push_str(&hanging("", 4, &more));
        }
        out
    }
}

/// A cell for people.
fn cell(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => printable(text),
    }
}

/// A line of CSV (RFC 4180). A cell that a spreadsheet would take for a formula gets an apostrophe in front.
pub(super) fn csv_line<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| {
            let cell = cell.as_ref();
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell != "-";
            let cell = if formula {
                format!("'{cell}")
            } else {
                cell.to_owned()
            };
            if cell.contains(['"', ',', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell
            }
        })
        .collect();
    cells.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::super::share::Protection;
    use super::*;
    use std::collections::BTreeSet;

    fn row(key: &str, finding: Option<Finding>) -> Row {
        Row {
            uri: format!("s3://b/{key}"),
            key: key.to_owned(),
            protection: Protection::Client,
            bytes: 10,
            group: Group {
                key: key.to_owned(),
                ..Group::default()
            },
            findings: finding.into_iter().collect::<BTreeSet<_>>(),
        }
    }

    #[test]
    fn examples_and_groups_are_bounded_and_nothing_is_lost_from_the_sums() {
        let mut tally = Tally::new("", 2);
        let count = MAX_GROUPS as u64 + 5;
        for number in 0..count {
            tally.add(row(&number.to_string(), Some(Finding::Plaintext)));
        }
        assert_eq!(tally.groups.len(), MAX_GROUPS + 1);
        assert_eq!(
            tally.groups.values().map(|amount| amount.objects).sum::<u64>(),
            count
        );
        let (amount, examples) = &tally.findings[&Finding::Plaintext];
        assert_eq!(
            (amount.objects, amount.bytes, examples.len()),
            (count, count * 10, 2)
        );
    }

    #[test]
    fn csv_is_quoted_and_holds_no_formulas() {
        assert_eq!(
            csv_line(&["a", "b,\"c\"", "=1+1", "-"]),
            "a,\"b,\"\"c\"\"\",'=1+1,-\r\n"
        );
    }
}
