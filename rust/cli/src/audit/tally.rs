//! The totals of an audit: bounded, however many objects there are.

use std::collections::BTreeMap;
use std::fmt::Write;

use emrkeys_core::Code;
use serde_json::{json, Value};

use super::look::{Group, Row};
use super::share::{Amount, Folders, Shares};
use crate::terminal::{hanging, Table, Tone};
use crate::text::{counted, in_units, printable};

/// More groups than that are counted as one: names in descriptions are outside input.
const MAX_GROUPS: usize = 10_000;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Nothing has to be done today.
    Minor,
    /// Somebody should look at it.
    Doubtful,
    /// Content that is not protected, or cannot be read.
    Bad,
}

impl Severity {
    fn tone(self) -> Tone {
        match self {
            Severity::Minor => Tone::Plain,
            Severity::Doubtful => Tone::Doubtful,
            Severity::Bad => Tone::Bad,
        }
    }

    /// For the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Doubtful => "doubtful",
            Severity::Bad => "bad",
        }
    }
}

/// A fact on an object that an auditor should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// Nobody encrypted it.
    Plaintext,
    /// No client encrypted it, and S3 itself does.
    ServerSideOnly,
    /// It is ciphertext whose instruction file is gone.
    InstructionMissing,
    /// Its key is not one that the rules give at its place.
    OtherKey,
    /// The configuration does not read it.
    Unreadable(Code),
    /// S3A would corrupt it.
    Cbc,
    /// S3A refuses it without `emrkeys.s3a.allow-legacy`.
    LegacyWrap,
    /// No rule gives its key any more.
    Retired,
    /// The version of its key does not encrypt any more.
    OldVersion,
    /// Its envelope cannot be read.
    Malformed,
    /// The length that its metadata notes is not that of its content.
    WrongLength,
    /// An instruction file without its object.
    Orphan,
    /// It could not be looked at.
    NotSeen(Code),
}

impl Finding {
    pub(super) fn name(&self) -> String {
        let (name, code) = match self {
            Finding::Plaintext => ("plaintext", None),
            Finding::ServerSideOnly => ("server-side-only", None),
            Finding::InstructionMissing => ("instruction-file-missing", None),
            Finding::OtherKey => ("other-key", None),
            Finding::Unreadable(code) => ("unreadable", Some(code)),
            Finding::Cbc => ("cbc", None),
            Finding::LegacyWrap => ("legacy-wrap", None),
            Finding::Retired => ("retired-key", None),
            Finding::OldVersion => ("old-version", None),
            Finding::Malformed => ("malformed", None),
            Finding::WrongLength => ("wrong-length", None),
            Finding::Orphan => ("orphaned-instruction", None),
            Finding::NotSeen(code) => ("not-seen", Some(code)),
        };
        code.map_or_else(|| name.to_owned(), |code| format!("{name}:{code}"))
    }

    pub(super) fn severity(&self) -> Severity {
        match self {
            Finding::Plaintext
            | Finding::InstructionMissing
            | Finding::Unreadable(_)
            | Finding::Cbc
            | Finding::Malformed
            | Finding::NotSeen(_) => Severity::Bad,
            Finding::ServerSideOnly | Finding::OtherKey | Finding::WrongLength | Finding::LegacyWrap => {
                Severity::Doubtful
            }
            Finding::Retired | Finding::OldVersion | Finding::Orphan => Severity::Minor,
        }
    }

    pub(super) fn what(&self) -> &'static str {
        match self {
            Finding::Plaintext => "Neither a client nor S3 encrypted the object.",
            Finding::ServerSideOnly => {
                "No client encrypted the object; S3 itself does (column sse), and decrypts it for \
                 everyone who may read it."
            }
            Finding::InstructionMissing => {
                "A client encrypted the object (it notes the length of the plaintext), and the \
                 instruction file that says how is gone: nobody can read it."
            }
            Finding::OtherKey => {
                "Another key protects the object than the rules give to new objects at its place: it \
                 was written before the rules, or copied from elsewhere."
            }
            Finding::Unreadable(code) | Finding::NotSeen(code) => code.meaning(),
            Finding::Cbc => {
                "The content is in AES-CBC: not authenticated, and S3A would return it truncated or as \
                 ciphertext."
            }
            Finding::LegacyWrap => {
                "The data key is wrapped as the first client of the SDK v1 did: S3A refuses it without \
                 emrkeys.s3a.allow-legacy."
            }
            Finding::Retired => "No rule and no default gives this key to new objects.",
            Finding::OldVersion => "A version of the key that is not given to new objects protects it.",
            Finding::Malformed => "The envelope contradicts itself or is not what any client writes.",
            Finding::WrongLength => {
                "The length of the plaintext that the object's metadata notes is none, or not that of \
                 its content: clients that trust it list the object with a wrong length."
            }
            Finding::Orphan => "An instruction file whose object is gone.",
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Finding::Plaintext | Finding::ServerSideOnly => {
                "Copy it through an encrypting client, if it should be encrypted."
            }
            Finding::InstructionMissing => {
                "Restore the instruction file, from an older version of it or a copy; do not encrypt the object again."
            }
            Finding::OtherKey => {
                "Where it belongs there, re-wrap it with --from that key; else see who copied it."
            }
            Finding::Unreadable(_) => {
                "Configure the key that the object names, or see what its code says in docs/configuration.md."
            }
            Finding::Cbc => {
                "Keep S3A from it; read it with EMRFS or the SDK v1 client and write it again in AES-GCM."
            }
            Finding::LegacyWrap => {
                "Set emrkeys.s3a.allow-legacy=true while such objects are read, or re-wrap them."
            }
            Finding::Retired => "Keep the key until its objects are re-wrapped or gone.",
            Finding::OldVersion => "Keep the version until its objects are re-wrapped or gone.",
            Finding::Malformed => "Restore the object's metadata or instruction file.",
            Finding::WrongLength => "Copy it through an encrypting client, which notes the length anew.",
            Finding::Orphan => "Delete it if the object was deleted on purpose; else restore the object.",
            Finding::NotSeen(Code::ObjectNotFound) => "Nothing, if it was deleted while the audit ran.",
            Finding::NotSeen(_) => {
                "Allow s3:GetObject (and kms:Decrypt for SSE-KMS) to this role and audit again."
            }
        }
    }
}

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
