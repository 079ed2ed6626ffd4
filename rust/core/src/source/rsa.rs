//! Keys of type `rsa`: a key pair, or a public key alone that encrypts and cannot decrypt.

use std::sync::Arc;

use emrkeys_crypto::fingerprint;
use emrkeys_crypto::rsa::{PrivateKey, PublicKey};
use emrkeys_crypto::KeyError;
use secrecy::ExposeSecret;

use super::versions::Version;
use crate::config::loader::Loader;
use crate::config::RsaKey;
use crate::description;
use crate::error::{Code, Error, Problem, Problems};
use crate::material::Secrecy;
use crate::model::MaterialKey;

pub(crate) fn load(config: &RsaKey, loader: &mut Loader) -> Result<Version, Error> {
    let mut problems = Problems::default();
    let public = problems.keep(load_public(config, loader));
    let private = match &config.private {
        None => None,
        Some(_) => problems.keep(load_private(config, loader)).flatten(),
    };
    if let (Some(public), Some(private), Some(file)) = (&public, &private, &config.private) {
        if private.public() != public {
            problems.add(Problem::at(
                &file.property,
                Code::KeyPairMismatch,
                format!(
                    "the private key does not belong to the public key ({})",
                    config.public.property
                ),
                "Name the two halves of one pair: `openssl rsa -in PRIVATE -pubout` shows the public key of a \
                 private one.",
            ));
        }
    }
    let public = problems.finish(public)?;
    let spki = public.spki_der().to_vec();
    let also_stored = config
        .legacy_name
        .iter()
        .map(|name| (description::RSA_NAME.to_owned(), name.clone()));
    Ok(Version {
        id: fingerprint::rsa(&spki),
        key: MaterialKey::KeyPair {
            public: spki,
            private: private.map(|private| Arc::new(private.pkcs8_der().clone())),
        },
        also_stored: also_stored.collect(),
    })
}

fn load_public(config: &RsaKey, loader: &mut Loader) -> Result<PublicKey, Problem> {
    let bytes = loader.file(&config.public, Secrecy::Public, config.permissions)?;
    PublicKey::parse(bytes.expose_secret()).map_err(|error| problem(&config.public.property, error))
}

fn load_private(config: &RsaKey, loader: &mut Loader) -> Result<Option<PrivateKey>, Problem> {
    let Some(file) = &config.private else {
        return Ok(None);
    };
    let bytes = loader.file(file, Secrecy::Secret, config.permissions)?;
    let password = match &config.password {
        None => None,
        Some(credential) => Some(loader.credential(credential)?.expose_secret()),
    };
    PrivateKey::parse(bytes.expose_secret(), password)
        .map(Some)
        .map_err(|error| problem(&file.property, error))
}

fn problem(property: &str, error: KeyError) -> Problem {
    let (code, remedy) = match &error {
        KeyError::TooSmall { .. } | KeyError::TooLarge { .. } => {
            (Code::KeySize, "Use one of 2048 to 8192 bits, as `openssl genpkey -algorithm RSA -out PRIVATE` makes it.")
        }
        KeyError::PasswordMissing => (
            Code::KeyPassword,
            "Put the password into a Hadoop credential and name its alias in .password-credential.",
        ),
        KeyError::PasswordWrong => (Code::KeyPassword, "Check the credential that .password-credential names."),
        _ => (
            Code::KeyMaterialInvalid,
            "Public keys are X.509 SubjectPublicKeyInfo or PKCS#1, private keys PKCS#8 or PKCS#1, in DER or PEM.",
        ),
    };
    Problem::at(property, code, error.to_string(), remedy)
}
