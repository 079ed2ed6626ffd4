//! Streaming in random pieces against independent implementations (`aes-gcm`, `ctr`, `cbc`), on whatever the machine
//! has and, in a child process, without AES instructions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aes_gcm::aead::{Aead, KeyInit, Payload};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, StreamCipher};
use emrkeys_crypto::cbc::{Cbc, Padding};
use emrkeys_crypto::cipher::{CipherError, Direction};
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::ecb::Ecb;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::gcm_verified::GcmVerified;
use ghash::universal_hash::UniversalHash;
use proptest::prelude::*;

/// Lengths of pieces, cycled: empty and single bytes, around a block, around the kernels' 512 bytes, larger.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let len = prop_oneof![0usize..3, 14usize..35, 500usize..530, 1usize..5000, Just(65536)];
    prop::collection::vec(len, 1..6).prop_filter("progress", |pieces| pieces.iter().any(|len| *len > 0))
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(16), Just(24), Just(32)].prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![0usize..70, 0usize..3000, 250_000usize..300_000];
    (len, any::<u64>()).prop_map(|(len, seed)| {
        let mut state = seed | 1;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    })
}

/// Cuts `data` at the lengths given, in turn.
fn cut<'a>(data: &'a [u8], pieces: &'a [usize]) -> Vec<&'a [u8]> {
    let mut rest = data;
    let mut out = Vec::new();
    for len in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(rest.len().min(*len));
        out.push(now);
        rest = later;
    }
    out
}

fn oracle_gcm(key: &[u8], iv: &[u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad };
    type Gcm192 = aes_gcm::AesGcm<aes::Aes192, aes_gcm::aead::consts::U12>;
    match key.len() {
        16 => aes_gcm::Aes128Gcm::new_from_slice(key)
            .expect("key")
            .encrypt(iv.into(), payload),
        24 => Gcm192::new_from_slice(key)
            .expect("key")
            .encrypt(iv.into(), payload),
        _ => aes_gcm::Aes256Gcm::new_from_slice(key)
            .expect("key")
            .encrypt(iv.into(), payload),
    }
    .expect("seal")
}

fn oracle_ctr(key: &[u8], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    match key.len() {
        16 => ctr::Ctr128BE::<aes::Aes128>::new_from_slices(key, iv)
            .expect("key")
            .apply_keystream(&mut out),
        24 => ctr::Ctr128BE::<aes::Aes192>::new_from_slices(key, iv)
            .expect("key")
            .apply_keystream(&mut out),
        _ => ctr::Ctr128BE::<aes::Aes256>::new_from_slices(key, iv)
            .expect("key")
            .apply_keystream(&mut out),
    }
    out
}

fn oracle_cbc(key: &[u8], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut out = plain.to_vec();
    out.resize(plain.len() + 16, 0);
    let len = plain.len();
    match key.len() {
        16 => cbc::Encryptor::<aes::Aes128>::new_from_slices(key, iv)
            .map(|c| c.encrypt_padded::<Pkcs7>(&mut out, len)),
        24 => cbc::Encryptor::<aes::Aes192>::new_from_slices(key, iv)
            .map(|c| c.encrypt_padded::<Pkcs7>(&mut out, len)),
        _ => cbc::Encryptor::<aes::Aes256>::new_from_slices(key, iv)
            .map(|c| c.encrypt_padded::<Pkcs7>(&mut out, len)),
    }
    .expect("key")
    .expect("room")
    .to_vec()
}

/// Runs one update into a buffer of exactly the promised size with a canary behind it.
fn exact(size: usize, update: impl FnOnce(&mut [u8]) -> Result<usize, CipherError>) -> Vec<u8> {
    let mut out = vec![0xc5; size + 64];
    let (room, canary) = out.split_at_mut(size);
    assert_eq!(update(room), Ok(size));
    assert!(canary.iter().all(|byte| *byte == 0xc5), "wrote beyond its size");
    out.truncate(size);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn gcm(key in key(), iv: [u8; 12], aad in data(), plain in data(), pieces in pieces(), flip: prop::sample::Index) {
        let expected = oracle_gcm(&key, &iv, &aad, &plain);
        let mut gcm = Gcm::new(&key).expect("key");
        for in_place in [false, true] {
            gcm.start(Direction::Encrypt, &iv).expect("iv");
            for part in cut(&aad, &pieces) {
                gcm.aad(part).expect("aad");
            }
            let mut sealed = Vec::new();
            for part in cut(&plain, &pieces) {
                if in_place {
                    let mut buffer = part.to_vec();
                    gcm.update_in_place(&mut buffer).expect("update");
                    sealed.extend(buffer);
                } else {
                    sealed.extend(exact(part.len(), |out| gcm.update(part, out)));
                }
            }
            let mut tag = [0; 16];
            gcm.finish(&mut tag).expect("finish");
            sealed.extend(tag);
            prop_assert!(sealed == expected);
        }

        let mut broken = expected.clone();
        let at = flip.index(broken.len());
        broken[at] ^= 1 << (at % 8);
        let mut opener = GcmOpener::new(&key).expect("key");
        for (sealed, good) in [(&expected, true), (&broken, false)] {
            for in_place in [false, true] {
                opener.start(&iv, 16).expect("iv");
                opener.aad(&aad).expect("aad");
                let mut opened = Vec::new();
                for part in cut(sealed, &pieces) {
                    let size = opener.update_size(part.len());
                    if in_place {
                        let mut buffer = part.to_vec();
                        buffer.resize(part.len().max(size), 0);
                        prop_assert_eq!(opener.update_in_place(&mut buffer, part.len()), Ok(size));
                        opened.extend(&buffer[..size]);
                    } else {
                        opened.extend(exact(size, |out| opener.update(part, out)));
                    }
                }
                if good {
                    prop_assert_eq!(opener.finish(), Ok(()));
                    prop_assert!(opened == plain);
                } else {
                    prop_assert_eq!(opener.finish(), Err(CipherError::TagMismatch));
                }
            }
        }
    }

    #[test]
    fn gcm_verified(
        key in key(), iv in prop::collection::vec(any::<u8>(), 1..40), aad in data(), plain in data(),
        pieces in pieces(), flip: prop::sample::Index, tag_len in 12usize..=16,
    ) {
        let mut gcm = Gcm::new(&key).expect("key");
        gcm.start(Direction::Encrypt, &iv).expect("iv");
        gcm.aad(&aad).expect("aad");
        let mut sealed = vec![0; plain.len() + tag_len];
        let (body, tag) = sealed.split_at_mut(plain.len());
        gcm.update(&plain, body).expect("update");
        gcm.finish(tag).expect("finish");
        let mut broken = sealed.clone();
        let at = flip.index(broken.len());
        broken[at] ^= 1 << (at % 8);

        let mut verified = GcmVerified::new(&key, 1 << 20).expect("key");
        for (sealed, good) in [(&sealed, true), (&broken, false), (&sealed, true)] {
            verified.start(&iv, tag_len).expect("iv");
            for part in cut(&aad, &pieces) {
                verified.aad(part).expect("aad");
            }
            for part in cut(sealed, &pieces) {
                // The content of the caller's memory after the call plays no part.
                let mut caller = part.to_vec();
                verified.hold(&caller).expect("hold");
                caller.fill(0xa5);
            }
            prop_assert_eq!(verified.release(&mut [0; 1]), Err(CipherError::State));
            let result = verified.verify();
            if !good {
                prop_assert_eq!(result, Err(CipherError::TagMismatch));
                prop_assert_eq!(verified.release(&mut [0; 1]), Err(CipherError::State));
                continue;
            }
            prop_assert_eq!(result, Ok(plain.len() as u64));
            let mut opened = vec![0; plain.len()];
            let mut at = 0;
            for len in pieces.iter().cycle() {
                let end = opened.len().min(at + len + 1);
                let len = verified.release(&mut opened[at..end]).expect("release");
                at += len;
                if len == 0 {
                    break;
                }
            }
            prop_assert_eq!(at, plain.len());
            prop_assert!(opened == plain);
        }
    }

    #[test]
    fn ctr(key in key(), mut iv: [u8; 16], near_wrap in 0usize..4, plain in data(), pieces in pieces()) {
        // Counters that carry within the message: out of 64 bits, out of 32, out of all 128.
        match near_wrap {
            1 => iv[8..].copy_from_slice(&(u64::MAX - 20).to_be_bytes()),
            2 => iv = (u128::MAX - 40).to_be_bytes(),
            3 => iv[12..].copy_from_slice(&(u32::MAX - 3).to_be_bytes()),
            _ => {}
        }
        let expected = oracle_ctr(&key, &iv, &plain);
        let mut cipher = Ctr::new(&key).expect("key");
        for in_place in [false, true] {
            cipher.start(&iv).expect("iv");
            let mut out = Vec::new();
            for part in cut(&plain, &pieces) {
                if in_place {
                    let mut buffer = part.to_vec();
                    cipher.update_in_place(&mut buffer).expect("update");
                    out.extend(buffer);
                } else {
                    out.extend(exact(part.len(), |out| cipher.update(part, out)));
                }
            }
            prop_assert!(out == expected);
        }
    }

    #[test]
    fn cbc(key in key(), iv: [u8; 16], plain in data(), pieces in pieces()) {
        let expected = oracle_cbc(&key, &iv, &plain);
        let mut cipher = Cbc::new(&key, Padding::Pkcs7).expect("key");
        for in_place in [false, true] {
            for (direction, from, to) in
                [(Direction::Encrypt, &plain, &expected), (Direction::Decrypt, &expected, &plain)]
            {
                cipher.start(direction, &iv).expect("iv");
                let mut out = Vec::new();
                for part in cut(from, &pieces) {
                    let size = cipher.update_size(part.len());
                    if in_place {
                        let mut buffer = part.to_vec();
                        buffer.resize(part.len().max(size), 0);
                        prop_assert_eq!(cipher.update_in_place(&mut buffer, part.len()), Ok(size));
                        out.extend(&buffer[..size]);
                    } else {
                        out.extend(exact(size, |out| cipher.update(part, out)));
                    }
                }
                let mut last = [0; 16];
                let len = cipher.finish(&mut last).expect("finish");
                out.extend(&last[..len]);
                prop_assert!(out == *to);
            }
        }
        let whole = &plain[..plain.len() / 16 * 16];
        let mut bare = Cbc::new(&key, Padding::None).expect("key");
        bare.start(Direction::Encrypt, &iv).expect("iv");
        let mut out = whole.to_vec();
        let size = out.len();
        prop_assert_eq!(bare.update_in_place(&mut out, size), Ok(size));
        prop_assert_eq!(bare.finish(&mut []), Ok(0));
        prop_assert!(out == expected[..size]);
        bare.start(Direction::Decrypt, &iv).expect("iv");
        let mut back = Vec::new();
        for part in cut(&out, &pieces) {
            back.extend(exact(bare.update_size(part.len()), |out| bare.update(part, out)));
        }
        prop_assert_eq!(bare.finish(&mut []), Ok(0));
        prop_assert!(back == whole);
    }
}

#[test]
fn calls_out_of_order_are_refused() {
    let mut out = [0; 64];
    let mut gcm = Gcm::new(&[1; 32]).expect("key");
    assert_eq!(gcm.update(&[0; 16], &mut out), Err(CipherError::State));
    assert_eq!(gcm.start(Direction::Encrypt, &[]), Err(CipherError::IvSize));
    gcm.start(Direction::Encrypt, &[0; 12]).expect("iv");
    assert_eq!(
        gcm.update(&[0; 16], &mut out[..15]),
        Err(CipherError::OutputTooShort)
    );
    assert_eq!(gcm.update(&[0; 16], &mut out), Ok(16));
    assert_eq!(gcm.aad(b"late"), Err(CipherError::State));
    assert_eq!(gcm.finish(&mut out[..11]), Err(CipherError::TagSize));
    assert_eq!(gcm.verify(&[0; 16]), Err(CipherError::State));
    gcm.finish(&mut out[..16]).expect("finish");
    assert_eq!(gcm.update(&[0; 16], &mut out), Err(CipherError::State));
    assert_eq!(gcm.finish(&mut out[..16]), Err(CipherError::State));

    let mut verified = GcmVerified::new(&[1; 32], 1000).expect("key");
    assert_eq!(verified.hold(&[0; 16]), Err(CipherError::State));
    verified.start(&[0; 12], 16).expect("iv");
    verified.hold(&[0; 1016]).expect("as much as is allowed");
    assert_eq!(verified.hold(&[0; 1]), Err(CipherError::HeldTooLong));
    assert_eq!(verified.verify(), Err(CipherError::TagMismatch));
    assert_eq!(verified.verify(), Err(CipherError::State));

    let mut cbc = Cbc::new(&[1; 16], Padding::Pkcs7).expect("key");
    assert_eq!(cbc.update(&[0; 16], &mut out), Err(CipherError::State));
    cbc.start(Direction::Decrypt, &[0; 16]).expect("iv");
    assert_eq!(cbc.finish(&mut out), Err(CipherError::BlockSize));
    cbc.start(Direction::Decrypt, &[0; 16]).expect("iv");
    assert_eq!(cbc.update(&[0; 17], &mut out), Ok(16));
    assert_eq!(cbc.finish(&mut out), Err(CipherError::BlockSize));
    for len in [0, 15, 17, 33] {
        assert_eq!(Gcm::new(&vec![0; len]).err(), Some(CipherError::KeySize));
        assert_eq!(Ctr::new(&vec![0; len]).err(), Some(CipherError::KeySize));
        assert_eq!(
            Cbc::new(&vec![0; len], Padding::None).err(),
            Some(CipherError::KeySize)
        );
    }
}

fn encrypt_zero_block(key: &[u8]) -> [u8; 16] {
    let mut block = [0; 16];
    let mut ecb = Ecb::new(key, Padding::None).expect("key");
    ecb.start(Direction::Encrypt).expect("start");
    ecb.update_in_place(&mut block, 16).expect("block");
    block
}

/// A GCM counter whose low 32 bits wrap must not carry (SP 800-38D, section 6.2), whatever CTR does.
#[test]
fn gcm_counter_wraps_at_32_bits() {
    let key = [3; 32];
    let plain = vec![0x42; 3_000_000];
    // The counter of a 16-byte vector is its GHASH: look for vectors whose counter wraps within the message.
    let h = encrypt_zero_block(&key);
    let near = (0u64..)
        .map(|seed| [seed.to_be_bytes(); 2].concat())
        .filter(|iv| {
            let mut ghash = ghash::GHash::new((&h).into());
            ghash.update_padded(iv);
            ghash.update_padded(&128u128.to_be_bytes());
            let j0: [u8; 16] = ghash.finalize().into();
            u128::from_be_bytes(j0) as u32 > u32::MAX - 180_000
        })
        .take(3);
    let mut gcm = Gcm::new(&key).expect("key");
    let mut verified = GcmVerified::new(&key, 1 << 30).expect("key");
    for iv in near {
        gcm.start(Direction::Encrypt, &iv).expect("iv");
        let mut sealed = vec![0; plain.len() + 16];
        let (body, tag) = sealed.split_at_mut(plain.len());
        gcm.update(&plain, body).expect("update");
        gcm.finish(tag).expect("finish");
        verified.start(&iv, 16).expect("iv");
        verified.hold(&sealed[..1_000_000]).expect("hold");
        verified.hold(&sealed[1_000_000..]).expect("hold");
        verified.verify().expect("tag");
        let mut opened = vec![0; plain.len()];
        verified.release(&mut opened).expect("release");
        assert!(opened == plain);
    }
}

#[test]
fn ciphers_may_move_to_another_thread() {
    fn check<T: Send>() {}
    check::<Gcm>();
    check::<GcmOpener>();
    check::<GcmVerified>();
    check::<Ctr>();
    check::<Cbc>();
}

/// Everything above once more in a process where aws-lc sees neither AES nor carry-less multiplication nor AVX.
#[test]
fn without_aes_instructions() {
    const GUARD: &str = "EMRKEYS_TEST_WITHOUT_AES";
    if std::env::var_os(GUARD).is_some() {
        return;
    }
    // CPUID leaf 1: ECX bits 1 (PCLMULQDQ), 25 (AESNI), 28 (AVX); leaf 7 EBX and ECX: all.
    let status = std::process::Command::new(std::env::current_exe().expect("path"))
        .args(["--skip", "gcm_counter"])
        .env(GUARD, "1")
        .env("PROPTEST_CASES", "40")
        .env("OPENSSL_ia32cap", "~0x1200000200000000:~0xffffffffffffffff")
        .status()
        .expect("child");
    assert!(status.success());
}
