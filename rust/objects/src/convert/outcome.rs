//! The outcome for an object, and its line in a report.

use emrkeys_core::envelope::{Content, Envelope, Format};
use emrkeys_core::Error;
use serde::Serialize;
use serde_json::{json, Value};

use super::requests::Requests;
use crate::standing::{named, Skipped};
use crate::store::{Head, ObjectUri};

/// How an object is stored, before or after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// `plaintext`; `encryption-only` (AES-CBC of the SDK v1), `v1` (its first client otherwise), `v2` (its second, and
    /// the S3 Encryption Client 3), `v4` (the S3 Encryption Client 4).
    pub format: &'static str,
    /// Key and version, as the description says; empty in the clear.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// With its quotation marks.
    pub etag: String,
    /// Where the bucket has versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Stored {
    /// How an object is stored that was found.
    pub(super) fn found(head: &Head, envelope: Option<&Envelope>) -> Stored {
        Stored {
            format: format_name(envelope),
            key: envelope.map_or_else(String::new, named),
            length: head.length,
            etag: head.etag.clone(),
            version: head.version_id().map(str::to_owned),
        }
    }

    /// Format and key in words.
    pub fn name(&self) -> String {
        [self.format, &self.key].join(" ").trim_end().to_owned()
    }
}

/// The format of an envelope, by the client that writes it.
pub(super) fn format_name(envelope: Option<&Envelope>) -> &'static str {
    match envelope {
        None => "plaintext",
        Some(envelope) => match (envelope.format, envelope.content) {
            (Format::V3, _) => "v4",
            (Format::V1, _) | (_, Content::Cbc) => "encryption-only",
            (Format::V2, _) if envelope.wrap.is_legacy() => "v1",
            (Format::V2, _) => "v2",
        },
    }
}

/// An object that was converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Bytes of plaintext.
    pub bytes: u64,
    /// As it was read.
    pub before: Stored,
    /// As it is now.
    pub after: Stored,
    /// By what the content that was read proved whole: `tag` (AES-GCM), `padding and length` or `padding` (AES-CBC,
    /// where its writer noted the length or did not), `nothing` (in the clear).
    pub verified: &'static str,
    /// How the new object was compared with what was read: `checksum` (S3 gave back the SHA-256 of what was sent) or
    /// `second read`.
    pub compared: &'static str,
    /// The version of the object as it was, where the bucket keeps it: it is still under the old key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_version: Option<String>,
    /// Things that could not be kept or cleaned up: `acl-unreadable`, `instruction-file-left`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// An object that would be converted, were this not a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Bytes as stored.
    pub bytes: u64,
    /// As it is.
    pub before: Stored,
    /// Its format and key after it.
    pub to: String,
    /// The requests of S3 that this takes.
    pub requests: Requests,
}

/// The outcome for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is replaced.
    Converted(Box<Conversion>),
    /// It would be replaced, were this not a dry run.
    Planned(Box<Plan>),
    /// Nothing was done: its key is not one that the rules give at its place. A user who may write there may have
    /// copied it from elsewhere, to have it given to the holders of the key.
    OtherKey {
        /// Key and version, as the description says.
        key: String,
    },
    /// Nothing was done.
    Skipped(Skipped),
}

/// The outcome for an object, in a word that reports count by.
pub fn outcome_name(result: &Result<Outcome, Error>) -> &'static str {
    match result {
        Ok(Outcome::Converted(_)) => "converted",
        Ok(Outcome::Planned(_)) => "would-be-converted",
        Ok(Outcome::OtherKey { .. }) => "other-key",
        Ok(Outcome::Skipped(why)) => why.name(),
        Err(_) => "failed",
    }
}

/// The line of a report on one object, as a JSON object: `uri`, `outcome` (`converted`, `would-be-converted`,
/// `skipped`, `failed`), and more by that.
pub fn report(uri: &ObjectUri, result: &Result<Outcome, Error>) -> Value {
    let name = outcome_name(result);
    let (outcome, more) = match result {
        // These always can be written.
        Ok(Outcome::Converted(done)) => (name, serde_json::to_value(done).unwrap_or_default()),
        Ok(Outcome::Planned(plan)) => (name, serde_json::to_value(plan).unwrap_or_default()),
        Ok(Outcome::OtherKey { key }) => ("skipped", json!({ "why": name, "key": key })),
        Ok(Outcome::Skipped(_)) => ("skipped", json!({ "why": name })),
        Err(error) => (
            name,
            json!({ "code": error.code().as_str(), "message": error.to_string() }),
        ),
    };
    let mut line = json!({ "uri": uri.to_string(), "outcome": outcome });
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line
}

/// The columns of [`report_csv`].
pub const CSV_COLUMNS: &str =
    "uri,outcome,why,bytes,before_format,before_key,before_length,before_etag,before_version,\
    after_format,after_key,after_length,after_etag,after_version,verified,compared,old_version,notes,message";

/// The same as [`report`] in a line with commas (RFC 4180), in the columns [`CSV_COLUMNS`]; no line break at its end.
pub fn report_csv(uri: &ObjectUri, result: &Result<Outcome, Error>) -> String {
    let line = report(uri, result);
    let field = |path: &[&str]| {
        let found = path.iter().try_fold(&line, |value, name| value.get(name));
        match found {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                items.join(" ")
            }
            Some(other) => other.to_string(),
        }
    };
    let why = match result {
        Err(_) => field(&["code"]),
        Ok(_) => field(&["why"]),
    };
    let mut fields = vec![field(&["uri"]), field(&["outcome"]), why, field(&["bytes"])];
    for side in ["before", "after"] {
        fields.extend(["format", "key", "length", "etag", "version"].map(|name| field(&[side, name])));
    }
    fields.extend(["verified", "compared", "oldVersion", "notes", "message"].map(|name| field(&[name])));
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::{Code, Problem};

    #[test]
    fn a_line_with_commas_has_a_field_for_each_column() {
        let uri = ObjectUri::parse("s3://lake/a,\"b\"").unwrap();
        let failed = Err(Problem::new(Code::ObjectDamaged, "cut, short", "Restore it.").into());
        for result in [failed, Ok(Outcome::Skipped(Skipped::Current))] {
            let line = report_csv(&uri, &result);
            assert!(line.starts_with("\"s3://lake/a,\"\"b\"\"\","), "{line}");
            let mut quoted = false;
            let commas = line.chars().filter(|c| {
                quoted ^= *c == '"';
                *c == ',' && !quoted
            });
            assert_eq!(commas.count(), CSV_COLUMNS.matches(',').count());
        }
    }
}
