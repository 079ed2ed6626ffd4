//! Ciphertext and keys.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use emrkeys_crypto::gcm::GcmOpener;
use emrkeys_crypto::gcm_verified::GcmVerified;
use emrkeys_crypto::rsa_cipher::{Oaep, RsaDecryptor, RsaEncryptor};
use emrkeys_crypto::{gcm_wrap, key_wrap};

/// A script of calls on the ways of decrypting GCM: the same verdict from all, and what opens is what the `aes-gcm`
/// crate sealed.
pub(crate) fn stream(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<48>() else {
        return;
    };
    let (key, iv) = (&head[..32], &head[32..44]);
    let (cut, broken) = (usize::from(head[44]) + 1, head[46] & 1 == 1);
    let (aad, plain) = rest.split_at(usize::from(head[45]).min(rest.len()));
    let nonce: [u8; 12] = iv.try_into().expect("12 bytes");
    let peer = aes_gcm::Aes256Gcm::new_from_slice(key).expect("key");
    let mut sealed = peer
        .encrypt(&nonce.into(), Payload { msg: plain, aad })
        .expect("short");
    if broken {
        let at = usize::from(head[47]) % sealed.len();
        sealed[at] ^= 1;
    }

    let mut opener = GcmOpener::new(key).expect("key");
    opener.start(iv, 16).expect("iv");
    opener.aad(aad).expect("aad");
    let mut opened = Vec::new();
    for part in sealed.chunks(cut) {
        let mut out = vec![0; opener.update_size(part.len())];
        opener.update(part, &mut out).expect("update");
        opened.extend(out);
    }
    assert_eq!(opener.finish().is_err(), broken);
    assert!(broken || opened == plain);

    let mut verified = GcmVerified::new(key, 1 << 20).expect("key");
    verified.start(iv, 16).expect("iv");
    verified.aad(aad).expect("aad");
    for part in sealed.chunks(cut) {
        verified.hold(part).expect("hold");
    }
    let verdict = verified.verify();
    assert_eq!(verdict.is_err(), broken);
    if verdict.is_ok() {
        let mut out = vec![0; plain.len()];
        assert_eq!(verified.release(&mut out), Ok(out.len()));
        assert!(out == plain);
    }
}

/// Wrapped keys and RSA keys from outside: errors.
pub(crate) fn unwrap(data: &[u8]) {
    let _ = key_wrap::unwrap(&[1; 32], data);
    let _ = gcm_wrap::unwrap(&[1; 32], data, b"context");
    if let Ok(wrapped) = key_wrap::wrap(&[1; 16], data) {
        assert_eq!(key_wrap::unwrap(&[1; 16], &wrapped).expect("our own")[..], *data);
    }
    if let Ok(key) = RsaEncryptor::from_spki(data) {
        let _ = key.oaep(Oaep::SHA256, b"", b"message");
    }
    if let Ok(key) = RsaDecryptor::from_pkcs8(data) {
        let _ = key.pkcs1(&vec![1; key.size()]);
    }
}
