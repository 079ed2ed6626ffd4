//! Reads the properties below the name of one key.

use super::properties::KEY_PREFIX;
use super::reader::{list, Fields, Reader};
use crate::aws::arn::{is_kms_alias, Arn};
use crate::aws::kms::{Context, KmsAccess, KmsTarget, Role};
use crate::error::{excerpt, Code, Problem};
use crate::material::Location;

/// The user's entries of the encryption context stand below this.
pub(super) const CONTEXT: &str = "encryption-context.";

/// KMS keys that decrypt and no longer encrypt.
pub(super) const PREVIOUS_KMS: &str = "previous-kms-key-ids";

/// A file of key material and the property that names it.
#[derive(Debug)]
pub(crate) struct FileRef {
    pub(crate) property: String,
    pub(crate) location: Location,
}

/// An alias of a Hadoop credential and the property that names it.
#[derive(Debug)]
pub(crate) struct CredentialRef {
    pub(crate) property: String,
    pub(crate) alias: String,
}

/// Reads the properties of one key.
pub(super) struct KeyReader<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) name: &'a str,
    pub(super) fields: &'r Fields<'a>,
}

impl<'a> KeyReader<'_, 'a> {
    pub(super) fn property(&self, field: &str) -> String {
        format!("{KEY_PREFIX}{}.{field}", self.name)
    }

    pub(super) fn get(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field).copied()
    }

    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.get(field).map(str::to_owned)
    }

    pub(super) fn refuse(&mut self, field: &str, code: Code, message: impl Into<String>, remedy: &str) {
        let problem = Problem::at(self.property(field), code, message, remedy);
        self.reader.problems.add(problem);
    }

    /// The value of a property that must be set.
    pub(super) fn required(&mut self, field: &str, remedy: &str) -> Option<&'a str> {
        let value = self.get(field);
        if value.is_none() {
            self.reader.missing(self.property(field), remedy);
        }
        value
    }

    /// A file that may be left out. The outer `None`: it is set, and wrong.
    pub(super) fn optional_file(&mut self, field: &str) -> Option<Option<FileRef>> {
        match self.get(field) {
            None => Some(None),
            Some(uri) => file(self.reader, self.property(field), uri).map(Some),
        }
    }

    pub(super) fn credential(&self, field: &str) -> Option<CredentialRef> {
        self.text(field).map(|alias| CredentialRef {
            property: self.property(field),
            alias,
        })
    }

    pub(super) fn kms_target(&mut self, key_id: &str, access: KmsAccess) -> Option<KmsTarget> {
        let property = self.property("kms-key-id");
        Some(KmsTarget {
            key_id: kms_key_id(self.reader, property.clone(), key_id)?,
            property,
            access,
        })
    }

    /// Only its owner knows which key an alias once stood for, so that each older key is named by itself.
    pub(super) fn previous_kms_keys(&mut self) -> Vec<String> {
        let mut keys = Vec::new();
        for id in list(self.get(PREVIOUS_KMS)) {
            if is_kms_alias(&id) {
                let message = format!(
                    "{} is an alias, and may stand for another key tomorrow",
                    excerpt(&id)
                );
                self.refuse(
                    PREVIOUS_KMS,
                    Code::InvalidValue,
                    message,
                    "Name the older keys by ARN.",
                );
            } else {
                keys.extend(kms_key_id(self.reader, self.property(PREVIOUS_KMS), &id));
            }
        }
        keys
    }

    pub(super) fn kms_access(&mut self) -> KmsAccess {
        let role = match (self.text("role-arn"), self.text("external-id")) {
            (Some(arn), external_id) => Some(Role { arn, external_id }),
            (None, None) => None,
            (None, Some(_)) => {
                self.refuse(
                    "external-id",
                    Code::Conflict,
                    "an external id is for assuming a role, and no role is named",
                    "Set .role-arn, or remove it.",
                );
                None
            }
        };
        KmsAccess {
            endpoint: self.text("endpoint"),
            region: self.text("region"),
            role,
        }
    }

    /// The user's entries of the encryption context. They are stored with every object, where room is short.
    pub(super) fn context(&mut self) -> Context {
        const MOST: usize = 400;
        let context: Context = self
            .fields
            .iter()
            .filter_map(|(field, value)| Some((field.strip_prefix(CONTEXT)?.to_owned(), (*value).to_owned())))
            .collect();
        let bytes: usize = context
            .iter()
            .map(|(field, value)| field.len() + value.len())
            .sum();
        let reserved = |field: &&String| field.starts_with("aws:") || field.starts_with("emrkeys.");
        let strange = |field: &&String| {
            let value = context.get(*field).map_or("", String::as_str);
            field.chars().chain(value.chars()).any(char::is_control)
        };
        if let Some(field) = context.keys().find(reserved).or(context.keys().find(strange)) {
            self.refuse(
                &format!("{CONTEXT}{field}"),
                Code::InvalidValue,
                "names that start with aws: or emrkeys. are reserved, and control characters cannot be stored",
                "Choose another name or value.",
            );
        } else if bytes > MOST {
            let field = context.keys().next().map_or("", String::as_str);
            self.refuse(
                &format!("{CONTEXT}{field}"),
                Code::InvalidValue,
                "the encryption context has more than 400 bytes in all, and is stored with every object",
                "Shorten it.",
            );
        }
        context
    }

    pub(super) fn matches(&mut self) -> Vec<(String, String)> {
        let mut matches = Vec::new();
        let fields = self.fields;
        for (field, value) in fields
            .iter()
            .filter_map(|(field, value)| Some((field.strip_prefix("match.")?, *value)))
        {
            let ours = field.starts_with("emrkeys.");
            let of_request = ["Path", "DstPath", "JobflowId"]
                .iter()
                .any(|known| field.eq_ignore_ascii_case(known));
            if ours || of_request {
                self.refuse(
                    &format!("match.{field}"),
                    Code::InvalidValue,
                    format!(
                        "{} is not a field of another provider's description",
                        excerpt(field)
                    ),
                    "Use .aliases for a renamed key, a rule for a location.",
                );
            } else {
                matches.push((field.to_owned(), value.to_owned()));
            }
        }
        matches
    }
}

pub(super) fn file(reader: &mut Reader, property: String, value: &str) -> Option<FileRef> {
    let location = reader.problems.keep(Location::parse(&property, value))?;
    if matches!(&location, Location::External(uri) if !uri.contains(':')) && property.starts_with("emrkeys.")
    {
        reader.problems.add(Problem::at(
            property,
            Code::InvalidUri,
            format!("{} has no scheme", excerpt(value)),
            "Write file:///path for a local file, hdfs:///path or s3://bucket/key for another.",
        ));
        return None;
    }
    Some(FileRef { property, location })
}

/// KMS decides whether a key exists; this refuses only what can be no key of any account.
pub(super) fn kms_key_id(reader: &mut Reader, property: String, value: &str) -> Option<String> {
    let bad = value.chars().any(|c| c.is_whitespace() || c.is_control()) || value.len() > 2048;
    let names_key = |arn: Arn| {
        (arn.kms_key_id().is_some() || arn.is_kms_alias())
            && !arn.region.is_empty()
            && !arn.account.is_empty()
    };
    let bad_arn = value.starts_with("arn:") && !Arn::parse(value).is_some_and(names_key);
    if bad || bad_arn || value == "alias/" {
        reader.problems.add(Problem::at(
            property,
            Code::InvalidValue,
            format!("{} does not name a KMS key", excerpt(value)),
            "Write an ARN (arn:aws:kms:region:account:key/id), a key id or alias/name.",
        ));
        return None;
    }
    Some(value.to_owned())
}
