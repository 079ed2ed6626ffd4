//! Typed access to the property map, gathering problems on the way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::properties::{self, KEY_PREFIX, RULE_PREFIX};
use super::*;
use crate::names::{is_alias, is_name};

const DAY: Duration = Duration::from_secs(86_400);

/// For the problems of `emrkeys.key.<name>.type`.
const TYPES: &str = "Set it to aes, rsa, kms, kms-cached, keyring or data-key-service.";
/// What the user adds to the encryption context stands below this.
const CONTEXT: &str = "encryption-context.";
/// KMS keys that decrypt and no longer encrypt.
const PREVIOUS_KMS: &str = "previous-kms-key-ids";

/// Values are trimmed; an empty value counts as not set, as Hadoop users expect of an override.
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    problems: Problems,
}

/// The properties below one name, by the rest of their names.
type Fields<'a> = BTreeMap<&'a str, &'a str>;

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Reader {
            settings,
            problems: Problems::default(),
        }
    }

    pub(super) fn into_problems(self) -> Problems {
        self.problems
    }

    pub(super) fn refuse_unknown(&mut self) {
        for property in self.settings.keys().filter(|name| name.starts_with("emrkeys.")) {
            if !properties::is_known(property) {
                let remedy = match properties::nearest(property) {
                    Some(near) => format!("Did you mean {near}?"),
                    None => "Remove it; docs/configuration.md lists every property.".to_owned(),
                };
                self.problems.add(Problem::at(
                    property,
                    Code::UnknownProperty,
                    "there is no such property",
                    remedy,
                ));
            }
        }
    }

    fn get(&self, property: &str) -> Option<&'a str> {
        self.settings
            .get(property)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&mut self, property: &str) -> bool {
        match self.get(property) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) => {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!("{} is neither true nor false", excerpt(value)),
                    "Set it to true or false.",
                ));
                false
            }
        }
    }

    pub(super) fn name_of_key(&mut self, property: &str) -> Option<String> {
        self.get(property).map(str::to_owned)
    }

    /// Whether anything of ours names a key: then AWS's own properties define none.
    pub(super) fn names_keys(&self) -> bool {
        let set = |prefix: &str| {
            self.settings
                .range(prefix.to_owned()..)
                .next()
                .is_some_and(|(name, _)| name.starts_with(prefix))
        };
        set(KEY_PREFIX) || set(RULE_PREFIX)
    }

    pub(super) fn s3_access(&mut self) -> S3Access {
        S3Access {
            endpoint: self.get("emrkeys.s3.endpoint").map(str::to_owned),
            region: self.get("emrkeys.s3.region").map(str::to_owned),
            path_style: self.flag("emrkeys.s3.path-style-access"),
        }
    }

    /// A whole number.
    fn number(&mut self, property: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        match self.get(property).map(|value| (value, value.parse())) {
            None => default,
            Some((_, Ok(number))) if range.contains(&number) => number,
            Some((value, _)) => {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!(
                        "{} is not a whole number from {} to {}",
                        excerpt(value),
                        range.start(),
                        range.end()
                    ),
                    format!("Write it in digits alone, such as {default}."),
                ));
                default
            }
        }
    }

    /// A time: a number with `ms`, `s`, `m`, `h` or `d`, or of seconds.
    fn duration(
        &mut self,
        property: &str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let Some(value) = self.get(property) else {
            return default;
        };
        if let Some(duration) = duration(value).filter(|duration| range.contains(duration)) {
            return duration;
        }
        self.problems.add(Problem::at(
            property,
            Code::InvalidValue,
            format!(
                "{} is not a time from {} to {} seconds",
                excerpt(value),
                range.start().as_secs_f64(),
                range.end().as_secs()
            ),
            "Write a number and its unit (ms, s, m, h, d), such as 10m.",
        ));
        default
    }

    pub(super) fn audit(&mut self) -> AuditTarget {
        const PROPERTY: &str = "emrkeys.audit";
        match self.get(PROPERTY) {
            None | Some("off") => AuditTarget::Off,
            Some("log") => AuditTarget::Log,
            Some(uri) => match Location::parse(PROPERTY, uri) {
                Ok(Location::File(path)) => AuditTarget::File(path),
                _ => {
                    self.problems.add(Problem::at(
                        PROPERTY,
                        Code::InvalidValue,
                        format!("{} is neither off, log nor a local file", excerpt(uri)),
                        "Set it to log, or to a URI such as file:///var/log/emrkeys/audit.json.",
                    ));
                    AuditTarget::Off
                }
            },
        }
    }

    pub(super) fn stats_interval(&mut self) -> Duration {
        self.duration("emrkeys.stats.log-interval", Duration::ZERO, Duration::ZERO..=DAY)
    }

    pub(super) fn cache(&mut self) -> Limits {
        let default = Limits::default();
        Limits {
            max_age: self.duration(
                "emrkeys.cache.max-age",
                default.max_age,
                Duration::from_millis(100)..=DAY * 7,
            ),
            max_uses: self.number("emrkeys.cache.max-uses", default.max_uses, 1..=1 << 32),
            max_entries: self.number("emrkeys.cache.max-entries", default.max_entries, 1..=10_000_000),
            max_stale: self.duration("emrkeys.cache.max-stale", default.max_stale, Duration::ZERO..=DAY),
            deadline: self.duration(
                "emrkeys.kms.deadline",
                default.deadline,
                Duration::from_millis(100)..=Duration::from_secs(600),
            ),
        }
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, property: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.get(property) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
            return *choice;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problems.add(Problem::at(
            property,
            Code::InvalidValue,
            format!("{} is none of its values", excerpt(value)),
            format!("Set it to one of: {}.", words.join(", ")),
        ));
        default
    }

    pub(super) fn jce(&mut self) -> JceSettings {
        let default = JceSettings::default();
        JceSettings {
            install: self.choice(
                "emrkeys.jce.install",
                default.install,
                &[
                    ("first", JceInstall::First),
                    ("last", JceInstall::Last),
                    ("off", JceInstall::Off),
                ],
            ),
            release: self.choice(
                "emrkeys.jce.release-unverified-plaintext",
                default.release,
                &[
                    ("never", JceRelease::Never),
                    ("sdk", JceRelease::Sdk),
                    ("always", JceRelease::Always),
                ],
            ),
            max_buffered_bytes: self.number(
                "emrkeys.jce.max-buffered-bytes",
                default.max_buffered_bytes,
                1..=MAX_BUFFERED_LIMIT,
            ),
            oaep_mgf1: self.choice(
                "emrkeys.jce.oaep-mgf1",
                default.oaep_mgf1,
                &[
                    ("sha1", JceMgf1::Sha1),
                    ("sha256", JceMgf1::Sha256),
                    ("both", JceMgf1::Both),
                ],
            ),
            stand_in_for_bc: self.flag("emrkeys.jce.stand-in-for-bc"),
        }
    }

    pub(super) fn local_disk(&mut self) -> LocalDisk {
        const RELEASE: &str = "emrkeys.local-disk.emr-release";
        let label = self.get(RELEASE);
        let release = label.and_then(release::parse);
        if let (Some(label), None) = (label, release) {
            self.problems.add(Problem::at(
                RELEASE,
                Code::InvalidValue,
                format!("{} is not a release label", excerpt(label)),
                "Write it as EMR does, such as emr-7.1.0.",
            ));
        }
        LocalDisk {
            key: self.name_of_key("emrkeys.local-disk.key"),
            release,
            release_file: self.get("emrkeys.local-disk.release-file").map(PathBuf::from),
        }
    }

    /// Splits `<prefix><name>.<field>` properties by name; names of a wrong form are a problem each.
    fn grouped(&mut self, prefix: &str) -> BTreeMap<&'a str, Fields<'a>> {
        let mut groups: BTreeMap<&str, Fields<'_>> = BTreeMap::new();
        for (property, value) in self.settings.range(prefix.to_owned()..) {
            let Some(rest) = property.strip_prefix(prefix) else {
                break;
            };
            // What has no field is an unknown property, and reported as such.
            let Some((name, field)) = rest.split_once('.') else {
                continue;
            };
            if !groups.contains_key(name) && !is_name(name) {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!("{} is not a name", excerpt(name)),
                    "Names are 1 to 64 letters, digits, '-' and '_'.",
                ));
                continue;
            }
            let fields = groups.entry(name).or_default();
            if !value.trim().is_empty() {
                fields.insert(field, value.trim());
            }
        }
        groups
    }

    pub(super) fn keys(&mut self) -> BTreeMap<String, KeyConfig> {
        let groups = self.grouped(KEY_PREFIX);
        groups
            .into_iter()
            .filter(|(_, fields)| !fields.is_empty())
            .filter_map(|(name, fields)| Some((name.to_owned(), self.key(name, &fields)?)))
            .collect()
    }

    fn key(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyConfig> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let of_type: &[&str] = match fields.get("type").copied() {
            Some("aes") => &["file", "credential", "encoding", "previous"],
            Some("rsa") => &[
                "public",
                "private",
                "password-credential",
                "legacy-name",
                "previous",
            ],
            Some("kms") => &["kms-key-id", PREVIOUS_KMS],
            Some("kms-cached") => &[
                "kms-key-id",
                PREVIOUS_KMS,
                "region",
                "endpoint",
                "role-arn",
                "external-id",
                "previous",
            ],
            Some("keyring") => &[
                "uri",
                "kms-key-id",
                "region",
                "endpoint",
                "role-arn",
                "external-id",
                "protector-key",
                "protector-file",
                "min-generation",
            ],
            Some("data-key-service") => &["url", "identity", "trust", "password-credential"],
            Some(other) => {
                self.problems.add(Problem::at(
                    property("type"),
                    Code::InvalidValue,
                    format!("{} is not a type of key", excerpt(other)),
                    TYPES,
                ));
                return None;
            }
            None => {
                self.problems.add(Problem::at(
                    property("type"),
                    Code::MissingProperty,
                    format!("key {name} has no type"),
                    TYPES,
                ));
                return None;
            }
        };
        let kind_name = fields["type"];
        for field in fields.keys() {
            let of_all = matches!(*field, "type" | "aliases")
                || field.starts_with("match.")
                || (kind_name == "kms-cached" && field.starts_with(CONTEXT));
            if !of_all && !of_type.contains(field) && properties::is_known(&property(field)) {
                self.problems.add(Problem::at(
                    property(field),
                    Code::Conflict,
                    format!("keys of type {kind_name} have no such property"),
                    format!("Remove it, or change {}.", property("type")),
                ));
            }
        }
        let kind = match kind_name {
            "aes" => self.aes(name, fields),
            "rsa" => self.rsa(name, fields),
            "kms-cached" => self.kms_cached(name, fields),
            "keyring" => self.keyring(name, fields),
            "data-key-service" => self.data_key_service(name, fields),
            _ => self.kms(name, fields),
        };
        let matches = self.matches(name, fields);
        Some(KeyConfig {
            kind: kind?,
            previous: list(fields.get("previous")),
            aliases: list(fields.get("aliases")),
            matches,
        })
    }

    fn missing(&mut self, property: String, remedy: &str) {
        self.problems
            .add(Problem::at(property, Code::MissingProperty, "is not set", remedy));
    }

    fn file(&mut self, property: String, value: &str) -> Option<FileRef> {
        let location = self.problems.keep(Location::parse(&property, value))?;
        if matches!(&location, Location::External(uri) if !uri.contains(':'))
            && property.starts_with("emrkeys.")
        {
            self.problems.add(Problem::at(
                property,
                Code::InvalidUri,
                format!("{} has no scheme", excerpt(value)),
                "Write file:///path for a local file, hdfs:///path or s3://bucket/key for another.",
            ));
            return None;
        }
        Some(FileRef { property, location })
    }

    fn aes(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let encoding = match fields.get("encoding").copied() {
            None | Some("auto") => Encoding::Auto,
            Some("raw") => Encoding::Raw,
            Some("hex") => Encoding::Hex,
            Some("base64") => Encoding::Base64,
            Some(other) => {
                self.problems.add(Problem::at(
                    property("encoding"),
                    Code::InvalidValue,
                    format!("{} is not an encoding", excerpt(other)),
                    "Set it to auto, raw, hex or base64.",
                ));
                return None;
            }
        };
        let origin = match (fields.get("file"), fields.get("credential")) {
            (Some(file), None) => Origin::File(self.file(property("file"), file)?),
            (None, Some(alias)) => Origin::Credential(CredentialRef {
                property: property("credential"),
                alias: (*alias).to_owned(),
            }),
            (None, None) => {
                self.missing(
                    property("file"),
                    "Set it to the URI of the key file, or set .credential to a credential alias.",
                );
                return None;
            }
            (Some(_), Some(_)) => {
                self.problems.add(Problem::at(
                    property("credential"),
                    Code::Conflict,
                    "the key is given as a file and as a credential",
                    "Remove one of .file and .credential.",
                ));
                return None;
            }
        };
        Some(KeyKind::Aes { origin, encoding })
    }

    fn rsa(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let private = fields
            .get("private")
            .map(|uri| self.file(property("private"), uri));
        let public = match fields.get("public") {
            Some(uri) => self.file(property("public"), uri),
            None => {
                self.missing(property("public"), "Set it to the URI of the public key.");
                None
            }
        };
        let password = fields.get("password-credential").map(|alias| CredentialRef {
            property: property("password-credential"),
            alias: (*alias).to_owned(),
        });
        Some(KeyKind::Rsa(RsaConfig {
            public: public?,
            private: match private {
                None => None,
                Some(file) => Some(file?),
            },
            password,
            legacy_name: fields.get("legacy-name").map(|name| (*name).to_owned()),
            permissions: Permissions::Enforce,
        }))
    }

    fn kms(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = format!("{KEY_PREFIX}{name}.kms-key-id");
        let Some(key_id) = fields.get("kms-key-id") else {
            self.missing(property, "Set it to the ARN, id or alias of the KMS key.");
            return None;
        };
        let key_id = self.kms_key_id(property, key_id)?;
        let previous = self.previous_kms_keys(name, fields);
        Some(KeyKind::Kms(KmsConfig { key_id, previous }))
    }

    /// What an alias stood for once only its owner knows, so that each is named by itself.
    fn previous_kms_keys(&mut self, name: &str, fields: &Fields<'a>) -> Vec<String> {
        let property = format!("{KEY_PREFIX}{name}.{PREVIOUS_KMS}");
        let mut keys = Vec::new();
        for id in list(fields.get(PREVIOUS_KMS)) {
            if is_alias(&id) {
                self.problems.add(Problem::at(
                    &property,
                    Code::InvalidValue,
                    format!(
                        "{} is an alias, and may stand for another key tomorrow",
                        excerpt(&id)
                    ),
                    "Name the older keys by ARN.",
                ));
            } else {
                keys.extend(self.kms_key_id(property.clone(), &id));
            }
        }
        keys
    }

    fn kms_cached(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let Some(key_id) = fields.get("kms-key-id") else {
            self.missing(
                property("kms-key-id"),
                "Set it to the ARN, id or alias of the KMS key.",
            );
            return None;
        };
        let access = self.kms_access(name, fields);
        let context = self.context(name, fields);
        let previous = self.previous_kms_keys(name, fields).into_iter();
        let previous = previous.map(|key_id| KmsTarget {
            property: property(PREVIOUS_KMS),
            key_id,
            access: access.clone(),
        });
        Some(KeyKind::KmsCached(KmsCachedConfig {
            previous: previous.collect(),
            target: KmsTarget {
                key_id: self.kms_key_id(property("kms-key-id"), key_id)?,
                property: property("kms-key-id"),
                access,
            },
            context,
        }))
    }

    fn kms_access(&mut self, name: &str, fields: &Fields<'a>) -> KmsAccess {
        let text = |field: &str| fields.get(field).map(|value| (*value).to_owned());
        let role = match (text("role-arn"), text("external-id")) {
            (Some(arn), external_id) => Some(Role { arn, external_id }),
            (None, None) => None,
            (None, Some(_)) => {
                self.problems.add(Problem::at(
                    format!("{KEY_PREFIX}{name}.external-id"),
                    Code::Conflict,
                    "an external id is for assuming a role, and no role is named",
                    "Set .role-arn, or remove it.",
                ));
                None
            }
        };
        KmsAccess {
            endpoint: text("endpoint"),
            region: text("region"),
            role,
        }
    }

    fn keyring(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let document = match fields.get("uri") {
            Some(uri) => self.file(property("uri"), uri),
            None => {
                self.missing(property("uri"), "Set it to the URI of the keyring.");
                None
            }
        };
        let access = self.kms_access(name, fields);
        let ids = list(fields.get("kms-key-id"));
        if ids.len() > 1 && ids.iter().any(|id| is_alias(id)) {
            self.problems.add(Problem::at(
                property("kms-key-id"),
                Code::InvalidValue,
                "among several KMS keys there is an alias, and only KMS knows which key it stands for",
                "Name them by ARN.",
            ));
        }
        let mut kms = Vec::new();
        for id in &ids {
            kms.extend(
                self.kms_key_id(property("kms-key-id"), id)
                    .map(|key_id| KmsTarget {
                        property: property("kms-key-id"),
                        key_id,
                        access: access.clone(),
                    }),
            );
        }
        let mut files = Vec::new();
        for uri in list(fields.get("protector-file")) {
            files.extend(self.file(property("protector-file"), &uri));
        }
        let key = fields
            .get("protector-key")
            .map(|key| (property("protector-key"), (*key).to_owned()));
        if ids.is_empty() && key.is_none() && !fields.contains_key("protector-file") {
            self.missing(
                property("kms-key-id"),
                "Say what may protect the keyring: set it to the ARN of a KMS key, or set .protector-key or .protector-file.",
            );
        }
        let min_generation = self.number(&property("min-generation"), 1, 1..=(1 << 53) - 1);
        Some(KeyKind::Keyring(KeyringConfig {
            document: document?,
            kms,
            files,
            key,
            min_generation,
        }))
    }

    pub(super) fn keyring_max_age(&mut self) -> Duration {
        self.duration(
            "emrkeys.keyring.max-age",
            Duration::from_secs(300),
            Duration::from_secs(1)..=Duration::from_secs(7 * 86_400),
        )
    }

    fn data_key_service(&mut self, name: &str, fields: &Fields<'a>) -> Option<KeyKind> {
        let property = |field: &str| format!("{KEY_PREFIX}{name}.{field}");
        let url = match fields.get("url") {
            None => {
                self.missing(
                    property("url"),
                    "Set it to the address of the data key service: what stands before /datakey.",
                );
                None
            }
            Some(url) => {
                let url = ServiceUrl::parse(url).map_err(|why| {
                    Problem::at(
                        property("url"),
                        Code::InvalidUri,
                        why,
                        "Write it as https://host:port/path; http: is for services on this machine (localhost) alone.",
                    )
                });
                self.problems.keep(url)
            }
        };
        let mut files = ["identity", "trust"].map(|field| {
            let uri = fields.get(field)?;
            Some(self.file(property(field), uri))
        });
        match &url {
            Some(url) if url.is_tls() && files[0].is_none() => self.missing(
                property("identity"),
                "Set it to the URI of a file with the client's certificate and private key: the service gives keys to whom it knows.",
            ),
            Some(url) if !url.is_tls() => {
                for field in ["identity", "trust"].into_iter().filter(|field| fields.contains_key(field)) {
                    self.problems.add(Problem::at(
                        property(field),
                        Code::Conflict,
                        "over http no certificate is shown or asked for",
                        "Write .url with https:, or remove it.",
                    ));
                }
            }
            _ => {}
        }
        let [identity, trust] = [files[0].take(), files[1].take()];
        Some(KeyKind::DataKeyService(DataKeyServiceConfig {
            url: url?,
            identity: identity.flatten(),
            trust: trust.flatten(),
            password: fields.get("password-credential").map(|alias| CredentialRef {
                property: property("password-credential"),
                alias: (*alias).to_owned(),
            }),
        }))
    }

    /// What the user adds to the encryption context. It is stored with every object, where room is short.
    fn context(&mut self, name: &str, fields: &Fields<'a>) -> Context {
        const MOST: usize = 400;
        let context: Context = fields
            .iter()
            .filter_map(|(field, value)| Some((field.strip_prefix(CONTEXT)?.to_owned(), (*value).to_owned())))
            .collect();
        let bytes: usize = context
            .iter()
            .map(|(field, value)| field.len() + value.len())
            .sum();
        let reserved = context
            .keys()
            .find(|field| field.starts_with("aws:") || field.starts_with("emrkeys."));
        let strange = context
            .iter()
            .find(|(field, value)| field.chars().chain(value.chars()).any(char::is_control));
        let problem = if let Some(field) = reserved.or(strange.map(|(field, _)| field)) {
            Some((
                field.clone(),
                "names that start with aws: or emrkeys. are reserved, and control characters cannot be stored",
                "Choose another name or value.",
            ))
        } else {
            (bytes > MOST).then(|| {
                let field = context.keys().next().cloned().unwrap_or_default();
                (
                    field,
                    "the encryption context has more than 400 bytes in all, and is stored with every object",
                    "Shorten it.",
                )
            })
        };
        if let Some((field, what, remedy)) = problem {
            self.problems.add(Problem::at(
                format!("{KEY_PREFIX}{name}.{CONTEXT}{field}"),
                Code::InvalidValue,
                what,
                remedy,
            ));
        }
        context
    }

    /// KMS decides whether a key exists; here only what can be no key of any account is refused.
    fn kms_key_id(&mut self, property: String, value: &str) -> Option<String> {
        let bad = value.chars().any(|c| c.is_whitespace() || c.is_control()) || value.len() > 2048;
        let arn = value
            .strip_prefix("arn:")
            .map(|rest| rest.splitn(5, ':').collect::<Vec<_>>());
        let bad_arn = arn.is_some_and(|parts| {
            !matches!(parts[..], [_, "kms", region, account, resource]
                if !region.is_empty() && !account.is_empty()
                    && (resource.starts_with("key/") || resource.starts_with("alias/")))
        });
        if bad || bad_arn || value == "alias/" {
            self.problems.add(Problem::at(
                property,
                Code::InvalidValue,
                format!("{} does not name a KMS key", excerpt(value)),
                "Write an ARN (arn:aws:kms:region:account:key/id), a key id or alias/name.",
            ));
            return None;
        }
        Some(value.to_owned())
    }

    fn matches(&mut self, name: &str, fields: &Fields<'a>) -> Vec<(String, String)> {
        let mut matches = Vec::new();
        for (field, value) in fields
            .iter()
            .filter_map(|(field, value)| Some((field.strip_prefix("match.")?, *value)))
        {
            let ours = field.starts_with("emrkeys.");
            let of_request = ["Path", "DstPath", "JobflowId"]
                .iter()
                .any(|known| field.eq_ignore_ascii_case(known));
            if ours || of_request {
                self.problems.add(Problem::at(
                    format!("{KEY_PREFIX}{name}.match.{field}"),
                    Code::InvalidValue,
                    format!(
                        "{} is not a field of another provider's description",
                        excerpt(field)
                    ),
                    "Use .aliases for a renamed key, a rule for a location.",
                ));
            } else {
                matches.push((field.to_owned(), value.to_owned()));
            }
        }
        matches
    }

    pub(super) fn rules(&mut self) -> Vec<Rule<RuleTarget>> {
        let mut rules = Vec::new();
        for (name, fields) in self.grouped(RULE_PREFIX) {
            if fields.is_empty() {
                continue;
            }
            let property = |field: &str| format!("{RULE_PREFIX}{name}.{field}");
            let key = fields.get("key").copied();
            if key.is_none() {
                self.missing(
                    property("key"),
                    "Set it to the name of the key for these locations.",
                );
            }
            let prefixes = list(fields.get("prefix"));
            if prefixes.is_empty() {
                self.missing(
                    property("prefix"),
                    "Set it to one or more prefixes such as s3://bucket/folder/.",
                );
            }
            let job_flows = list(fields.get("job-flow"));
            for id in job_flows.iter().filter(|id| !id.starts_with("j-")) {
                self.problems.add(Problem::at(
                    property("job-flow"),
                    Code::InvalidValue,
                    format!("{} is not a job flow id", excerpt(id)),
                    "Write ids of clusters, such as j-2AXXXXXXGAPLF.",
                ));
            }
            let target = RuleTarget {
                rule: name.to_owned(),
                key: key.unwrap_or_default().to_owned(),
            };
            for prefix in prefixes {
                let Some(prefix) = self.prefix(property("prefix"), &prefix) else {
                    continue;
                };
                if key.is_none() {
                    continue;
                }
                if job_flows.is_empty() {
                    rules.push(Rule {
                        prefix,
                        job_flow: None,
                        target: target.clone(),
                    });
                    continue;
                }
                rules.extend(job_flows.iter().map(|id| Rule {
                    prefix: prefix.clone(),
                    job_flow: Some(id.clone()),
                    target: target.clone(),
                }));
            }
        }
        rules
    }

    fn prefix(&mut self, property: String, text: &str) -> Option<S3Location> {
        let parsed = S3Location::parse(text).map_err(|error| {
            Problem::at(
                property,
                Code::InvalidUri,
                error.to_string(),
                "Write prefixes as s3://bucket/folder/.",
            )
        });
        self.problems.keep(parsed)
    }

    /// The key that the properties of AWS's own providers define.
    pub(super) fn drop_in_key(&mut self) -> Option<KeyConfig> {
        let public = self.get(RSA_PUBLIC);
        let private = self.get(RSA_PRIVATE);
        let kms = self.get(KMS_KEY_ID);
        let kind = match (public, private, kms) {
            (None, None, None) => return None,
            (None, None, Some(key_id)) => {
                let key_id = self.kms_key_id(KMS_KEY_ID.to_owned(), key_id)?;
                KeyKind::Kms(KmsConfig {
                    key_id,
                    previous: Vec::new(),
                })
            }
            (_, _, Some(_)) => {
                self.problems.add(Problem::at(
                    KMS_KEY_ID,
                    Code::Conflict,
                    format!(
                        "{KMS_KEY_ID} and {RSA_PUBLIC} are both set, and each would define the default key"
                    ),
                    "Remove the one that is not used, or configure keys by emrkeys.key.<name>.type.",
                ));
                return None;
            }
            (None, Some(_), None) => {
                self.missing(RSA_PUBLIC.to_owned(), "Set it to the URI of the public key.");
                return None;
            }
            (Some(public), private, None) => {
                let private = private.map(|uri| self.file(RSA_PRIVATE.to_owned(), uri));
                KeyKind::Rsa(RsaConfig {
                    public: self.file(RSA_PUBLIC.to_owned(), public)?,
                    private: match private {
                        None => None,
                        Some(file) => Some(file?),
                    },
                    password: None,
                    legacy_name: self.get(RSA_NAME).map(str::to_owned),
                    permissions: Permissions::Warn,
                })
            }
        };
        Some(KeyConfig {
            kind,
            previous: Vec::new(),
            aliases: Vec::new(),
            matches: Vec::new(),
        })
    }
}

fn list(value: Option<&&str>) -> Vec<String> {
    value
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim_end().parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}
