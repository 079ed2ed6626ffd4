//! Envelopes from outside, in metadata and in instruction files: what is read is written again as it was, or there is
//! an error.
//!
//! Input: metadata as a JSON object of strings, a zero byte, an instruction file.
#![no_main]
use emrkeys_core::envelope::{noted_length, Envelope, Metadata};
use emrkeys_core::Code;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let metadata: Metadata = parts
        .next()
        .and_then(|text| serde_json::from_slice(text).ok())
        .unwrap_or_default();
    let instruction = parts.next().unwrap_or_default();
    let _ = noted_length(&metadata);
    let found = [
        Envelope::parse(&metadata).transpose(),
        Some(Envelope::parse_instruction(instruction, &metadata)),
    ];
    for found in found.into_iter().flatten() {
        match found {
            Ok(envelope) => {
                let again = Envelope::parse(&envelope.to_metadata());
                assert_eq!(again.ok().flatten(), Some(envelope));
            }
            Err(problem) => {
                assert_eq!(problem.code, Code::InvalidEnvelope);
                assert!(problem.to_string().len() < 4096);
            }
        }
    }
});
