//! Wrapped keys and RSA keys from outside: errors, never a panic.
#![no_main]
use emrkeys_crypto::rsa_cipher::{Oaep, RsaDecryptor, RsaEncryptor};
use emrkeys_crypto::{gcm_wrap, key_wrap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = key_wrap::unwrap(&[1; 32], data);
    let _ = gcm_wrap::unwrap(&[1; 32], data, b"context");
    if let Ok(wrapped) = key_wrap::wrap(&[1; 16], data) {
        assert_eq!(key_wrap::unwrap(&[1; 16], &wrapped).expect("own")[..], *data);
    }
    if let Ok(key) = RsaEncryptor::from_spki(data) {
        let _ = key.oaep(Oaep::SHA256, b"", b"message");
    }
    if let Ok(key) = RsaDecryptor::from_pkcs8(data) {
        let _ = key.pkcs1(&vec![1; key.size()]);
    }
});
