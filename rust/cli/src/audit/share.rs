//! How much of the objects is encrypted, by a client or by S3 alone, in all and by folder.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{json, Value};

use crate::terminal::Table;
use crate::text::{counted, plural, printable};

/// More folders than that are counted as one.
const MAX_FOLDERS: usize = 10_000;
/// Folders in the text for people; the JSON document has all.
const SHOWN: usize = 20;

/// How many, and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn json(self) -> Value {
        json!({ "objects": self.objects, "bytes": self.bytes })
    }
}

/// The encryption that keeps the content of an object from those who see the disks of S3, or from S3 itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protection {
    /// A client encrypted it.
    Client,
    /// S3 does, so that whoever may read the object gets its content.
    ServerSide,
    /// Nothing.
    None,
    /// There is nothing in it, or it could not be looked at.
    #[default]
    NotCounted,
}

/// The objects by their protection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shares {
    client: Amount,
    server_side: Amount,
    none: Amount,
    /// Objects with at least one finding.
    with_findings: u64,
}

impl Shares {
    pub(super) fn add(&mut self, protection: Protection, bytes: u64, with_findings: bool) {
        self.with_findings += u64::from(with_findings);
        match protection {
            Protection::Client => self.client.add(bytes),
            Protection::ServerSide => self.server_side.add(bytes),
            Protection::None => self.none.add(bytes),
            Protection::NotCounted => {}
        }
    }

    fn counted(&self) -> u64 {
        self.client.objects + self.server_side.objects + self.none.objects
    }

    /// Of the objects with content, in tenths of a percent and never more than there is: one in a million that is not
    /// encrypted shows.
    pub(super) fn encrypted(&self) -> Option<f64> {
        self.per_mille(self.client).map(|share| share.floor() / 10.0)
    }

    fn per_mille(&self, part: Amount) -> Option<f64> {
        let all = self.counted();
        (all > 0).then(|| part.objects as f64 * 1000.0 / all as f64)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "encryptedPercent": self.encrypted(),
            "client": self.client.json(), "serverSideOnly": self.server_side.json(), "nothing": self.none.json(),
        })
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let part = |amount: Amount, percent: f64, by: &str| {
            format!("{percent:.1} % {by} ({})", counted(amount.objects, "object"))
        };
        // Rounded up, so that one in a million shows.
        let rest = |amount: Amount| self.per_mille(amount).unwrap_or(0.0).ceil() / 10.0;
        if self.counted() == 0 {
            return "No object has content that could be looked at.".to_owned();
        }
        format!(
            "{}, {}, {}.",
            part(
                self.client,
                self.encrypted().unwrap_or(0.0),
                "encrypted by clients"
            ),
            part(self.server_side, rest(self.server_side), "by S3 alone"),
            part(self.none, rest(self.none), "by nothing")
        )
    }
}

/// The objects by the folder right below the prefix.
pub(super) struct Folders {
    /// Bytes of a key before the folder's name.
    base: usize,
    folders: BTreeMap<String, (Amount, Shares)>,
}

impl Folders {
    /// Of the prefix that is audited.
    pub(super) fn below(prefix: &str) -> Folders {
        Folders {
            base: prefix.rfind('/').map_or(0, |slash| slash + 1),
            folders: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, key: &str, protection: Protection, bytes: u64, with_findings: bool) {
        let below = key.get(self.base..).unwrap_or_default();
        let folder = below.split_once('/').map_or("", |(folder, _)| folder);
        let name = format!("{folder}/");
        let name = if self.folders.len() < MAX_FOLDERS || self.folders.contains_key(&name) {
            name
        } else {
            "others".to_owned()
        };
        let (amount, shares) = self.folders.entry(name).or_default();
        amount.add(bytes);
        shares.add(protection, bytes, with_findings);
    }

    pub(super) fn json(&self) -> Value {
        self.folders
            .iter()
            .map(|(folder, (amount, shares))| {
                let mut value = shares.json();
                value["folder"] = json!(folder);
                value["objects"] = json!(amount.objects);
                value["bytes"] = json!(amount.bytes);
                value["withFindings"] = json!(shares.with_findings);
                value
            })
            .collect()
    }

    /// A table for people, the folders with the most findings first; nothing for a single folder.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        if self.folders.len() < 2 {
            return out;
        }
        let mut folders: Vec<_> = self.folders.iter().collect();
        folders
            .sort_by_key(|(_, (amount, shares))| std::cmp::Reverse((shares.with_findings, amount.objects)));
        let numbers = ["objects", "encrypted", "with findings"];
        let mut table = Table::new(&[&numbers[..], &["folder"]].concat()).numbers(&numbers);
        for (folder, (amount, shares)) in folders.iter().take(SHOWN) {
            table.row([
                amount.objects.to_string(),
                shares
                    .encrypted()
                    .map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %")),
                shares.with_findings.to_string(),
                printable(folder),
            ]);
        }
        out.push('\n');
        out.push_str(&table.text());
        let more = folders.len().saturating_sub(SHOWN) as u64;
        if more > 0 {
            // Writing to a string never fails.
            let _ = writeln!(
                out,
                "and {more} more {}, which --output json has",
                plural(more, "folder")
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_in_a_million_keeps_the_share_below_all() {
        let mut shares = Shares::default();
        for _ in 0..99_999 {
            shares.add(Protection::Client, 1, false);
        }
        assert_eq!(shares.encrypted(), Some(100.0));
        shares.add(Protection::None, 1, true);
        assert_eq!(shares.encrypted(), Some(99.9));
        shares.add(Protection::NotCounted, 1, true);
        assert_eq!(shares.encrypted(), Some(99.9));
    }

    #[test]
    fn a_folder_is_the_next_part_of_the_key() {
        for (prefix, key, folder) in [
            ("", "a/b/c", "a/"),
            ("a/", "a/b/c", "b/"),
            ("a/b", "a/bc/d", "bc/"),
            ("a/", "a/b", "/"),
            ("é/", "é/b/c", "b/"),
        ] {
            let mut folders = Folders::below(prefix);
            folders.add(key, Protection::Client, 1, false);
            assert_eq!(
                folders.folders.keys().collect::<Vec<_>>(),
                [folder],
                "{prefix} {key}"
            );
        }
    }
}
