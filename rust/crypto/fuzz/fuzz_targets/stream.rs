//! A script of calls on the three ways of decrypting GCM: no panic, no write out of bounds, the same verdict from
//! all, and what opens is what the `aes-gcm` crate sealed.
#![no_main]
use aes_gcm::aead::{Aead, KeyInit, Payload};
use emrkeys_crypto::gcm::GcmOpener;
use emrkeys_crypto::gcm_verified::GcmVerified;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<48>() else { return };
    let (key, iv) = (&head[..32], &head[32..44]);
    let (cut, aad_len, broken) = (usize::from(head[44]) + 1, usize::from(head[45]).min(rest.len()), head[46] & 1 == 1);
    let (aad, plain) = rest.split_at(aad_len);
    let nonce: [u8; 12] = match iv.try_into() { Ok(iv) => iv, Err(_) => return };
    let Ok(peer) = aes_gcm::Aes256Gcm::new_from_slice(key) else { return };
    let Ok(mut sealed) = peer.encrypt(&nonce.into(), Payload { msg: plain, aad }) else { return };
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
});
