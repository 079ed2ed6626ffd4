//! From a configured key to its source. One arm for each type of key.

use std::sync::Arc;

use crate::aws::kms::KmsTarget;
use crate::config::loader::Loader;
use crate::config::{Config, DataKeyServiceConfig, KeyConfig, KeyKind, KmsCachedConfig};
use crate::description;
use crate::error::{excerpt, Code, Error, Problem};
use crate::key_service::cache::KeyCache;
use crate::key_service::kms::KmsService;
use crate::key_service::{data_key_service, KeyService};
use crate::source::cached::CachedKey;
use crate::source::kms::KmsKey;
use crate::source::versions::{Version, VersionedKey};
use crate::source::{aes, keyring, rsa, Source};

/// Loads one configured key.
pub(crate) fn load_key(name: &str, config: &Config, loader: &mut Loader) -> Result<Box<dyn Source>, Error> {
    let key = config.keys.get(name).ok_or_else(|| not_configured(name))?;
    if let KeyKind::Kms(own) = &key.kind {
        let listed = key.matches.iter();
        let listed = listed.filter(|(field, _)| field == description::KMS_KEY_ID);
        return Ok(Box::new(KmsKey {
            name: name.to_owned(),
            key_id: own.key_id.clone(),
            previous: own
                .previous
                .iter()
                .chain(listed.map(|(_, id)| id))
                .cloned()
                .collect(),
        }));
    }
    if let KeyKind::KmsCached(own) = &key.kind {
        return Ok(Box::new(kms_cached(name, own, key, config)));
    }
    if let KeyKind::Keyring(own) = &key.kind {
        return Ok(Box::new(keyring::load(name, own, loader)?));
    }
    if let KeyKind::DataKeyService(own) = &key.kind {
        return Ok(Box::new(data_key_service_key(name, own, key, config, loader)?));
    }
    Ok(Box::new(VersionedKey::load(
        name,
        key.kind.type_name(),
        &key.previous,
        |name| load_version(name, config, loader),
    )?))
}

/// One version of a key of type `aes` or `rsa`.
pub(crate) fn load_version(name: &str, config: &Config, loader: &mut Loader) -> Result<Version, Error> {
    match config.keys.get(name).map(|key| &key.kind) {
        Some(KeyKind::Aes { origin, encoding }) => Ok(aes::load(origin, *encoding, loader)?),
        Some(KeyKind::Rsa(config)) => rsa::load(config, loader),
        Some(KeyKind::Kms(_) | KeyKind::KmsCached(_) | KeyKind::Keyring(_) | KeyKind::DataKeyService(_))
        | None => Err(not_configured(name).into()),
    }
}

fn kms_cached(name: &str, own: &KmsCachedConfig, key: &KeyConfig, config: &Config) -> CachedKey {
    let older = key
        .previous
        .iter()
        .filter_map(|older| match &config.keys.get(older)?.kind {
            KeyKind::KmsCached(older) => Some(older),
            _ => None,
        });
    let targets: Vec<KmsTarget> = std::iter::once(own)
        .chain(older)
        .flat_map(|own| std::iter::once(&own.target).chain(&own.previous))
        .cloned()
        .collect();
    let identity = format!("kms-cached {name} {targets:?} {:?}", own.context);
    let service: Arc<dyn KeyService> = Arc::new(KmsService::new(name, targets, own.context.clone()));
    CachedKey {
        name: name.to_owned(),
        type_name: key.kind.type_name(),
        cache: KeyCache::shared(identity, config.cache.clone(), || Arc::clone(&service)),
        service,
    }
}

fn data_key_service_key(
    name: &str,
    own: &DataKeyServiceConfig,
    key: &KeyConfig,
    config: &Config,
    loader: &mut Loader,
) -> Result<CachedKey, Problem> {
    let (service, identity) = data_key_service::load(name, own, loader)?;
    let service: Arc<dyn KeyService> = Arc::new(service);
    Ok(CachedKey {
        name: name.to_owned(),
        type_name: key.kind.type_name(),
        cache: KeyCache::shared(identity, config.cache.clone(), || Arc::clone(&service)),
        service,
    })
}

pub(crate) fn not_configured(name: &str) -> Problem {
    Problem::new(
        Code::KeyNotConfigured,
        format!("the object was written with key {}, which is not configured", excerpt(name)),
        "Configure it under that name, or add the name to emrkeys.key.<name>.aliases of the key that it has become.",
    )
}
