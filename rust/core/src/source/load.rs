//! From a configured key to its source. One arm for each type of key.

use std::sync::Arc;

use crate::aws::kms::KmsTarget;
use crate::config::loader::Loader;
use crate::config::{DataKeyServiceKey, KeyConfig, KeyKind, KmsCachedKey};
use crate::description;
use crate::error::{excerpt, Code, Error, Problem};
use crate::key_service::cache::KeyCache;
use crate::key_service::kms::KmsService;
use crate::key_service::{data_key_service, DescriptionCodec, KeyService};
use crate::source::cached::CachedKey;
use crate::source::kms::KmsKey;
use crate::source::versions::{Version, VersionedKey};
use crate::source::{aes, keyring, rsa, Source};

/// Loads one configured key.
///
/// # Errors
/// Every problem of its material.
pub(crate) fn load_key(name: &str, loader: &mut Loader) -> Result<Box<dyn Source>, Error> {
    let config = loader.config;
    let key = config.keys.get(name).ok_or_else(|| not_configured(name))?;
    Ok(match &key.kind {
        KeyKind::Kms(own) => {
            let listed = key.matches.iter();
            let listed = listed.filter(|(field, _)| field == description::KMS_KEY_ID);
            let previous = own.previous.iter().chain(listed.map(|(_, id)| id));
            Box::new(KmsKey {
                name: name.to_owned(),
                key_id: own.target.key_id.clone(),
                previous: previous.cloned().collect(),
            })
        }
        KeyKind::KmsCached(own) => Box::new(kms_cached(name, own, key, loader)),
        KeyKind::Keyring(own) => Box::new(keyring::load(name, own, loader)?),
        KeyKind::DataKeyService(own) => Box::new(of_data_key_service(name, own, loader)?),
        KeyKind::Aes(_) | KeyKind::Rsa(_) => {
            let type_name = key.kind.type_name();
            let load = |name: &str| load_version(name, loader);
            Box::new(VersionedKey::load(name, type_name, &key.previous, load)?)
        }
    })
}

/// One version of a key of type `aes` or `rsa`.
pub(crate) fn load_version(name: &str, loader: &mut Loader) -> Result<Version, Error> {
    match loader.config.keys.get(name).map(|key| &key.kind) {
        Some(KeyKind::Aes(own)) => Ok(aes::load(own, loader)?),
        Some(KeyKind::Rsa(own)) => rsa::load(own, loader),
        _ => Err(not_configured(name).into()),
    }
}

fn kms_cached(name: &str, own: &KmsCachedKey, key: &KeyConfig, loader: &Loader) -> CachedKey {
    let older = key
        .previous
        .iter()
        .filter_map(|older| match &loader.config.keys.get(older)?.kind {
            KeyKind::KmsCached(older) => Some(older),
            _ => None,
        });
    let keys = std::iter::once(own).chain(older);
    let targets: Vec<KmsTarget> = keys.flat_map(KmsCachedKey::all_targets).cloned().collect();
    let identity = format!("kms-cached {name} {targets:?} {:?}", own.context);
    let service = KmsService::new(name, targets, own.context.clone());
    cached(name, key.kind.type_name(), identity, service, loader)
}

fn of_data_key_service(
    name: &str,
    own: &DataKeyServiceKey,
    loader: &mut Loader,
) -> Result<CachedKey, Problem> {
    let (service, identity) = data_key_service::load(name, own, loader)?;
    Ok(cached(name, "data-key-service", identity, service, loader))
}

/// A key of `service`. `identity` says everything that decides what the service gives.
fn cached(
    name: &str,
    type_name: &'static str,
    identity: String,
    service: impl KeyService + DescriptionCodec,
    loader: &Loader,
) -> CachedKey {
    let service = Arc::new(service);
    CachedKey {
        name: name.to_owned(),
        type_name,
        codec: service.clone(),
        cache: KeyCache::shared(identity, loader.config.cache.clone(), || service),
    }
}

/// The refusal of a name that no key has.
pub(crate) fn not_configured(name: &str) -> Problem {
    Problem::new(
        Code::KeyNotConfigured,
        format!("the object was written with key {}, which is not configured", excerpt(name)),
        "Configure it under that name, or add the name to emrkeys.key.<name>.aliases of the key that it has become.",
    )
}
