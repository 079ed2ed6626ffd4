//! Properties as Hadoop merges them: later resources win, unless an earlier one made a value final, and `${…}` is
//! expanded where a value is read. Source: `org.apache.hadoop.conf.Configuration`, `loadProperty` and `substituteVars`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use emrkeys_core::{Settings, CATALOGS};

/// The starts of the properties that are ours or that decide how a client asks for keys.
pub(crate) const OURS: [&str; 3] = ["emrkeys.", "fs.s3.cse.", "fs.s3a.encryption."];
/// The starts of the properties that any command reads. All others in a cluster's files are left alone.
const READ: [&str; 5] = [
    "emrkeys.",
    "fs.s3",
    "parquet.crypto.",
    "parquet.encryption.",
    CATALOGS,
];
/// How often a value is expanded. Source: `Configuration.MAX_SUBST`.
const MAX_EXPANSIONS: usize = 20;
/// The longest value after expansion, in bytes: longer ones are bombs.
const MAX_VALUE: usize = 1024 * 1024;
/// How much text may be handled to expand all values together, in bytes.
const MAX_EXPANDED: usize = 64 * 1024 * 1024;

/// Where a property was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, and the line in it where that is known.
    File {
        /// As it was named, or included.
        path: PathBuf,
        /// From 1 on.
        line: Option<u32>,
    },
    /// The command line.
    Option,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Origin::File { path, line: None } => write!(f, "{}", path.display()),
            Origin::Option => f.write_str("-D"),
        }
    }
}

/// A property as a resource sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Without space around it.
    pub name: String,
    /// As it stands there.
    pub value: String,
    /// Whether later resources cannot change it.
    pub is_final: bool,
    /// Whether Spark sets it, by `Configuration.set` once all resources are loaded: it wins over them, final or not.
    pub by_spark: bool,
    /// Where.
    pub origin: Origin,
}

/// The properties of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// In order.
    pub properties: Vec<Property>,
    /// The settings in it that have no effect, though they look so.
    pub warnings: Vec<String>,
    /// The release of EMR that it names, such as `emr-7.12.0`.
    pub release: Option<String>,
}

impl From<Vec<Property>> for Resource {
    fn from(properties: Vec<Property>) -> Self {
        Resource {
            properties,
            ..Resource::default()
        }
    }
}

/// The properties of all resources together.
#[derive(Debug, Default)]
pub struct Site {
    properties: BTreeMap<String, Property>,
    warnings: Vec<String>,
    release: Option<String>,
}

impl Site {
    /// Takes the properties of one more resource over.
    pub fn add(&mut self, resource: Resource) {
        self.warnings.extend(resource.warnings);
        self.release = resource.release.or(self.release.take());
        for property in resource.properties {
            // Within one file Hadoop lets the first final value stand as well.
            let why = match self.properties.get(&property.name) {
                Some(known) if known.by_spark && !property.by_spark => Some((known, "set by Spark")),
                Some(known) if known.is_final && !property.by_spark => Some((known, "final")),
                _ => None,
            };
            match why {
                None => drop(self.properties.insert(property.name.clone(), property)),
                Some((known, _)) if known.value == property.value => {}
                Some((known, why)) => self.warnings.push(format!(
                    "{}: {} is {why} in {}; this value is left out",
                    property.origin, property.name, known.origin
                )),
            }
        }
    }

    /// Takes a property over even where a resource made it final.
    pub fn define(&mut self, name: &str, value: &str) {
        let property = Property {
            name: name.to_owned(),
            value: value.to_owned(),
            is_final: false,
            by_spark: false,
            origin: Origin::Option,
        };
        self.properties.insert(name.to_owned(), property);
    }

    /// The settings that are left out, by Hadoop, by Spark or here.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The release of EMR that the last document with one names.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Warns of each property whose name is almost, but not quite, in our name space: no client reads it.
    pub fn warn_of_near_misses(&mut self) {
        let near = self.properties.iter().filter(|(name, _)| is_near_miss(name));
        let warnings: Vec<String> = near
            .map(|(name, property)| {
                format!(
                    "{}: {name} has no effect: properties of emrkeys begin with emrkeys.",
                    property.origin
                )
            })
            .collect();
        self.warnings.extend(warnings);
    }

    /// Where a property was set.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.properties.get(name).map(|property| &property.origin)
    }

    /// Warns of each property of ours in which a variable is left.
    pub fn warn_of_variables(&mut self, environment: impl Fn(&str) -> Option<String>) {
        let mut left = MAX_EXPANDED;
        let mut warnings = Vec::new();
        for (name, property) in self.beginning_with(&OURS) {
            // An expansion without end is an error of `settings`.
            let Ok(value) = self.expanded(&property.value, &environment, &mut left) else {
                continue;
            };
            let unknown = variable(&value)
                .map(|(start, end)| &value[start + 2..end - 1])
                .filter(|variable| self.value_of(variable, &environment).is_none());
            if let Some(unknown) = unknown {
                warnings.push(format!(
                    "{}: {name}: ${{{unknown}}} stays as it is: nothing here sets it, and of the JVM's own properties \
                     only \
                     user.name and user.home are known here",
                    property.origin
                ));
            }
        }
        self.warnings.extend(warnings);
    }

    /// The properties that any command reads, expanded; `environment` gives the variables behind `${env.NAME}`.
    ///
    /// # Errors
    /// A value that does not come to an end of its expansions, as one text that names it and where it is set.
    pub fn settings(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let mut left = MAX_EXPANDED;
        self.beginning_with(&READ)
            .map(|(name, property)| {
                let value = self
                    .expanded(&property.value, &environment, &mut left)
                    .map_err(|why| format!("{}: {name}: {why}", property.origin))?;
                Ok((name.clone(), value))
            })
            .collect()
    }

    fn beginning_with<'a>(
        &'a self,
        prefixes: &'a [&str],
    ) -> impl Iterator<Item = (&'a String, &'a Property)> + 'a {
        let wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        self.properties.iter().filter(move |(name, _)| wanted(name))
    }

    fn expanded(
        &self,
        value: &str,
        environment: &impl Fn(&str) -> Option<String>,
        left: &mut usize,
    ) -> Result<String, String> {
        let mut text = value.to_owned();
        for _ in 0..MAX_EXPANSIONS {
            let Some((start, end)) = variable(&text) else {
                return Ok(text);
            };
            let name = text[start + 2..end - 1].to_owned();
            let Some(replacement) = self.value_of(&name, environment) else {
                return Ok(text);
            };
            // Hadoop gives a value that refers to itself as it stands.
            if replacement.contains(&text[start..end]) {
                return Ok(value.to_owned());
            }
            if text.len() + replacement.len() > MAX_VALUE {
                return Err(format!(
                    "the value is longer than {MAX_VALUE} bytes once ${{{name}}} is replaced"
                ));
            }
            *left = left.checked_sub(text.len() + replacement.len()).ok_or_else(|| {
                format!("to expand all values together takes more than {MAX_EXPANDED} bytes")
            })?;
            text.replace_range(start..end, &replacement);
        }
        match variable(&text) {
            None => Ok(text),
            Some(_) => Err(format!(
                "the value still holds ${{…}} after {MAX_EXPANSIONS} replacements"
            )),
        }
    }

    fn value_of(&self, name: &str, environment: &impl Fn(&str) -> Option<String>) -> Option<String> {
        let Some(variable) = name.strip_prefix("env.") else {
            // Hadoop asks the JVM first. Of what the JVM knows these two alone are the same in all of a user's
            // processes.
            let of_the_jvm = match name {
                "user.name" => environment("USER").or_else(|| environment("LOGNAME")),
                "user.home" => environment("HOME"),
                _ => None,
            };
            return of_the_jvm.or_else(|| self.properties.get(name).map(|property| property.value.clone()));
        };
        // ${env.X-default} is for X unset, ${env.X:-default} for X empty as well.
        let Some((variable, default)) = variable.split_once('-') else {
            return environment(variable);
        };
        let found = match variable.strip_suffix(':') {
            Some(variable) => environment(variable).filter(|value| !value.is_empty()),
            None => environment(variable),
        };
        Some(found.unwrap_or_else(|| default.to_owned()))
    }
}

/// Whether a name is meant for our name space and misses it, such as `emrkey.default.key`: its first segment differs
/// from
/// `emrkeys` by a slip or two.
pub(super) fn is_near_miss(name: &str) -> bool {
    const OURS: &str = "emrkeys";
    let segment = name.split('.').next().unwrap_or(name);
    if segment == OURS && name.len() > OURS.len() {
        return false;
    }
    let plain = segment.to_ascii_lowercase().replace(['-', '_'], "");
    plain.starts_with(OURS) || strsim::osa_distance(&plain, OURS) <= 2
}

/// The first innermost `${name}`, from the dollar sign to behind the brace. Names hold no `$`, no brace and no white
/// space, and are not empty. Source: `Configuration.findSubVariable`.
fn variable(text: &str) -> Option<(usize, usize)> {
    let mut start = None;
    for (at, c) in text.char_indices() {
        match c {
            '$' if text[at..].starts_with("${") => start = Some(at),
            '{' if at > 0 && start == Some(at - 1) => {}
            '}' => match start.take() {
                Some(start) if at > start + 2 => return Some((start, at + 1)),
                _ => {}
            },
            '$' | '{' => start = None,
            c if c.is_whitespace() => start = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site(properties: &[(&str, &str)]) -> Site {
        let mut site = Site::default();
        for (name, value) in properties {
            site.define(name, value);
        }
        site
    }

    fn expand(properties: &[(&str, &str)], value: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "HOME" => Some("/root".to_owned()),
            "LOGNAME" => Some("hadoop".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        site(properties).expanded(value, &environment, &mut MAX_EXPANDED.clone())
    }

    #[test]
    fn variables_are_replaced_as_hadoop_replaces_them() {
        let known = [("a", "1"), ("b", "${a}2"), ("c", "a"), ("loop", "x${loop}")];
        for (value, expected) in [
            ("plain", "plain"),
            ("${a}-${b}", "1-12"),
            ("${a}-${unknown}-${a}", "1-${unknown}-${a}"),
            ("${${c}}", "1"),
            ("${unknown}", "${unknown}"),
            ("${a", "${a"),
            ("${}", "${}"),
            ("$a {a} ${a b}", "$a {a} ${a b}"),
            ("${loop}", "${loop}"),
            ("${env.HOME}/x", "/root/x"),
            ("${env.NONE-d}", "d"),
            ("${env.EMPTY-d}", ""),
            ("${env.EMPTY:-d}", "d"),
            ("${env.NONE}", "${env.NONE}"),
            ("${user.home}/x", "/root/x"),
            ("${user.name}", "hadoop"),
            ("${java.io.tmpdir}", "${java.io.tmpdir}"),
        ] {
            assert_eq!(expand(&known, value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn bombs_end_in_an_error() {
        let big = "x".repeat(MAX_VALUE);
        assert!(expand(&[("a", big.as_str())], "${a}${a}").is_err());
        let many: Vec<(String, String)> = (0..30)
            .map(|n| (format!("v{n}"), format!("${{v{}}}", n + 1)))
            .collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert!(expand(&many, "${v0}").is_err());
        assert!(expand(&[("a", "${b}"), ("b", "${a}")], "${a}").is_err());
        let mut wide = site(&[("a", &big[1024..])]);
        for n in 0..100 {
            wide.define(&format!("emrkeys.v{n}"), "${a}");
        }
        let why = wide.settings(|_| None).unwrap_err();
        assert!(why.contains("all values together"), "{why}");
    }

    #[test]
    fn a_variable_of_ours_that_nothing_gives_is_told_and_what_nobody_reads_keeps_nothing_from_working() {
        let mut site = site(&[
            ("emrkeys.a", "${user.home}/${java.io.tmpdir}"),
            ("fs.s3.buffer.dir", "${hadoop.tmp.dir}/s3"),
            ("yarn.a", "${yarn.b}"),
            ("yarn.b", "${yarn.a}"),
        ]);
        let environment = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        site.warn_of_variables(environment);
        let settings = site.settings(environment).unwrap();
        assert_eq!(settings["emrkeys.a"], "/root/${java.io.tmpdir}");
        assert_eq!(settings["fs.s3.buffer.dir"], "${hadoop.tmp.dir}/s3");
        assert!(!settings.contains_key("yarn.a"));
        assert_eq!(site.warnings().len(), 1);
        assert!(site.warnings()[0].starts_with("-D: emrkeys.a: ${java.io.tmpdir} "));
        site.define("emrkeys.b", "${yarn.a}");
        assert!(site.settings(|_| None).is_err());
    }

    fn resource(value: &str, is_final: bool, by_spark: bool) -> Resource {
        Resource::from(vec![Property {
            name: "emrkeys.a".to_owned(),
            value: value.to_owned(),
            is_final,
            by_spark,
            origin: Origin::File {
                path: PathBuf::from(value),
                line: Some(3),
            },
        }])
    }

    #[test]
    fn what_is_final_stays_and_the_command_line_wins_all_the_same() {
        let mut site = Site::default();
        site.add(resource("1", false, false));
        site.add(resource("2", true, false));
        site.add(resource("3", false, false));
        assert_eq!(site.settings(|_| None).unwrap()["emrkeys.a"], "2");
        assert_eq!(
            site.warnings(),
            ["3:3: emrkeys.a is final in 2:3; this value is left out"]
        );
        site.define("emrkeys.a", "4");
        assert_eq!(site.settings(|_| None).unwrap()["emrkeys.a"], "4");
    }

    #[test]
    fn what_spark_sets_wins_over_site_files_before_and_after_it_final_or_not() {
        let mut site = Site::default();
        site.add(resource("1", true, false));
        site.add(resource("2", false, true));
        site.add(resource("3", true, false));
        site.add(resource("4", false, true));
        assert_eq!(site.settings(|_| None).unwrap()["emrkeys.a"], "4");
        assert_eq!(
            site.warnings(),
            ["3:3: emrkeys.a is set by Spark in 2:3; this value is left out"]
        );
    }

    #[test]
    fn a_name_that_almost_is_ours_is_told() {
        for (name, near) in [
            ("emrkey.default.key", true),
            ("emrkyes.default.key", true),
            ("emr-keys.default.key", true),
            ("EmrKeys.default.key", true),
            ("emrkeys_default_key", true),
            ("emrkeys.default.key", false),
            ("emrfs.default.key", false),
            ("fs.s3.cse.enabled", false),
            ("hbase.emr.storageMode", false),
            ("", false),
        ] {
            assert_eq!(is_near_miss(name), near, "{name}");
        }
        let mut site = site(&[("emrkey.default.key", "a"), ("emrkeys.default.key", "a")]);
        site.warn_of_near_misses();
        assert_eq!(site.warnings().len(), 1);
    }

    proptest! {
        #[test]
        fn any_value_is_expanded_or_refused(
            values in prop::collection::vec("[${}a-c. ]{0,12}", 3),
            value in "[${}a-c. ]{0,20}",
        ) {
            let known: Vec<(&str, &str)> = ["a", "b", "c"].into_iter().zip(values.iter().map(String::as_str)).collect();
            let _ = expand(&known, &value);
        }
    }
}
