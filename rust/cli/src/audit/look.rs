//! One object: what protects it, and what is wrong with that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emrkeys_core::{config_summary, Code, Config, Error, KeyLookup, Provider, Request};
use emrkeys_objects::{
    prove, unwrap_data_key, Content, Envelope, Format, Head, Listed, ObjectUri, Page, Store, Wrap,
    INSTRUCTION_MARK, MAX_INSTRUCTION,
};
use serde_json::{json, Value};

use super::finding::Finding;
use super::share::Protection;
use super::table_of::Tables;
use super::tables::{self, TableFile};
use crate::aws::Aws;
use crate::conf::{open, Client, Conf};
use crate::output::Failure;

/// The longest name of a key or version that is kept, in characters: longer than any ARN of a KMS key.
const MAX_NAME: usize = 200;

/// The properties shared by objects that are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    /// The key's name in the configuration; where that does not know it, as it is stored. Empty where nothing names a
    /// key.
    pub(super) key: String,
    pub(super) version: String,
    /// Which client wrote it.
    pub(super) mode: String,
    pub(super) content: String,
    pub(super) wrap: String,
    /// Where the envelope is.
    pub(super) place: String,
    /// S3's own encryption.
    pub(super) sse: String,
    /// `yes`, `not proven`, `-` for what was not tried, or the code of the error.
    pub(super) readable: String,
}

impl Group {
    pub(super) const COLUMNS: [&'static str; 8] = [
        "key", "version", "mode", "content", "wrap", "envelope", "sse", "readable",
    ];

    pub(super) fn cells(&self) -> [&str; 8] {
        [
            &self.key,
            &self.version,
            &self.mode,
            &self.content,
            &self.wrap,
            &self.place,
            &self.sse,
            &self.readable,
        ]
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) uri: String,
    /// The object's key.
    pub(super) key: String,
    pub(super) bytes: u64,
    pub(super) protection: Protection,
    pub(super) group: Group,
    pub(super) findings: BTreeSet<Finding>,
}

impl Row {
    pub(super) const COLUMNS: [&'static str; 11] = [
        "object", "bytes", "key", "version", "mode", "content", "wrap", "envelope", "sse", "readable",
        "findings",
    ];

    fn findings(&self) -> Vec<String> {
        self.findings.iter().map(Finding::name).collect()
    }

    pub(super) fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.uri.clone(), self.bytes.to_string()];
        cells.extend(self.group.cells().map(str::to_owned));
        cells.push(self.findings().join(" "));
        cells
    }

    pub(super) fn json(&self) -> Value {
        let mut row = json!({ "object": self.uri, "bytes": self.bytes });
        for (name, value) in Group::COLUMNS.iter().zip(self.group.cells()) {
            row[*name] = json!(value);
        }
        row["findings"] = json!(self.findings());
        row
    }
}

/// The keys and rules of the configuration, to look at objects by.
pub(super) struct Auditor {
    provider: Option<Provider>,
    /// `None` without a configuration.
    key_lookup: Option<KeyLookup>,
    /// The keys of new objects at each place; `None` without a configuration.
    config: Option<Arc<Config>>,
    /// The names of the keys that new objects may get.
    encrypting: BTreeSet<String>,
    /// The version that encrypts, by key, where asking for it costs no call of KMS for each write.
    active: BTreeMap<String, String>,
    allow_legacy: bool,
    client: &'static str,
    tables: Tables,
}

impl Auditor {
    pub(super) fn open(conf: &Conf, aws: &Aws, no_unwrap: bool) -> Result<Auditor, Failure> {
        let client = match conf.usage {
            Client::S3 => "s3",
            Client::S3a => "s3a",
            Client::LocalDisk | Client::Tables => {
                return Err(Failure::Usage(
                    "--for local-disk, --for tables: objects in S3 are read by s3 or s3a".to_owned(),
                ))
            }
        };
        let mut auditor = Auditor {
            provider: None,
            key_lookup: None,
            config: None,
            encrypting: BTreeSet::new(),
            active: BTreeMap::new(),
            allow_legacy: false,
            client,
            tables: Tables::default(),
        };
        if !conf.files.is_given() {
            return Ok(auditor);
        }
        let settings = conf.load(aws)?;
        let config = Arc::new(Config::parse(conf.usage.into(), &settings)?);
        let summary = config_summary(&config);
        auditor.allow_legacy = settings
            .get("emrkeys.s3a.allow-legacy")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        auditor.key_lookup = Some(KeyLookup::new(&config));
        auditor.config = Some(Arc::clone(&config));
        auditor.encrypting = summary
            .keys
            .iter()
            .filter(|key| key.encrypts)
            .map(|key| key.name.clone())
            .collect();
        if no_unwrap {
            return Ok(auditor);
        }
        let (provider, _) = open(config)?;
        for key in summary
            .keys
            .iter()
            .filter(|key| key.encrypts && matches!(key.key_type, "aes" | "keyring" | "rsa"))
        {
            let rule = summary
                .rules
                .iter()
                .find(|rule| rule.key == key.name && rule.job_flow.is_none());
            // No bucket of S3 has such a name, so that no rule is for it and the default key is given.
            let (bucket, prefix) = rule.map_or(("no.-bucket", "x"), |rule| (&rule.bucket, &rule.prefix));
            let materials = provider.materials(Request::Write { bucket, key: prefix })?;
            let description = materials
                .map(|materials| materials.description)
                .unwrap_or_default();
            if let (Some(name), Some(version)) =
                (description.get("emrkeys.key"), description.get("emrkeys.version"))
            {
                auditor.active.insert(name.to_owned(), version.to_owned());
            }
        }
        auditor.provider = Some(provider);
        Ok(auditor)
    }

    pub(super) fn client(&self) -> &'static str {
        self.client
    }

    pub(super) fn unwraps(&self) -> bool {
        self.provider.is_some()
    }

    /// Looks at one object of a page. An object that cannot be looked at is a finding and ends nothing.
    pub(super) fn look(&self, store: &Store, listed: &Listed, page: &Page) -> Row {
        let uri = &listed.uri;
        let mut row = Row {
            uri: uri.to_string(),
            key: uri.key.clone(),
            bytes: listed.length,
            protection: Protection::NotCounted,
            group: Group::default(),
            findings: BTreeSet::new(),
        };
        if let Err(error) = self.fill(store, uri, page, &mut row) {
            let code = error.code();
            row.group.readable = code.as_str().to_owned();
            if row.group.mode.is_empty() {
                row.group.mode = "unknown".to_owned();
            }
            if matches!(code, Code::InvalidEnvelope | Code::InstructionFileMissing) {
                row.protection = Protection::Client;
            }
            row.findings.insert(match code {
                Code::InvalidEnvelope => Finding::Malformed,
                Code::InstructionFileMissing => Finding::InstructionMissing,
                _ => Finding::NotSeen(code),
            });
        }
        row
    }

    fn fill(&self, store: &Store, uri: &ObjectUri, page: &Page, row: &mut Row) -> Result<(), Error> {
        let Some(head) = store.head(uri)? else {
            row.group.mode = "vanished".to_owned();
            row.findings.insert(Finding::NotSeen(Code::ObjectNotFound));
            return Ok(());
        };
        row.bytes = head.length;
        let (algorithm, kms_key) = head.server_side_encryption();
        row.group.sse = shortened(&match kms_key {
            Some(key) => format!("{algorithm} {key}"),
            None => algorithm.to_owned(),
        });
        row.group.readable = "-".to_owned();
        if head.metadata.contains_key(INSTRUCTION_MARK) {
            row.group.mode = "instruction file".to_owned();
            if is_orphan(store, uri, page)? {
                row.findings.insert(Finding::Orphan);
            }
            return Ok(());
        }
        let Some(envelope) = find_envelope(store, uri, &head, page, row)? else {
            let of_table = self.of_table(store, uri, &head, row)?;
            if let Some(protection) = of_table {
                row.protection = protection;
            } else if row.group.mode.is_empty() {
                // Hadoop's markers of folders have nothing in them to protect.
                row.group.mode = if head.length == 0 { "empty" } else { "plaintext" }.to_owned();
            }
            if of_table.is_none() && head.length > 0 {
                let (protection, finding) = match algorithm {
                    "" => (Protection::None, Finding::Plaintext),
                    _ => (Protection::ServerSide, Finding::ServerSideOnly),
                };
                row.protection = protection;
                row.findings.insert(finding);
            }
            return Ok(());
        };
        row.protection = Protection::Client;
        if envelope.noted_length(&head.metadata, head.length).is_err() {
            row.findings.insert(Finding::WrongLength);
        }
        let unwrapped = self.unwrap(store, uri, &head, &envelope, row);
        self.judge(uri, &envelope, unwrapped, row);
        Ok(())
    }

    /// The protection of a file of a table; `None` for what is in the clear.
    fn of_table(
        &self,
        store: &Store,
        uri: &ObjectUri,
        head: &Head,
        row: &mut Row,
    ) -> Result<Option<Protection>, Error> {
        let is_old = |key: &str, version: &str| self.active.get(key).is_some_and(|active| active != version);
        let Some(file) = tables::look(store, uri, head, self.provider.as_ref(), &self.tables, is_old)? else {
            return Ok(None);
        };
        let group = &mut row.group;
        file.mode.clone_into(&mut group.mode);
        file.content.clone_into(&mut group.content);
        file.place.clone_into(&mut group.place);
        file.wrap.clone_into(&mut group.wrap);
        group.key = shortened(&file.keys);
        group.version = shortened(&file.versions);
        match file.readable {
            None => {}
            Some(Ok(())) => "yes".clone_into(&mut group.readable),
            Some(Err(code)) => {
                code.as_str().clone_into(&mut group.readable);
                row.findings.insert(Finding::Unreadable(code));
            }
        }
        if file.is_old {
            row.findings.insert(Finding::OldVersion);
        }
        Ok(match file {
            TableFile { in_clear: true, .. } => None,
            TableFile { content: "", .. } => Some(Protection::NotCounted),
            _ => Some(Protection::Client),
        })
    }

    /// Whether the data key unwraps. Where the wrap alone does not prove that it is the right one, the end of the
    /// content does.
    fn unwrap(
        &self,
        store: &Store,
        uri: &ObjectUri,
        head: &Head,
        envelope: &Envelope,
        row: &mut Row,
    ) -> bool {
        let Some(provider) = &self.provider else {
            return false;
        };
        let proven = unwrap_data_key(provider, envelope).and_then(|key| match envelope.wrap {
            Wrap::RsaPkcs1 if head.is_archived() => Ok("not proven"),
            Wrap::RsaPkcs1 => prove(store, uri, head, envelope, &key).map(|_| "yes"),
            _ => Ok("yes"),
        });
        match proven {
            Ok(readable) => {
                row.group.readable = readable.to_owned();
                true
            }
            Err(error) => {
                row.group.readable = error.code().as_str().to_owned();
                row.findings.insert(Finding::Unreadable(error.code()));
                false
            }
        }
    }

    fn judge(&self, uri: &ObjectUri, envelope: &Envelope, unwrapped: bool, row: &mut Row) {
        let (owner, judgement) = self.owner(uri, envelope, unwrapped);
        row.findings.extend(judgement);
        let group = &mut row.group;
        let stored = envelope.key().or(envelope.version());
        let key = owner.as_deref().or(stored).unwrap_or_default();
        // Other providers' names stand for key and version at once.
        let version = envelope.version().filter(|version| *version != key);
        group.key = shortened(key);
        group.version = shortened(version.unwrap_or_default());
        group.mode = mode(envelope).to_owned();
        group.content = content_name(envelope.content).to_owned();
        group.wrap = envelope.wrap.name().to_owned();
        if envelope.content == Content::Cbc {
            row.findings.insert(Finding::Cbc);
        } else if envelope.wrap.is_legacy() && !self.allow_legacy {
            row.findings.insert(Finding::LegacyWrap);
        }
    }

    /// The key's name in the configuration, and what is wrong with having that key.
    fn owner(&self, uri: &ObjectUri, envelope: &Envelope, unwrapped: bool) -> (Option<String>, Vec<Finding>) {
        let key = match self.key_lookup.as_ref().map(|key_lookup| key_lookup.of(envelope)) {
            // An envelope that does not name its key may belong to any key, until it proves to belong to this one.
            Some(Ok(Some(owner))) if owner.named || unwrapped => owner.key,
            Some(Err(error)) if error.code() == Code::KeyNotConfigured => {
                return (None, vec![Finding::Retired])
            }
            _ => return (None, Vec::new()),
        };
        let version = envelope.description.get("emrkeys.version");
        if !self.encrypting.contains(&key) {
            return (Some(key), vec![Finding::Retired]);
        }
        let mut findings = Vec::new();
        let active = self.active.get(&key).map(String::as_str);
        if active.is_some() && version.is_some() && active != version {
            findings.push(Finding::OldVersion);
        }
        let given = self
            .config
            .as_ref()
            .map(|config| config.keys_at(&uri.bucket, &uri.key));
        if given.is_some_and(|given| !given.contains(&key)) {
            findings.push(Finding::OtherKey);
        }
        (Some(key), findings)
    }
}

/// The envelope of an object that is no instruction file. An instruction file is asked for only if the listing has it
/// or does not show that it is absent.
fn find_envelope(
    store: &Store,
    uri: &ObjectUri,
    head: &Head,
    page: &Page,
    row: &mut Row,
) -> Result<Option<Envelope>, Error> {
    let whole = Envelope::is_in(&head.metadata) && !Envelope::is_split(&head.metadata);
    let beside = store.instruction_of(uri);
    if !whole && page.holds(&beside.key) != Some(false) {
        if let Some((bytes, _)) = store.small(&beside, MAX_INSTRUCTION, Code::InvalidEnvelope)? {
            row.group.place = "instruction file".to_owned();
            return Ok(Some(Envelope::parse_instruction(&bytes, &head.metadata)?));
        }
    }
    let envelope = Envelope::parse_alone(&head.metadata)?;
    if envelope.is_some() {
        row.group.place = "metadata".to_owned();
    }
    Ok(envelope)
}

/// Whether an instruction file has no object.
fn is_orphan(store: &Store, uri: &ObjectUri, page: &Page) -> Result<bool, Error> {
    // An object may have several, for other readers: their suffixes begin with a point.
    let other = || {
        let (key, _) = uri.key.rsplit_once('.')?;
        Some(ObjectUri {
            bucket: uri.bucket.clone(),
            key: key.to_owned(),
        })
    };
    let Some(object) = store.object_of(uri).or_else(other) else {
        return Ok(true);
    };
    if let Some(listed) = page.holds(&object.key) {
        return Ok(!listed);
    }
    Ok(store.head(&object)?.is_none())
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

/// Which client writes such envelopes.
fn mode(envelope: &Envelope) -> &'static str {
    match (envelope.format, envelope.content, envelope.wrap.is_legacy()) {
        (Format::V1, ..) | (_, Content::Cbc, _) => "V1 EncryptionOnly",
        (Format::V3, ..) => "S3EC v4",
        (_, _, true) => "V1 AuthenticatedEncryption",
        (_, _, false) => "V2 or S3EC v3",
    }
}

fn content_name(content: Content) -> &'static str {
    match content {
        Content::Cbc => "AES-CBC",
        Content::Gcm => "AES-GCM",
        Content::CommittingGcm => "AES-GCM, committing",
    }
}
