//! AWS KMS as a key service: what stands behind keys of type `kms-cached`.

use std::sync::Arc;

use base64ct::{Base64, Encoding};

use crate::aws::arn::{is_kms_alias, same_kms_key, Arn};
use crate::aws::kms::{Context, KmsTarget};
use crate::description::{self, invalid, StoredDescription};
use crate::error::{excerpt, Code, Failure, Problem};
use crate::key_service::kms_alias::{Alias, Stands};
use crate::key_service::{Answer, DescriptionCodec, KeyService, NewKey, WrappedKey};

use secrecy::SecretSlice;

/// The most bytes of a wrapped key that are sent to KMS. Source: AWS KMS API reference, `Decrypt`, `CiphertextBlob`.
const MAX_CIPHERTEXT: usize = 6144;

/// Where the key's name stands in the encryption context, so that no wrapped key passes for one of another name.
const CONTEXT_NAME: &str = description::KEY;

/// KMS keys under one name: the first wraps, all unwrap.
pub(crate) struct KmsService {
    name: String,
    keys: Vec<KmsTarget>,
    /// The entries that the user adds to the encryption context.
    context: Context,
}

impl KmsService {
    /// `keys` has at least one.
    pub(crate) fn new(name: &str, keys: Vec<KmsTarget>, context: Context) -> Self {
        KmsService {
            name: name.to_owned(),
            keys,
            context,
        }
    }

    /// The configured key that `stored`, the ARN in a description, means, and the id by which it is called: always one
    /// that was configured, or that KMS gave for a configured alias. A multi-region key is the same key in every
    /// region, and the nearest is the one configured.
    fn trusted(&self, stored: &str) -> Option<(&KmsTarget, String)> {
        Arn::parse(stored)?.kms_key_id()?;
        self.keys.iter().find_map(|target| {
            let id = if is_kms_alias(&target.key_id) {
                match Alias::of(target).stands()? {
                    Stands::For(arn) => arn,
                    Stands::Unsaid => return None,
                }
            } else {
                target.key_id.clone()
            };
            same_kms_key(&id, stored).then_some((target, id))
        })
    }

    /// The configured aliases that may stand for the key with the ARN `stored`, as far as their names say.
    fn aliases<'a>(&'a self, stored: &'a str) -> impl Iterator<Item = (&'a KmsTarget, Arc<Alias>)> + 'a {
        let stored = Arn::parse(stored).filter(|stored| stored.kms_key_id().is_some());
        self.keys.iter().filter_map(move |target| {
            let own = Arn::parse(&target.key_id);
            let possible = match (stored, own) {
                (None, _) => false,
                (Some(stored), Some(own)) => own.is_same_account(&stored),
                (Some(_), None) => true,
            };
            (possible && is_kms_alias(&target.key_id)).then(|| (target, Alias::of(target)))
        })
    }

    fn unknown(&self, stored: &str) -> Problem {
        Problem::at(
            format!("emrkeys.key.{}.previous-kms-key-ids", self.name),
            Code::KeyVersionUnknown,
            format!(
                "the object was written with KMS key {}, which is none of those configured for key {}",
                excerpt(stored),
                self.name
            ),
            "If it is an older key of yours, such as one that the alias stood for, add its ARN here; \
             otherwise the object's description was changed.",
        )
    }

    /// As [`KeyService::open`], after KMS was asked for the keys that aliases stand for.
    async fn open_by_alias(&self, wrapped: &WrappedKey) -> Result<SecretSlice<u8>, Failure> {
        for (target, alias) in self.aliases(&wrapped.key_id) {
            alias.ask(target).await?;
        }
        if let Some((target, id)) = self.trusted(&wrapped.key_id) {
            return target.decrypt(&id, &wrapped.ciphertext, &wrapped.context).await;
        }
        for (target, alias) in self.aliases(&wrapped.key_id) {
            if alias.stands() != Some(Stands::Unsaid) {
                continue;
            }
            match target
                .decrypt(&target.key_id, &wrapped.ciphertext, &wrapped.context)
                .await
            {
                Err(Failure::Refused(problem)) if problem.code == Code::WrappedKeyInvalid => {}
                other => return other,
            }
        }
        Err(Failure::Refused(self.unknown(&wrapped.key_id)))
    }
}

impl KeyService for KmsService {
    fn generate(&self) -> Answer<'_, NewKey> {
        Box::pin(async {
            let context = with_name(&self.context, &self.name);
            let target = &self.keys[0];
            let made = target.generate(&context).await?;
            if is_kms_alias(&target.key_id) {
                Alias::of(target).learn(Stands::For(made.key_arn.clone()));
            }
            Ok(NewKey {
                plaintext: made.plaintext,
                wrapped: WrappedKey {
                    key_id: made.key_arn,
                    ciphertext: made.ciphertext,
                    context,
                },
            })
        })
    }

    fn open<'a>(&'a self, wrapped: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>> {
        Box::pin(async {
            match self.trusted(&wrapped.key_id) {
                Some((target, id)) => target.decrypt(&id, &wrapped.ciphertext, &wrapped.context).await,
                None => self.open_by_alias(wrapped).await,
            }
        })
    }
}

impl DescriptionCodec for KmsService {
    fn description(&self, wrapped: &WrappedKey) -> Vec<(String, String)> {
        let mut entries = vec![
            (description::KMS_ARN.to_owned(), wrapped.key_id.clone()),
            (
                description::WRAPPED.to_owned(),
                Base64::encode_string(&wrapped.ciphertext),
            ),
        ];
        // Stored, so that editing the configuration strands no object.
        entries.extend(
            self.context
                .iter()
                .map(|(field, value)| (format!("{}{field}", description::CONTEXT_PREFIX), value.clone())),
        );
        entries
    }

    fn wrapped(&self, stored: &StoredDescription) -> Result<WrappedKey, Problem> {
        let field = |name: &str| {
            stored
                .get(name)
                .ok_or_else(|| invalid(format!("it names key {} and has no {name}", excerpt(&self.name))))
        };
        let arn = field(description::KMS_ARN)?;
        let text = field(description::WRAPPED)?;
        let ciphertext = Base64::decode_vec(text)
            .ok()
            .filter(|bytes| !bytes.is_empty() && bytes.len() <= MAX_CIPHERTEXT)
            .ok_or_else(|| {
                invalid(format!(
                    "{} is not 1 to {MAX_CIPHERTEXT} bytes in base64",
                    description::WRAPPED
                ))
            })?;
        let may_ask =
            |(_, alias): (_, Arc<Alias>)| alias.may_have_moved() || alias.stands() == Some(Stands::Unsaid);
        if self.trusted(arn).is_none() && !self.aliases(arn).any(may_ask) {
            return Err(self.unknown(arn));
        }
        let user = stored.iter().filter_map(|(name, value)| {
            let field = name.strip_prefix(description::CONTEXT_PREFIX)?;
            Some((field.to_owned(), value.to_owned()))
        });
        let name = stored.get(description::KEY).unwrap_or(&self.name);
        Ok(WrappedKey {
            key_id: arn.to_owned(),
            ciphertext,
            context: with_name(&user.collect(), name),
        })
    }
}

fn with_name(context: &Context, name: &str) -> Context {
    let mut context = context.clone();
    context.insert(CONTEXT_NAME.to_owned(), name.to_owned());
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::kms::KmsAccess;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const MULTI: &str = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    const MULTI_ELSEWHERE: &str =
        "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    fn service(keys: &[&str]) -> KmsService {
        let target = |id: &&str| KmsTarget {
            property: "emrkeys.key.k.kms-key-id".to_owned(),
            key_id: (*id).to_owned(),
            access: KmsAccess::default(),
        };
        KmsService::new(
            "k",
            keys.iter().map(target).collect(),
            Context::from([("team".to_owned(), "a".to_owned())]),
        )
    }

    fn trusts(configured: &str, stored: &str) -> bool {
        service(&[configured]).trusted(stored).is_some()
    }

    /// Whether KMS would be asked anything for an object under `stored`.
    fn asks(service: &KmsService, stored: &str) -> bool {
        let entries = [("emrkeys.kms-key", stored), ("emrkeys.wrapped", "AAAA")];
        match service.wrapped(&entries.iter().copied().collect()) {
            Ok(_) => true,
            Err(problem) => {
                assert_eq!(problem.code, Code::KeyVersionUnknown);
                false
            }
        }
    }

    #[test]
    fn only_configured_kms_keys_are_trusted() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        assert!(trusts(ARN, ARN));
        assert!(!trusts(ARN, &ARN.replace("111122223333", "444455556666")));
        assert!(!trusts(ARN, &ARN.replace("eu-west-1", "us-east-1")));
        assert!(!trusts(id, MULTI));
        // A key id is called as it is configured: the object chooses neither region nor account.
        assert_eq!(service(&[id]).trusted(ARN).unwrap().1, id);
    }

    #[test]
    fn an_alias_trusts_the_key_that_kms_says_and_no_other() {
        for alias in ["alias/one", "arn:aws:kms:eu-west-1:111122223333:alias/one"] {
            let service = service(&[alias]);
            let foreign = ARN.replace("111122223333", "444455556666");
            assert!(service.trusted(ARN).is_none(), "before KMS has said anything");
            assert!(asks(&service, ARN));
            assert_eq!(asks(&service, &foreign), alias.starts_with("alias/"));
            for nonsense in ["", "arn:", "alias/one", "arn:aws:s3:::bucket", alias] {
                assert!(!asks(&service, nonsense), "{nonsense}");
            }
            Alias::of(&service.keys[0]).learn(Stands::For(ARN.to_owned()));
            assert_eq!(service.trusted(ARN).unwrap().1, ARN);
            for other in [&*foreign, MULTI] {
                assert!(service.trusted(other).is_none());
                assert!(!asks(&service, other), "KMS was asked just now");
            }
        }
        let listed = service(&["alias/two", MULTI]);
        Alias::of(&listed.keys[0]).learn(Stands::For(ARN.to_owned()));
        assert!(asks(&listed, ARN) && asks(&listed, MULTI));
    }

    #[test]
    fn a_multi_region_key_is_called_where_it_is_configured() {
        let service = service(&[ARN, MULTI]);
        assert_eq!(service.trusted(MULTI_ELSEWHERE).unwrap().1, MULTI);
        assert_eq!(service.trusted(MULTI).unwrap().1, MULTI);
    }

    #[test]
    fn what_is_stored_is_found_again() {
        let service = service(&[ARN]);
        let wrapped = WrappedKey {
            key_id: ARN.to_owned(),
            ciphertext: vec![7; 184],
            context: Context::from([
                ("emrkeys.key".to_owned(), "k".to_owned()),
                ("team".to_owned(), "a".to_owned()),
            ]),
        };
        let mut stored = service.description(&wrapped);
        stored.push(("emrkeys.key".to_owned(), "k".to_owned()));
        let size: usize = stored.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size < 1024, "{size}");
        let entries: Vec<(&str, &str)> = stored.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            service.wrapped(&entries.iter().copied().collect()).unwrap(),
            wrapped
        );

        let code = |field: &str, value: Option<&str>| {
            let mut changed: Vec<(&str, &str)> = entries.clone();
            changed.retain(|(name, _)| *name != field);
            changed.extend(value.map(|value| (field, value)));
            service
                .wrapped(&changed.iter().copied().collect())
                .unwrap_err()
                .code
        };
        assert_eq!(code("emrkeys.kms-key", Some(MULTI)), Code::KeyVersionUnknown);
        for broken in [None, Some(""), Some("not base64!")] {
            assert_eq!(code("emrkeys.wrapped", broken), Code::InvalidDescription);
        }
        assert_eq!(code("emrkeys.kms-key", None), Code::InvalidDescription);
    }
}
