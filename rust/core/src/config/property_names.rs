//! The names in the table of properties, with the user's own names in place of `<name>` and `<field>`.

use std::collections::HashSet;

use once_cell::sync::Lazy;

use super::properties::{KEY_PREFIX, PROPERTIES, RULE_PREFIX};

/// Whether `property` (of ours) is in the table. Quick, for configurations with thousands of rules.
pub(super) fn is_known(property: &str) -> bool {
    /// A group and the field in it; a property without a user's name is a group of its own, without a field.
    static KNOWN: Lazy<HashSet<(&str, &str)>> = Lazy::new(|| {
        PROPERTIES
            .iter()
            .map(|known| known.name.split_once("<name>.").unwrap_or((known.name, "")))
            .collect()
    });
    let Some((group, rest)) = [KEY_PREFIX, RULE_PREFIX]
        .into_iter()
        .find_map(|group| Some((group, property.strip_prefix(group)?)))
    else {
        return KNOWN.contains(&(property, ""));
    };
    let Some((name, field)) = rest.split_once('.') else {
        return false;
    };
    // A field's own name may be open at the end, and then hold dots.
    let open = |(first, last): (&str, &str)| {
        !last.is_empty() && KNOWN.contains(&(group, format!("{first}.<field>").as_str()))
    };
    !name.is_empty() && (KNOWN.contains(&(group, field)) || field.split_once('.').is_some_and(open))
}

/// The known property nearest to an unknown one, with the user's own names filled in.
pub(super) fn nearest(property: &str) -> Option<String> {
    PROPERTIES
        .iter()
        .filter_map(|known| instance(known.name, property))
        .map(|known| (strsim::damerau_levenshtein(&known, property), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance * 3 <= known.len())
        .map(|(_, known)| known)
}

/// The table's name with the placeholders replaced by what stands at their place in `property`.
fn instance(template: &str, property: &str) -> Option<String> {
    let mut given = property.split('.');
    let mut parts: Vec<&str> = Vec::new();
    for part in template.split('.') {
        match (part, given.next()) {
            // Field names of other providers may hold dots of their own.
            ("<field>", Some(first)) if !first.is_empty() => {
                parts.push(first);
                parts.extend(given.by_ref());
            }
            ("<name>", Some(name)) if !name.is_empty() => parts.push(name),
            ("<field>" | "<name>", _) => return None,
            (literal, _) => parts.push(literal),
        }
    }
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_take_what_the_user_chose() {
        for known in [
            "emrkeys.key.a.type",
            "emrkeys.key.a.match.x.y",
            "emrkeys.rule.r.job-flow",
            "emrkeys.default.key",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "emrkeys.key.a",
            "emrkeys.key..type",
            "emrkeys.key.a.b.type",
            "emrkeys.key.a.match",
            "emrkeys.",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn an_unknown_property_has_a_nearest_known_one() {
        for (unknown, expected) in [
            ("emrkeys.defualt.key", "emrkeys.default.key"),
            ("emrkeys.key.audit.tpye", "emrkeys.key.audit.type"),
            ("emrkeys.rule.r1.prefixes", "emrkeys.rule.r1.prefix"),
            ("emrkeys.key.audit.kms.key.id", "emrkeys.key.audit.kms-key-id"),
        ] {
            assert_eq!(nearest(unknown).as_deref(), Some(expected), "{unknown}");
        }
        assert_eq!(nearest("emrkeys.zzzzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    }
}
