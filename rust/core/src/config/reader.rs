//! Typed access to the property map. Problems are gathered on the way, so that all are reported at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::properties::{KEY_PREFIX, RULE_PREFIX};
use super::property_names;
use crate::error::{excerpt, Code, Problem, Problems};
use crate::inputs::Settings;
use crate::names::is_name;

/// Reads properties. Values are trimmed; an empty value counts as not set, as Hadoop users expect of an override.
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    pub(super) problems: Problems,
}

/// The properties below one name, by the rest of their names.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a str>;

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Reader {
            settings,
            problems: Problems::default(),
        }
    }

    pub(super) fn refuse_unknown(&mut self) {
        for property in self.settings.keys().filter(|name| name.starts_with("emrkeys.")) {
            if !property_names::is_known(property) {
                let remedy = match property_names::nearest(property) {
                    Some(near) => format!("Did you mean {near}?"),
                    None => "Remove it; docs/configuration.md lists every property.".to_owned(),
                };
                self.problems.add(Problem::at(
                    property,
                    Code::UnknownProperty,
                    "there is no such property",
                    remedy,
                ));
            }
        }
    }

    /// The value of a property that is set.
    pub(super) fn get(&self, property: &str) -> Option<&'a str> {
        self.settings
            .get(property)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&mut self, property: &str) -> bool {
        match self.get(property) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) => {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!("{} is neither true nor false", excerpt(value)),
                    "Set it to true or false.",
                ));
                false
            }
        }
    }

    /// Whether anything of ours names a key: then AWS's own properties define none.
    pub(super) fn names_keys(&self) -> bool {
        let set = |prefix: &str| {
            self.settings
                .range(prefix.to_owned()..)
                .next()
                .is_some_and(|(name, _)| name.starts_with(prefix))
        };
        set(KEY_PREFIX) || set(RULE_PREFIX)
    }

    /// A whole number.
    pub(super) fn number(
        &mut self,
        property: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        match self.get(property).map(|value| (value, value.parse())) {
            None => default,
            Some((_, Ok(number))) if range.contains(&number) => number,
            Some((value, _)) => {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!(
                        "{} is not a whole number from {} to {}",
                        excerpt(value),
                        range.start(),
                        range.end()
                    ),
                    format!("Write it in digits alone, such as {default}."),
                ));
                default
            }
        }
    }

    /// A time: a number with `ms`, `s`, `m`, `h` or `d`, or of seconds.
    pub(super) fn duration(
        &mut self,
        property: &str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let Some(value) = self.get(property) else {
            return default;
        };
        if let Some(duration) = duration(value).filter(|duration| range.contains(duration)) {
            return duration;
        }
        self.problems.add(Problem::at(
            property,
            Code::InvalidValue,
            format!(
                "{} is not a time from {} to {} seconds",
                excerpt(value),
                range.start().as_secs_f64(),
                range.end().as_secs()
            ),
            "Write a number and its unit (ms, s, m, h, d), such as 10m.",
        ));
        default
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, property: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.get(property) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
            return *choice;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problems.add(Problem::at(
            property,
            Code::InvalidValue,
            format!("{} is none of its values", excerpt(value)),
            format!("Set it to one of: {}.", words.join(", ")),
        ));
        default
    }

    /// Splits `<prefix><name>.<field>` properties by name; names of a wrong form are a problem each.
    pub(super) fn grouped(&mut self, prefix: &str) -> BTreeMap<&'a str, Fields<'a>> {
        let mut groups: BTreeMap<&str, Fields<'_>> = BTreeMap::new();
        for (property, value) in self.settings.range(prefix.to_owned()..) {
            let Some(rest) = property.strip_prefix(prefix) else {
                break;
            };
            // A property without a field is unknown, and reported as such.
            let Some((name, field)) = rest.split_once('.') else {
                continue;
            };
            if !groups.contains_key(name) && !is_name(name) {
                self.problems.add(Problem::at(
                    property,
                    Code::InvalidValue,
                    format!("{} is not a name", excerpt(name)),
                    "Names are 1 to 64 letters, digits, '-' and '_'.",
                ));
                continue;
            }
            let fields = groups.entry(name).or_default();
            if !value.trim().is_empty() {
                fields.insert(field, value.trim());
            }
        }
        groups
    }

    /// Adds the problem of a property that must be set.
    pub(super) fn missing(&mut self, property: String, remedy: &str) {
        self.problems
            .add(Problem::at(property, Code::MissingProperty, "is not set", remedy));
    }
}

/// The items of a list that commas separate.
pub(super) fn list(value: Option<&str>) -> Vec<String> {
    value
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim_end().parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}
