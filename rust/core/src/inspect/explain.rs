//! Which key a new object would get, and why: the rules, looked at one by one and without asking anybody.

use crate::config::loader::Loader;
use crate::config::{Config, KeyConfig, KeyKind, KeyringKey, RuleTarget};
use crate::error::{Code, Error, Problem};
use crate::inputs::Inputs;
use crate::keyring::{self, State};
use crate::material::{Location, Permissions, Secrecy};
use crate::source::load::load_version;
use crate::uri::S3Location;

use secrecy::ExposeSecret;

/// Why a new object at one location gets its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Where the object will be once its job is committed, if it is written below a committer's folder.
    pub committed: Option<String>,
    /// The rules whose prefix the location has, longest prefix first.
    pub considered: Vec<Considered>,
    /// How many prefixes of rules the location does not have.
    pub others: usize,
    /// The name of the key; `None`: the write is refused.
    pub key: Option<String>,
    /// Whether it is `emrkeys.default.key`.
    pub by_default: bool,
}

/// A rule with a prefix that the location has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The rule's name.
    pub rule: String,
    /// Its prefix, as a URI.
    pub prefix: String,
    /// The cluster for whose writes alone it is.
    pub job_flow: Option<String>,
    /// The key that it gives.
    pub key: String,
    /// The verdict on it.
    pub verdict: Verdict,
}

/// The verdict on a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gives the key.
    Wins,
    /// Another one has a longer prefix.
    Shorter,
    /// Another one with the same prefix is for this cluster alone.
    LessSpecific,
    /// It is for the writes of another cluster.
    OtherJobFlow,
}

/// The version of a key that would encrypt now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// Its name in descriptions.
    Version(String),
    /// The same, from a keyring that nobody verified.
    Unverified(String),
    /// KMS makes a key when one is needed, under this KMS key.
    Kms(String),
    /// It is not on this machine, so that it was not looked at: where it is.
    Elsewhere(String),
}

/// The key of a new object at `uri`, whose key is literal, written by the cluster `job_flow`.
///
/// # Errors
/// `INVALID_URI`
pub fn explain(config: &Config, uri: &str, job_flow: Option<&str>) -> Result<Explanation, Error> {
    let named = S3Location::literal(uri).map_err(|error| {
        Problem::new(
            Code::InvalidUri,
            error.to_string(),
            "Write it as s3://bucket/key.",
        )
    })?;
    let key = String::from_utf8_lossy(&named.key);
    let location = S3Location::for_rules(config.client, &named.bucket, &key);
    let committed = location.committed();
    let winner = config.rules.find(&committed, job_flow);
    let mut matching: Vec<(S3Location, Option<&str>, &RuleTarget)> = Vec::new();
    let mut others = 0;
    for entry in config.rules.entries() {
        if entry.0.bucket == committed.bucket && committed.key.starts_with(&entry.0.key) {
            matching.push(entry);
        } else {
            others += 1;
        }
    }
    matching.sort_by_key(|(prefix, of, _)| (std::cmp::Reverse(prefix.key.len()), of.is_none()));
    let mut won_at = None;
    let considered = matching.into_iter().map(|(prefix, of, target)| {
        let verdict = match (of, won_at) {
            (Some(id), _) if Some(id) != job_flow => Verdict::OtherJobFlow,
            (_, None) => {
                won_at = Some(prefix.key.len());
                Verdict::Wins
            }
            (_, Some(length)) if length == prefix.key.len() => Verdict::LessSpecific,
            (_, Some(_)) => Verdict::Shorter,
        };
        Considered {
            rule: target.rule.clone(),
            prefix: prefix.to_string(),
            job_flow: of.map(str::to_owned),
            key: target.key.clone(),
            verdict,
        }
    });
    let considered: Vec<Considered> = considered.collect();
    Ok(Explanation {
        committed: (*committed != location).then(|| named.committed().shown()),
        considered,
        others,
        key: winner
            .map(|target| &target.key)
            .or(config.default_key.as_ref())
            .cloned(),
        by_default: winner.is_none() && config.default_key.is_some(),
    })
}

/// The version of a key that would encrypt now, as far as this machine's disks say. Asks no service.
///
/// # Errors
/// Every problem of the key's material.
pub fn current_version(config: &Config, key: &str) -> Result<Current, Error> {
    let Some(KeyConfig { kind, .. }) = config.keys.get(key) else {
        let problem = Problem::new(
            Code::UnknownKey,
            format!("{key} is not configured"),
            "Configure it.",
        );
        return Err(problem.into());
    };
    if let Some(url) = kind.service_url() {
        return Ok(Current::Elsewhere(url.to_owned()));
    }
    let files = kind.material_files();
    if let ([], [target, ..]) = (files.as_slice(), kind.kms_targets()) {
        return Ok(Current::Kms(target.key_id.clone()));
    }
    let away = files.iter().map(|file| &file.location);
    if let Some(location) = away.into_iter().find(|place| !matches!(place, Location::File(_))) {
        return Ok(Current::Elsewhere(location.to_string()));
    }
    if let Some(credential) = kind.credentials().first() {
        return Ok(Current::Elsewhere(format!("credential {}", credential.alias)));
    }
    let inputs = Inputs::new();
    let mut loader = Loader {
        config,
        inputs: &inputs,
        warnings: Vec::new(),
    };
    if let KeyKind::Keyring(keyring) = kind {
        return active_version(keyring, &mut loader);
    }
    // An older version may be elsewhere, and does not matter here.
    Ok(Current::Version(load_version(key, &mut loader)?.id))
}

fn active_version(keyring: &KeyringKey, loader: &mut Loader) -> Result<Current, Error> {
    let mut versions = versions(keyring, loader)?.into_iter();
    let active = versions.find(|(_, state)| *state == State::Active);
    Ok(Current::Unverified(active.map(|(id, _)| id).unwrap_or_default()))
}

/// All versions in the keyring of a key, with their states, oldest first; nobody verified them. Empty for another type
/// of key, and for a keyring that is not on this machine. Asks no service.
///
/// # Errors
/// Every problem of the keyring's document.
pub fn keyring_versions(config: &Config, key: &str) -> Result<Vec<(String, State)>, Error> {
    let inputs = Inputs::new();
    let mut loader = Loader {
        config,
        inputs: &inputs,
        warnings: Vec::new(),
    };
    match config.keys.get(key).map(|key| &key.kind) {
        Some(KeyKind::Keyring(keyring)) if matches!(keyring.document.location, Location::File(_)) => {
            versions(keyring, &mut loader)
        }
        _ => Ok(Vec::new()),
    }
}

fn versions(keyring: &KeyringKey, loader: &mut Loader) -> Result<Vec<(String, State)>, Error> {
    let document = loader.file_within(
        keyring::MAX_DOCUMENT,
        &keyring.document,
        Secrecy::Authentic,
        Permissions::Enforce,
    )?;
    let found = keyring::inspect(document.expose_secret())?;
    let versions = found.versions.into_iter();
    Ok(versions.map(|version| (version.id, version.state)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::inputs::Settings;
    use proptest::prelude::*;
    use std::os::unix::fs::OpenOptionsExt;

    fn settings(properties: &[(&str, &str)]) -> Settings {
        let known = [
            ("emrkeys.key.k.type", "kms-cached"),
            ("emrkeys.key.k.kms-key-id", "alias/k"),
            ("emrkeys.key.l.type", "kms-cached"),
            ("emrkeys.key.l.kms-key-id", "alias/l"),
            ("fs.s3.cse.materialsDescription.enabled", "true"),
        ];
        let all = known.iter().chain(properties);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn every_rule_that_matches_is_told_with_its_fate() {
        let settings = settings(&[
            ("emrkeys.rule.all.prefix", "s3://lake/"),
            ("emrkeys.rule.all.key", "k"),
            ("emrkeys.rule.pii.prefix", "s3://lake/pii/,s3://other/"),
            ("emrkeys.rule.pii.key", "l"),
            ("emrkeys.rule.mine.prefix", "s3://lake/pii/"),
            ("emrkeys.rule.mine.job-flow", "j-1"),
            ("emrkeys.rule.mine.key", "k"),
        ]);
        let config = Config::parse(Client::S3, &settings).unwrap();
        let verdicts = |uri: &str, job_flow| {
            let found = explain(&config, uri, job_flow).unwrap();
            let verdicts = found
                .considered
                .into_iter()
                .map(|c| (c.rule, c.verdict))
                .collect::<Vec<_>>();
            (verdicts, found.key, found.others)
        };
        let told = |rule: &str, verdict| (rule.to_owned(), verdict);
        assert_eq!(
            verdicts("s3a://lake/pii/a", None),
            (
                vec![
                    told("mine", Verdict::OtherJobFlow),
                    told("pii", Verdict::Wins),
                    told("all", Verdict::Shorter)
                ],
                Some("l".to_owned()),
                1
            )
        );
        assert_eq!(
            verdicts("s3://lake/pii/a", Some("j-1")).0[..2],
            [told("mine", Verdict::Wins), told("pii", Verdict::LessSpecific)]
        );
        assert_eq!(verdicts("s3://none/a", None), (vec![], None, 4));
        let staged = explain(
            &config,
            "s3://lake/pii/_temporary/0/_temporary/attempt_1/part-0",
            None,
        )
        .unwrap();
        assert_eq!(staged.committed.as_deref(), Some("s3://lake/pii/part-0"));
        assert_eq!(explain(&config, "/a", None).unwrap_err().code(), Code::InvalidUri);
    }

    #[test]
    fn the_version_is_told_where_the_key_is_at_hand_and_otherwise_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        let mut options = std::fs::OpenOptions::new();
        let mut open = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .unwrap();
        std::io::Write::write_all(&mut open, &[7; 32]).unwrap();
        let file = format!("file://{}", file.display());
        let settings = settings(&[
            ("emrkeys.key.a.type", "aes"),
            ("emrkeys.key.a.file", &file),
            ("emrkeys.key.a.previous", "b"),
            ("emrkeys.key.b.type", "aes"),
            ("emrkeys.key.b.file", "s3://keys/b"),
            ("emrkeys.key.c.type", "aes"),
            ("emrkeys.key.c.file", "file:///none/c"),
            ("emrkeys.default.key", "a"),
        ]);
        let config = Config::parse(Client::S3, &settings).unwrap();
        let fingerprint = emrkeys_crypto::fingerprint::aes(&[7; 32]);
        assert_eq!(
            current_version(&config, "a").unwrap(),
            Current::Version(fingerprint)
        );
        assert_eq!(
            current_version(&config, "b").unwrap(),
            Current::Elsewhere("s3://keys/b".to_owned())
        );
        assert_eq!(
            current_version(&config, "k").unwrap(),
            Current::Kms("alias/k".to_owned())
        );
        assert_eq!(
            current_version(&config, "c").unwrap_err().code(),
            Code::KeyFileNotFound
        );
        assert_eq!(
            current_version(&config, "d").unwrap_err().code(),
            Code::UnknownKey
        );
    }

    proptest! {
        #[test]
        fn the_rule_that_wins_is_the_one_that_a_write_would_get(
            prefixes in prop::collection::btree_set(("[ab]{0,3}", prop::option::of("[12]")), 0..6),
            key in "[ab]{0,5}",
            job_flow in prop::option::of("[12]"),
        ) {
            let mut properties = settings(&[]);
            for (number, (prefix, of)) in prefixes.iter().enumerate() {
                properties.insert(format!("emrkeys.rule.r{number}.prefix"), format!("s3://lake/{prefix}"));
                properties.insert(format!("emrkeys.rule.r{number}.key"), "k".to_owned());
                if let Some(of) = of {
                    properties.insert(format!("emrkeys.rule.r{number}.job-flow"), format!("j-{of}"));
                }
            }
            let config = Config::parse(Client::S3, &properties).unwrap();
            let uri = format!("s3://lake/{key}");
            let job_flow = job_flow.map(|id| format!("j-{id}"));
            let told = explain(&config, &uri, job_flow.as_deref()).unwrap();
            let winners: Vec<&Considered> = told.considered.iter().filter(|c| c.verdict == Verdict::Wins).collect();
            let location = S3Location::parse(&uri).unwrap();
            let found = config.rules.find(&location, job_flow.as_deref());
            prop_assert_eq!(winners.first().map(|c| &c.rule), found.map(|target| &target.rule));
            prop_assert!(winners.len() <= 1);
            prop_assert_eq!(told.considered.len() + told.others, prefixes.len());
        }
    }
}
