use proptest::prelude::*;

use super::*;

const MATERIAL: [u8; 32] = [7; 32];

fn description() -> StoredDescription {
    StoredDescription::from_iter([("emrkeys.key", "lake"), ("emrkeys.version", "2-ed5f853b9aa190ab")])
}

fn open(wrapped: &[u8], material: &[u8]) -> Result<Vec<u8>, Code> {
    let opened = WrappedTableKey::parse(wrapped).and_then(|wrapped| wrapped.open(material));
    opened.map(|key| key.to_vec()).map_err(|problem| problem.code)
}

/// The reader that `docs/formats.md` describes, on its own: what it opens here another implementation opens.
#[test]
fn the_form_is_the_documented_one() {
    let key = [9; 16];
    for (kind, number) in [(TableKind::Parquet, 1), (TableKind::Iceberg, 2)] {
        let wrapped = seal(kind, &description(), &MATERIAL, &key).unwrap();
        let mut header = b"EKTK\x01".to_vec();
        header.extend([number, 2]);
        for part in ["emrkeys.key", "lake", "emrkeys.version", "2-ed5f853b9aa190ab"] {
            header.extend((part.len() as u32).to_be_bytes());
            header.extend(part.as_bytes());
        }
        assert_eq!(wrapped[..header.len()], header);
        let salt = &wrapped[header.len()..header.len() + 16];
        header.extend(salt);
        let mut info = Vec::new();
        for part in [b"wrap".as_slice(), kind.name().as_bytes(), salt] {
            info.extend((part.len() as u32).to_be_bytes());
            info.extend(part);
        }
        let kek = hmac::derive(&MATERIAL, b"emrkeys-table-key/1", &info).unwrap();
        let opened = gcm_wrap::unwrap(&kek[..], &wrapped[header.len()..], &header).unwrap();
        assert_eq!(opened.as_slice(), key);
    }
}

/// `docs/formats.md` has it, for other implementations to open.
#[test]
fn the_example_of_the_documentation_opens() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md");
    let text = std::fs::read_to_string(document).unwrap();
    let example = text
        .split("<!-- example: wrapped key of a table -->")
        .nth(1)
        .unwrap();
    let example: String = example
        .split("```")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .skip(1)
        .collect();
    use base64ct::{Base64, Encoding};
    let wrapped = Base64::decode_vec(&example).unwrap();
    assert_eq!(open(&wrapped, &MATERIAL), Ok((0..16).collect()));
}

#[test]
fn each_wrap_has_a_salt_and_a_vector_of_its_own() {
    let wraps: std::collections::BTreeSet<Vec<u8>> = (0..64)
        .map(|_| seal(TableKind::Parquet, &description(), &MATERIAL, &[1; 16]).unwrap())
        .collect();
    let tail = |wrapped: &[u8]| wrapped[wrapped.len() - 16 - 12 - 16 - 16..][..28].to_vec();
    let salts: std::collections::BTreeSet<Vec<u8>> = wraps.iter().map(|wrapped| tail(wrapped)).collect();
    assert_eq!((wraps.len(), salts.len()), (64, 64));
}

#[test]
fn every_bit_counts() {
    let wrapped = seal(TableKind::Parquet, &description(), &MATERIAL, &[1; 16]).unwrap();
    for bit in 0..8 * wrapped.len() {
        let mut other = wrapped.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&other, &MATERIAL), Err(Code::WrappedKeyInvalid), "bit {bit}");
    }
    for length in 0..wrapped.len() {
        assert_eq!(open(&wrapped[..length], &MATERIAL), Err(Code::WrappedKeyInvalid));
    }
    let longer = [wrapped.as_slice(), &[0]].concat();
    assert_eq!(open(&longer, &MATERIAL), Err(Code::WrappedKeyInvalid));
    assert_eq!(open(&wrapped, &[8; 32]), Err(Code::WrappedKeyInvalid));
    assert_eq!(
        open(&vec![0; MAX_WRAPPED + 1], &MATERIAL),
        Err(Code::WrappedKeyInvalid)
    );
}

#[test]
fn a_description_that_does_not_fit_is_refused() {
    let code = |entries: StoredDescription| {
        seal(TableKind::Iceberg, &entries, &MATERIAL, &[1; 16])
            .unwrap_err()
            .code
    };
    let many = (0..300).map(|n| (n.to_string(), String::new())).collect();
    assert_eq!(code(many), Code::DescriptionTooLarge);
    let long = StoredDescription::from_iter([("a", "b".repeat(MAX_WRAPPED).as_str())]);
    assert_eq!(code(long), Code::DescriptionTooLarge);
}

proptest! {
    #[test]
    fn what_is_wrapped_comes_back(
        key in proptest::collection::vec(any::<u8>(), 16..=32),
        material in proptest::sample::select(vec![16_usize, 24, 32]),
        byte in any::<u8>(),
        entries in proptest::collection::vec((".{0,40}", ".{0,300}"), 0..8),
        parquet in any::<bool>(),
    ) {
        let kind = if parquet { TableKind::Parquet } else { TableKind::Iceberg };
        let material = vec![byte; material];
        let description: StoredDescription = entries.into_iter().collect();
        let wrapped = seal(kind, &description, &material, &key).unwrap();
        let parsed = WrappedTableKey::parse(&wrapped).unwrap();
        prop_assert_eq!((parsed.kind, parsed.key_size()), (kind, key.len()));
        prop_assert_eq!(&parsed.description, &description);
        prop_assert_eq!(open(&wrapped, &material), Ok(key));
    }

    #[test]
    fn other_sizes_are_refused(size in prop_oneof![0_usize..16, 33_usize..80]) {
        let code = seal(TableKind::Parquet, &description(), &MATERIAL, &vec![1; size]).unwrap_err().code;
        prop_assert_eq!(code, Code::KeySize);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let after_magic = [&MAGIC[..], &[1, 2], &bytes].concat();
        for bytes in [bytes, after_magic] {
            prop_assert_eq!(open(&bytes, &MATERIAL), Err(Code::WrappedKeyInvalid));
        }
    }
}
