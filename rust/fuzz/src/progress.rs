//! Files from which the tool goes on.

use emrkeys_cli::hostile;

/// Checkpoints from outside: refused, or what is written after some outcomes is read again.
///
/// Input: a byte for each outcome, which says the object and whether it failed; a zero byte; the checkpoint.
pub(crate) fn checkpoint(data: &[u8]) {
    const KEYS: [&str; 4] = ["", "a", "a/b", "z"];
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let outcomes: Vec<_> = parts
        .next()
        .unwrap_or_default()
        .iter()
        .map(|byte| (KEYS[usize::from(byte >> 1) % KEYS.len()], byte & 1 == 1))
        .collect();
    let content = parts.next().unwrap_or_default();
    if let Some(read_again) = hostile::checkpoint(content, "raw/", &outcomes) {
        assert_eq!(read_again, Ok(()));
    }
}

/// States of uploads from outside: refused, or read the same when they are written again.
pub(crate) fn upload(data: &[u8]) {
    assert_ne!(hostile::upload(data, "s3://lake/x"), Some(false));
}
