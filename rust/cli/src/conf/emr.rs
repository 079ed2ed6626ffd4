//! EMR's configurations in JSON: classifications with properties, as a cluster is made with.
//! Source: Amazon EMR Release Guide, "Configure applications".

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::site::{Origin, Property};
use super::{hadoop_property, Refused};

/// The classifications whose properties reach a Hadoop `Configuration` as they are.
const SITES: [&str; 4] = ["core-site", "hdfs-site", "emrfs-site", "mapred-site"];
/// The one whose `spark.hadoop.` properties do.
const SPARK: &str = "spark-defaults";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    classification: String,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    configurations: Vec<Configuration>,
}

/// EMR wants text; numbers and booleans are what people write.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bool(bool),
    Number(serde_json::Number),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    List(Vec<Configuration>),
    /// As in a request to make a cluster.
    Cluster {
        #[serde(rename = "Configurations")]
        configurations: Vec<Configuration>,
    },
}

/// The properties of the classifications that matter, in the order of [`SITES`] and then Spark's.
///
/// # Errors
/// What is wrong with the document.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Property>, Refused> {
    let document = serde_json::from_str(text).map_err(|error| {
        let what = format!(
            "it is not an EMR configuration, which is [{{\"Classification\": …, \"Properties\": {{…}}}}, …] ({error})"
        );
        Refused::at(path, u32::try_from(error.line()).ok().filter(|line| *line > 0), what)
    })?;
    let (Document::List(configurations) | Document::Cluster { configurations }) = document;
    let mut properties = Vec::new();
    for site in SITES.into_iter().chain([SPARK]) {
        collect(path, &configurations, site, &mut properties);
    }
    Ok(properties)
}

/// serde_json itself refuses what is nested deeper than 128.
fn collect(path: &Path, configurations: &[Configuration], site: &str, out: &mut Vec<Property>) {
    for configuration in configurations {
        if configuration.classification == site {
            out.extend(configuration.properties.iter().filter_map(|(name, value)| {
                let name = if site == SPARK {
                    hadoop_property(name)?
                } else {
                    name
                };
                Some(Property {
                    name: name.trim().to_owned(),
                    value: match value {
                        Value::Text(text) => text.clone(),
                        Value::Bool(value) => value.to_string(),
                        Value::Number(number) => number.to_string(),
                    },
                    is_final: false,
                    origin: Origin::File {
                        path: path.to_owned(),
                        line: None,
                    },
                })
            }));
        }
        collect(path, &configuration.configurations, site, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<(String, String)> {
        let found = parse(Path::new("x.json"), text).unwrap();
        found.into_iter().map(|p| (p.name, p.value)).collect()
    }

    #[test]
    fn the_sites_and_sparks_hadoop_properties_are_taken_and_nothing_else() {
        let list = r#"[
            {"Classification": "spark-defaults", "Properties": {"spark.hadoop.emrkeys.default.key": "s", "spark.x": "y"}},
            {"Classification": "emrfs-site", "Properties": {"emrkeys.default.key": "main", "fs.s3.cse.enabled": true}},
            {"Classification": "hadoop-env", "Properties": {}, "Configurations": [
                {"Classification": "core-site", "Properties": {"n": 7}}]}]"#;
        let expected = [
            ("n", "7"),
            ("emrkeys.default.key", "main"),
            ("fs.s3.cse.enabled", "true"),
            ("emrkeys.default.key", "s"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(values(list), expected);
        assert_eq!(
            values(&format!("{{\"Name\": \"c\", \"Configurations\": {list}}}")),
            expected
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "{}",
            "[1]",
            "[{\"Properties\": {}}]",
            "[{\"Classification\": \"a\", \"Properties\": {\"a\": []}}]",
        ] {
            assert!(parse(Path::new("x.json"), text).is_err(), "{text}");
        }
        let deep = "[{\"Classification\":\"a\",\"Configurations\":".repeat(300);
        assert!(parse(Path::new("x.json"), &deep).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:a-zA-Z0-9 ]{0,200}") {
            let _ = parse(Path::new("x.json"), &text);
        }
    }
}
