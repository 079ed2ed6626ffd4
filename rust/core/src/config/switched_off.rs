//! Properties of AWS's providers that a key of our own switches off. Objects that were written under them stay readable
//! only if a key takes over the names that these objects carry.

use std::collections::BTreeMap;

use super::drop_in::{KMS_KEY_ID, RSA_NAME, RSA_PRIVATE, RSA_PUBLIC};
use super::keys::KeyConfig;
use super::DROP_IN_KEY;
use crate::aws::arn::same_kms_key;
use crate::description;
use crate::error::excerpt;
use crate::inputs::Settings;

/// A sentence for each name that no key takes over, given that `keys` are not those of AWS's properties.
pub(super) fn warnings(settings: &Settings, keys: &BTreeMap<String, KeyConfig>) -> Vec<String> {
    let get = |property: &str| {
        let value = settings.get(property).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    };
    let mut warnings = Vec::new();
    if let Some(id) = get(KMS_KEY_ID).filter(|id| {
        !keys.values().any(|key| {
            is_known_as(key, description::KMS_KEY_ID, |known| {
                known == *id || same_kms_key(known, id)
            })
        })
    }) {
        warnings.push(format!(
            "{KMS_KEY_ID} has no effect, because emrkeys.key.… configures keys, and no key of type kms has the id {}: \
             objects that EMRFS's KMS provider wrote under it cannot be read. Configure a key of type kms with that \
             kms-key-id, or remove the property if there are no such objects (docs/migration.md)",
            excerpt(id)
        ));
    }
    let rsa = [RSA_PUBLIC, RSA_PRIVATE, RSA_NAME];
    let Some(property) = rsa.into_iter().find(|property| get(property).is_some()) else {
        return warnings;
    };
    let mut names = keys
        .iter()
        .flat_map(|(name, key)| std::iter::once(name).chain(&key.aliases));
    if !names.any(|name| name == DROP_IN_KEY) {
        warnings.push(format!(
            "{property} has no effect, because emrkeys.key.… configures keys, and no key has the name or the alias \
             {DROP_IN_KEY}: objects that were written while fs.s3.cse.rsa.* defined the key carry that name and cannot \
             be read. Set emrkeys.key.<name>.aliases={DROP_IN_KEY} for the key that replaces it, or remove \
             fs.s3.cse.rsa.* if there are no such objects (docs/migration.md)"
        ));
    }
    if let Some(name) = get(RSA_NAME).filter(|name| {
        !keys
            .values()
            .any(|key| is_known_as(key, description::RSA_NAME, |known| known == *name))
    }) {
        warnings.push(format!(
            "{RSA_NAME} has no effect, because emrkeys.key.… configures keys, and no key has the legacy-name {}: \
             objects that AWS's RSA provider wrote cannot be read. Set emrkeys.key.<name>.legacy-name for the key with \
             that pair, or remove fs.s3.cse.rsa.* if there are no such objects (docs/migration.md)",
            excerpt(name)
        ));
    }
    warnings
}

/// Whether a key is known by a value of `field` of other providers' descriptions that `same` accepts.
fn is_known_as(key: &KeyConfig, field: &str, same: impl Fn(&str) -> bool) -> bool {
    let matches = key
        .matches
        .iter()
        .map(|(field, value)| (field.as_str(), value.as_str()));
    let mut names = key.kind.peer_names().into_iter().chain(matches);
    names.any(|(known, value)| known == field && same(value))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use crate::client::Client;
    use crate::inputs::Settings;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const RSA: [(&str, &str); 3] = [
        ("fs.s3.cse.rsa.public", "file:///a.pub"),
        ("fs.s3.cse.rsa.private", "file:///a.pk8"),
        ("fs.s3.cse.rsa.name", "payroll-2019"),
    ];
    const KEY: [(&str, &str); 3] = [
        ("emrkeys.key.a.type", "rsa"),
        ("emrkeys.key.a.public", "file:///a.pub"),
        ("emrkeys.default.key", "a"),
    ];

    /// The properties that the warnings begin with.
    fn warned(entries: &[&[(&str, &str)]]) -> Vec<String> {
        let settings: Settings = entries
            .concat()
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let config = Config::parse(Client::S3, &settings).unwrap();
        let first = |warning: &String| warning.split(' ').next().unwrap_or_default().to_owned();
        config.warnings.iter().map(first).collect()
    }

    #[test]
    fn a_name_that_the_drop_in_gave_is_missed() {
        assert!(warned(&[&RSA]).is_empty());
        assert!(warned(&[&KEY]).is_empty());
        assert_eq!(
            warned(&[&RSA, &KEY]),
            ["fs.s3.cse.rsa.public", "fs.s3.cse.rsa.name"]
        );
        let alias = [("emrkeys.key.a.aliases", "default")];
        assert_eq!(warned(&[&RSA, &KEY, &alias]), ["fs.s3.cse.rsa.name"]);
        for name in [
            ("emrkeys.key.a.legacy-name", "payroll-2019"),
            ("emrkeys.key.a.match.rsa_name", "payroll-2019"),
        ] {
            assert_eq!(warned(&[&RSA, &KEY, &[name]]), ["fs.s3.cse.rsa.public"]);
            assert!(warned(&[&RSA, &KEY, &alias, &[name]]).is_empty());
        }
    }

    #[test]
    fn a_kms_key_that_no_key_takes_over_is_missed() {
        let property = [("fs.s3.cse.kms.keyId", ARN)];
        assert!(warned(&[&property]).is_empty());
        assert_eq!(warned(&[&property, &KEY]), ["fs.s3.cse.kms.keyId"]);
        for (id, expected) in [
            (ARN, 0),
            ("1234abcd-12ab-34cd-56ef-1234567890ab", 0),
            ("alias/other", 1),
        ] {
            let kms = [("emrkeys.key.k.type", "kms"), ("emrkeys.key.k.kms-key-id", id)];
            assert_eq!(warned(&[&property, &KEY, &kms]).len(), expected, "{id}");
        }
        let cached = [
            ("emrkeys.key.k.type", "kms-cached"),
            ("emrkeys.key.k.kms-key-id", ARN),
        ];
        assert_eq!(warned(&[&property, &KEY, &cached]), ["fs.s3.cse.kms.keyId"]);
        assert!(warned(&[&property, &KEY, &[("emrkeys.key.a.match.kms_cmk_id", ARN)]]).is_empty());
    }
}
