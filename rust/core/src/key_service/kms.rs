//! AWS KMS as a key service: what stands behind keys of type `kms-cached`.

use base64ct::{Base64, Encoding};

use crate::aws::kms::{Context, KmsTarget};
use crate::description::{self, invalid, Description};
use crate::error::{excerpt, Code, Problem};
use crate::key_service::{Answer, KeyService, NewKey, WrappedKey};

use secrecy::SecretSlice;

/// The most bytes of a wrapped key that are sent to KMS. Source: AWS KMS API reference, `Decrypt`, `CiphertextBlob`.
const MAX_CIPHERTEXT: usize = 6144;

/// Where the key's name stands in the encryption context, so that no wrapped key passes for one of another name.
const CONTEXT_NAME: &str = description::KEY;

/// KMS keys under one name: the first wraps, all unwrap.
pub(crate) struct KmsService {
    name: String,
    keys: Vec<KmsTarget>,
    /// What the user adds to the encryption context.
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

    /// The configured key that stands for `arn`, and the ARN by which it is to be called: a multi-region key is the
    /// same key in every region, and the nearest is the one configured.
    fn trusted<'a>(&'a self, arn: &'a str) -> Option<(&'a KmsTarget, &'a str)> {
        let stored = Arn::parse(arn).filter(|stored| stored.resource.starts_with("key/"))?;
        self.keys.iter().find_map(|target| {
            let id = target.key_id.as_str();
            let as_stored = Some((target, arn));
            match Arn::parse(id) {
                Some(own) if own == stored => as_stored,
                Some(own) if own.resource.starts_with("key/mrk-") && own.same_but_region(&stored) => {
                    Some((target, id))
                }
                Some(own) if own.resource.starts_with("alias/") && own.same_but_resource(&stored) => {
                    as_stored
                }
                Some(_) => None,
                // An alias may have pointed at any key of the account, and IAM says which of them may be used.
                None if id.starts_with("alias/") => as_stored,
                None => (stored.resource.strip_prefix("key/") == Some(id)).then_some((target, arn)),
            }
        })
    }
}

impl KeyService for KmsService {
    fn generate(&self) -> Answer<'_, NewKey> {
        Box::pin(async {
            let context = with_name(&self.context, &self.name);
            let made = self.keys[0].generate(&context).await?;
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
            let (target, arn) = self
                .trusted(&wrapped.key_id)
                .unwrap_or((&self.keys[0], &wrapped.key_id));
            target.decrypt(arn, &wrapped.ciphertext, &wrapped.context).await
        })
    }

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

    fn wrapped(&self, stored: &Description) -> Result<WrappedKey, Problem> {
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
        if self.trusted(arn).is_none() {
            return Err(Problem::at(
                format!("emrkeys.key.{}.previous", self.name),
                Code::KeyVersionUnknown,
                format!(
                    "the object was written with KMS key {}, which is none of the {} configured for key {}",
                    excerpt(arn),
                    self.keys.len(),
                    self.name
                ),
                "Configure a key of type kms-cached with that kms-key-id and name it here; or the object's description was changed.",
            ));
        }
        let user = stored.entries().iter().filter_map(|(name, value)| {
            let field = name.strip_prefix(description::CONTEXT_PREFIX)?;
            Some((field.to_owned(), (*value).to_owned()))
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

/// The parts of an ARN of KMS.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Arn<'a> {
    partition: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        (arn == "arn" && service == "kms").then_some(())?;
        Some(Arn {
            partition,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    fn same_but_region(&self, other: &Self) -> bool {
        Arn {
            region: other.region,
            ..*self
        } == *other
    }

    fn same_but_resource(&self, other: &Self) -> bool {
        Arn {
            resource: other.resource,
            ..*self
        } == *other
    }
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

    #[test]
    fn only_configured_kms_keys_are_trusted() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let foreign = ARN.replace("111122223333", "444455556666");
        assert!(trusts(ARN, ARN));
        assert!(!trusts(ARN, &foreign));
        assert!(!trusts(ARN, &ARN.replace("eu-west-1", "us-east-1")));
        assert!(trusts(id, ARN));
        assert!(!trusts(id, MULTI));
        assert!(trusts("alias/main", ARN));
        assert!(trusts("arn:aws:kms:eu-west-1:111122223333:alias/main", ARN));
        assert!(!trusts("arn:aws:kms:eu-west-1:111122223333:alias/main", &foreign));
        for nonsense in [
            "",
            "arn:",
            id,
            "alias/main",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:eu-west-1:111122223333:alias/main",
        ] {
            assert!(!trusts("alias/main", nonsense), "{nonsense}");
        }
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
            service.wrapped(&Description::new(&entries).unwrap()).unwrap(),
            wrapped
        );

        let code = |field: &str, value: Option<&str>| {
            let mut changed: Vec<(&str, &str)> = entries.clone();
            changed.retain(|(name, _)| *name != field);
            changed.extend(value.map(|value| (field, value)));
            service
                .wrapped(&Description::new(&changed).unwrap())
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
