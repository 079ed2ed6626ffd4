//! Names that an operator gives to keys and rules.

/// Whether keys and rules can have this name: 1 to 64 letters, digits, `-` and `_`.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}
