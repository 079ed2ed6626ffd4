//! Names that an operator gives to keys and rules, and those that KMS knows its keys by.

/// Whether keys and rules can have this name: 1 to 64 letters, digits, `-` and `_`.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}

/// Whether a configured id is an alias, by its name or ARN: KMS alone knows which key it stands for.
pub(crate) fn is_alias(id: &str) -> bool {
    id.starts_with("alias/") || id.contains(":alias/")
}
