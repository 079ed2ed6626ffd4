//! EMR's configurations in JSON: classifications with properties, as a cluster is made with.
//! Source: Amazon EMR Release Guide, "Configure applications".

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::site::{Origin, Property, Resource};
use super::{hadoop_property, left_out_by_spark, Refused};

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
#[serde(
    untagged,
    expecting = "the value of a property must be text, a number, true or false"
)]
enum Value {
    Text(String),
    Bool(bool),
    Number(serde_json::Number),
}

/// A request to make a cluster, or what EMR answers to `describe-cluster`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cluster {
    configurations: Option<Vec<Configuration>>,
    cluster: Option<Box<Cluster>>,
}

impl Cluster {
    fn configurations(self) -> Option<Vec<Configuration>> {
        self.configurations.or_else(|| self.cluster?.configurations())
    }
}

/// The properties of the classifications that matter, in the order of [`SITES`] and then Spark's.
///
/// # Errors
/// What is wrong with the document.
pub fn parse(path: &Path, text: &str) -> Result<Resource, Refused> {
    const WHAT: &str =
        "it is not an EMR configuration, which is [{\"Classification\": …, \"Properties\": {…}}, …]";
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map(Cluster::configurations)
    } else {
        serde_json::from_str(text).map(Some)
    };
    let configurations = parsed.map_err(|error| {
        let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
        Refused::at(path, line, format!("{WHAT} ({error})"))
    })?;
    let Some(configurations) = configurations else {
        let what = format!("{WHAT}, alone or as the \"Configurations\" of a cluster; it has none");
        return Err(Refused::at(path, None, what));
    };
    let mut resource = Resource::default();
    for site in SITES.into_iter().chain([SPARK]) {
        collect(path, &configurations, site, &mut resource);
    }
    Ok(resource)
}

/// serde_json itself refuses what is nested deeper than 128.
fn collect(path: &Path, configurations: &[Configuration], site: &str, out: &mut Resource) {
    for configuration in configurations {
        if configuration.classification == site {
            let by_spark = site == SPARK;
            for (name, value) in &configuration.properties {
                let origin = Origin::File {
                    path: path.to_owned(),
                    line: None,
                };
                let known = if by_spark {
                    hadoop_property(name)
                } else {
                    Some(name.as_str())
                };
                let Some(known) = known else {
                    if name.starts_with("emrkeys.") {
                        out.warnings.push(left_out_by_spark(&origin, name));
                    }
                    continue;
                };
                out.properties.push(Property {
                    name: known.trim().to_owned(),
                    value: match value {
                        Value::Text(text) => text.clone(),
                        Value::Bool(value) => value.to_string(),
                        Value::Number(number) => number.to_string(),
                    },
                    is_final: false,
                    by_spark,
                    origin,
                });
            }
        }
        collect(path, &configuration.configurations, site, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<(String, String)> {
        let found = parse(Path::new("x.json"), text).unwrap().properties;
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
        let described = format!("{{\"Cluster\": {{\"Id\": \"j-1\", \"Configurations\": {list}}}}}");
        assert_eq!(values(&described), expected);
    }

    #[test]
    fn what_spark_leaves_out_is_told() {
        let text = r#"[{"Classification": "spark-defaults", "Properties": {"emrkeys.default.key": "s"}}]"#;
        let found = parse(Path::new("x.json"), text).unwrap();
        assert!(found.properties.is_empty());
        assert_eq!(found.warnings.len(), 1);
    }

    #[test]
    fn another_shape_is_told_in_the_words_of_emr() {
        for (text, told) in [
            ("{\"Clusters\": []}", "it has none"),
            (
                "[{\"Classification\": \"a\", \"Properties\": {\"a\": null}}]",
                "must be text, a number",
            ),
        ] {
            let refused = parse(Path::new("x.json"), text).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
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
