use super::*;
use proptest::prelude::*;

fn v2() -> Metadata {
    Envelope {
        format: Format::V2,
        content: Content::Gcm,
        wrap: Wrap::AesGcm,
        wrapped_key: vec![1; 60],
        nonce: vec![2; 12],
        commitment: None,
        description: StoredDescription::from_iter([("emrkeys.key", "main")]),
    }
    .to_metadata()
}

#[test]
fn what_other_clients_and_s3_make_of_an_envelope_is_read() {
    let mut fields = v2();
    fields.insert(
        DESCRIPTION.to_owned(),
        "=?UTF-8?Q?{\"team\":\"r=C3=83=C2=B6t\"}?=".to_owned(),
    );
    let read = Envelope::parse(&fields).unwrap().unwrap();
    assert_eq!(read.description, StoredDescription::from_iter([("team", "röt")]));
    assert!(read.to_metadata().values().all(|value| value.is_ascii()));
    assert_eq!(Envelope::parse(&read.to_metadata()).unwrap().unwrap(), read);
    // As the client for PHP writes it.
    let mut file: serde_json::Map<String, serde_json::Value> = v2()
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    file.insert(TAG_BITS.to_owned(), 128.into());
    file.insert(PLAINTEXT_LENGTH.to_owned(), 5.into());
    let text = serde_json::to_vec(&file).unwrap();
    let read = Envelope::parse_instruction(&text, &Metadata::new()).unwrap();
    assert_eq!(Some(read), Envelope::parse(&v2()).unwrap());
}

#[test]
fn contradictory_and_hostile_envelopes_are_refused() {
    let changed = |changes: &[(&str, Option<&str>)]| {
        let mut metadata = v2();
        for (name, value) in changes {
            match value {
                Some(value) => metadata.insert((*name).to_owned(), (*value).to_owned()),
                None => metadata.remove(*name),
            };
        }
        Envelope::parse(&metadata).map_err(|problem| problem.code)
    };
    let refused = Err(Code::InvalidEnvelope);
    assert!(changed(&[]).unwrap().is_some());
    let long = "A".repeat(4000);
    for changes in [
        vec![(ENCRYPTED_DATA_KEY_V1, Some("AAAA"))],
        vec![(ENCRYPTED_DATA_KEY_V3, Some("AAAA"))],
        vec![(COMMITMENT, Some("AAAA"))],
        vec![(ENCRYPTED_DATA_KEY_V2, None)],
        vec![(ENCRYPTED_DATA_KEY_V2, Some(""))],
        vec![(ENCRYPTED_DATA_KEY_V2, Some("%%%"))],
        vec![(ENCRYPTED_DATA_KEY_V2, Some(long.as_str()))],
        vec![(IV, Some("AAAA"))],
        vec![(IV, None)],
        vec![(CONTENT, Some("ROT13"))],
        vec![(CONTENT, None)],
        vec![(WRAP, Some("ROT13"))],
        vec![(TAG_BITS, Some("-1"))],
        vec![(TAG_BITS, Some("32"))],
        vec![(TAG_BITS, None)],
        vec![(DESCRIPTION, Some("{"))],
        vec![(DESCRIPTION, Some("[1]"))],
        vec![(DESCRIPTION, Some(r#"{"a":{"b":"c"}}"#))],
    ] {
        assert_eq!(changed(&changes), refused, "{changes:?}");
    }
    // Clients take these for an empty description.
    for empty in [Some("{}"), Some("null"), None] {
        let envelope = changed(&[(DESCRIPTION, empty)]).unwrap().unwrap();
        assert!(envelope.description.is_empty());
    }
}

#[test]
fn lengths_that_are_none_are_refused() {
    let mut metadata = Metadata::new();
    assert_eq!(noted_length(&metadata).unwrap(), None);
    note_length(&mut metadata, 7);
    assert_eq!(noted_length(&metadata).unwrap(), Some(7));
    for text in ["-1", "", "1e9", "99999999999999999999"] {
        metadata.insert(PLAINTEXT_LENGTH.to_owned(), text.to_owned());
        assert_eq!(noted_length(&metadata).unwrap_err().code, Code::InvalidEnvelope);
    }
}

#[test]
fn a_noted_length_has_to_be_that_of_the_ciphertext() {
    let noted = |content: Content, plaintext: u64, length: u64| {
        let envelope = Envelope {
            format: Format::V2,
            content,
            wrap: Wrap::AesGcm,
            wrapped_key: Vec::new(),
            nonce: Vec::new(),
            commitment: None,
            description: StoredDescription::default(),
        };
        let mut metadata = Metadata::new();
        note_length(&mut metadata, plaintext);
        envelope.noted_length(&metadata, length).is_ok()
    };
    for (plaintext, length, cbc, gcm) in [
        (0, 16, true, true),
        (15, 16, true, false),
        (16, 32, true, true),
        (16, 16, false, false),
        (15, 32, false, false),
        (5, 21, false, true),
        (0, 0, false, false),
        (u64::MAX, 32, false, false),
    ] {
        assert_eq!(
            noted(Content::Cbc, plaintext, length),
            cbc,
            "{plaintext} {length}"
        );
        assert_eq!(
            noted(Content::Gcm, plaintext, length),
            gcm,
            "{plaintext} {length}"
        );
        assert_eq!(noted(Content::CommittingGcm, plaintext, length), gcm);
    }
}

#[test]
fn an_instruction_file_cannot_replace_what_the_object_says_of_its_commitment() {
    let envelope = Envelope {
        format: Format::V3,
        content: Content::CommittingGcm,
        wrap: Wrap::AesGcm,
        wrapped_key: vec![1; 60],
        nonce: vec![2; 28],
        commitment: Some([3; 28]),
        description: StoredDescription::default(),
    };
    let (instruction, beside) = envelope.to_instruction();
    assert!(Envelope::is_split(&beside));
    assert_eq!(
        Envelope::parse_instruction(&instruction, &beside).unwrap(),
        envelope
    );
    let mut forged: Metadata = serde_json::from_slice(&instruction).unwrap();
    forged.extend(
        Envelope {
            commitment: Some([4; 28]),
            ..envelope.clone()
        }
        .to_metadata(),
    );
    let forged = serde_json::to_vec(&forged).unwrap();
    assert_eq!(Envelope::parse_instruction(&forged, &beside).unwrap(), envelope);
    assert!(Envelope::parse_instruction(&forged, &Metadata::new()).is_err());
}

const WRAPS_OF_GCM: [Wrap; 6] = [
    Wrap::AesKeyWrap,
    Wrap::RsaOaepSha256,
    Wrap::Kms,
    Wrap::AesGcm,
    Wrap::RsaOaepSha1,
    Wrap::KmsContext,
];

#[test]
fn only_what_some_client_writes_is_read() {
    for content in [Content::Cbc, Content::Gcm] {
        for wrap in WRAPS {
            let envelope = Envelope {
                format: Format::V2,
                content,
                wrap,
                wrapped_key: vec![1; 48],
                nonce: vec![2; content.nonce_bytes()],
                commitment: None,
                description: StoredDescription::default(),
            };
            let written = match content {
                Content::Cbc => wrap == Wrap::Kms,
                _ => WRAPS_OF_GCM.contains(&wrap),
            };
            let read = Envelope::parse(&envelope.to_metadata()).map_err(|problem| problem.code);
            let wanted = if written {
                Ok(Some(envelope))
            } else {
                Err(Code::InvalidEnvelope)
            };
            assert_eq!(read, wanted, "{content:?} {wrap:?}");
        }
    }
}

#[test]
fn ciphertext_without_its_instruction_file_is_no_plaintext() {
    let alone = |metadata: &Metadata| Envelope::parse_alone(metadata).map_err(|problem| problem.code);
    let mut noted = Metadata::from([("owner".to_owned(), "x".to_owned())]);
    assert_eq!(alone(&noted), Ok(None));
    note_length(&mut noted, 7);
    assert_eq!(alone(&noted), Err(Code::InstructionFileMissing));
    noted.extend(v2());
    assert!(alone(&noted).unwrap().is_some());
    let committing = Envelope {
        format: Format::V3,
        content: Content::CommittingGcm,
        wrap: Wrap::AesGcm,
        wrapped_key: vec![1; 60],
        nonce: vec![2; 28],
        commitment: Some([3; 28]),
        description: StoredDescription::default(),
    };
    let (_, beside) = committing.to_instruction();
    assert_eq!(alone(&beside), Err(Code::InstructionFileMissing));
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let bytes = |range: std::ops::Range<usize>| prop::collection::vec(any::<u8>(), range);
    let description = prop::collection::btree_map("[ -~]{1,12}", "[ -~]{0,20}", 0..5);
    (
        0..3usize,
        0..6usize,
        any::<bool>(),
        bytes(1..300),
        bytes(28..29),
        description,
    )
        .prop_map(|(format, wrap, cbc, wrapped_key, nonce, description)| {
            let (format, content, wrap) = match format {
                0 if wrapped_key.len() > MAX_AES_WRAPPED => (Format::V1, Content::Cbc, Wrap::RsaPkcs1),
                0 => (Format::V1, Content::Cbc, Wrap::AesEcb),
                1 if cbc => (Format::V2, Content::Cbc, Wrap::Kms),
                1 => (Format::V2, Content::Gcm, WRAPS_OF_GCM[wrap % 6]),
                _ => {
                    let wraps = [Wrap::AesGcm, Wrap::RsaOaepSha1, Wrap::KmsContext];
                    (Format::V3, Content::CommittingGcm, wraps[wrap % 3])
                }
            };
            Envelope {
                format,
                content,
                wrap,
                wrapped_key,
                nonce: nonce[..content.nonce_bytes()].to_vec(),
                commitment: (format == Format::V3).then_some([7; COMMITMENT_BYTES]),
                description: description.into_iter().collect(),
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(envelope in envelopes()) {
        let metadata = envelope.to_metadata();
        prop_assert_eq!(Envelope::parse(&metadata).unwrap().unwrap(), envelope.clone());
        let (instruction, beside) = envelope.to_instruction();
        prop_assert_eq!(Envelope::parse_instruction(&instruction, &beside).unwrap(), envelope.clone());
        let mut others = Metadata::from([("owner".to_owned(), "x".to_owned())]);
        others.extend(v2());
        let replaced = envelope.replace_in(&others);
        prop_assert_eq!(replaced.get("owner").map(String::as_str), Some("x"));
        prop_assert_eq!(Envelope::parse(&replaced).unwrap().unwrap(), envelope);
    }

    #[test]
    fn any_metadata_is_read_or_refused(
        metadata in prop::collection::btree_map(
            prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
            ".{0,80}",
            0..14,
        ),
        instruction in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Envelope::parse(&metadata);
        let _ = Envelope::parse_instruction(&instruction, &metadata);
    }
}
