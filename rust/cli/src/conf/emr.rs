//! EMR's configurations in JSON, in the forms in which people have them: a list of classifications, a request for a
//! cluster or an application, or the answer that describes one.
//! Sources: Amazon EMR Release Guide, "Configure applications"; API references of EMR (`RunJobFlow`,
//! `DescribeCluster`), EMR Serverless (`CreateApplication`, `StartJobRun`) and EMR on EKS (`StartJobRun`), which write
//! their names in lower case.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::site::{Origin, Property, Resource, OURS};
use super::{left_out_by_spark, property_of_spark, Refused};

/// The classifications whose properties reach a Hadoop `Configuration` as they are.
const SITES: [&str; 4] = ["core-site", "hdfs-site", "emrfs-site", "mapred-site"];
/// The one whose `spark.hadoop.` properties do.
const SPARK: &str = "spark-defaults";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(alias = "classification")]
    classification: String,
    #[serde(default, alias = "properties")]
    properties: BTreeMap<String, Value>,
    #[serde(default, alias = "configurations")]
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

/// A request or an answer of one of EMR's services.
#[derive(Deserialize)]
struct Document {
    /// EMR Serverless has them in an application and in a job, EMR on EKS in a job.
    #[serde(
        rename = "Configurations",
        alias = "configurations",
        alias = "applicationConfiguration",
        alias = "runtimeConfiguration"
    )]
    configurations: Option<Vec<Configuration>>,
    #[serde(rename = "ReleaseLabel", alias = "releaseLabel")]
    release: Option<String>,
    /// The document that this one wraps.
    #[serde(
        rename = "Cluster",
        alias = "cluster",
        alias = "application",
        alias = "jobRun",
        alias = "configurationOverrides"
    )]
    inner: Option<Box<Document>>,
    /// The options that a job gives Spark on its command line.
    #[serde(rename = "jobDriver")]
    job_driver: Option<serde_json::Value>,
    /// The mark of another kind of document.
    #[serde(rename = "EncryptionConfiguration")]
    encryption: Option<serde_json::Value>,
    /// Of a cluster its name; of the answer that describes one all of it, as text.
    #[serde(rename = "SecurityConfiguration")]
    security: Option<serde_json::Value>,
    /// The mark of another kind of document.
    #[serde(rename = "AWSTemplateFormatVersion", alias = "Resources")]
    template: Option<serde_json::Value>,
    /// The mark of another kind of document.
    #[serde(rename = "resource", alias = "terraform", alias = "terraform_version")]
    terraform: Option<serde_json::Value>,
}

/// The content of a [`Document`] and of those inside it.
#[derive(Default)]
struct Held {
    configurations: Option<Vec<Configuration>>,
    release: Option<String>,
    job_driver: Option<serde_json::Value>,
}

impl Document {
    fn held(self) -> Result<Held, &'static str> {
        let described = self.security.as_ref().and_then(serde_json::Value::as_str);
        if self.encryption.is_some() || described.is_some_and(|text| text.trim_start().starts_with('{')) {
            return Err(
                "it is a security configuration: name it by `emrkeys doctor --security-configuration FILE`",
            );
        }
        if self.template.is_some() {
            return Err("it is a CloudFormation template, which is not read here: name the list of its Configurations, \
                or \
                        the answer of `aws emr describe-cluster`");
        }
        if self.terraform.is_some() {
            return Err(TERRAFORM);
        }
        let inner = self.inner.map_or(Ok(Held::default()), |inner| inner.held())?;
        Ok(Held {
            configurations: self.configurations.or(inner.configurations),
            release: self.release.or(inner.release),
            job_driver: self.job_driver.or(inner.job_driver),
        })
    }
}

/// Why Terraform's files are refused.
pub(super) const TERRAFORM: &str =
    "it is Terraform, which is not read here: name the JSON of its configurations_json, or the \
                                    answer of `aws emr describe-cluster`";

/// The properties of the classifications that matter, in the order of [`SITES`] and then Spark's.
///
/// # Errors
/// The fault of the document.
pub fn parse(path: &Path, text: &str) -> Result<Resource, Refused> {
    const WHAT: &str =
        "it is not an EMR configuration, which is [{\"Classification\": …, \"Properties\": {…}}, …]";
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map(Document::held)
    } else {
        serde_json::from_str(text).map(|list| {
            Ok(Held {
                configurations: Some(list),
                ..Held::default()
            })
        })
    };
    let held = parsed
        .map_err(|error| {
            let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
            Refused::at(path, line, format!("{WHAT} ({error})"))
        })?
        .map_err(|why| Refused::at(path, None, why))?;
    let mut resource = Resource {
        release: held.release,
        ..Resource::default()
    };
    let unread = held
        .job_driver
        .is_some_and(|driver| driver.to_string().contains("spark.hadoop."));
    if unread {
        resource.warnings.push(format!(
            "{}: the sparkSubmitParameters of the job are not read: give their spark.hadoop.* by -D, without \
             spark.hadoop.",
            path.display()
        ));
    }
    let Some(configurations) = held.configurations else {
        if resource.release.is_some() || unread {
            return Ok(resource);
        }
        let what = format!(
            "{WHAT}, alone, as the \"Configurations\" of a cluster, or as \"applicationConfiguration\"; it has no such \
             list"
        );
        return Err(Refused::at(path, None, what));
    };
    for site in SITES.into_iter().chain([SPARK]) {
        collect(path, &configurations, site, &mut resource);
    }
    warn_of_strangers(path, &configurations, &mut resource);
    Ok(resource)
}

/// Classifications whose properties Hadoop does not get, though they have such as are read here, or almost the name of
/// one that it gets.
fn warn_of_strangers(path: &Path, configurations: &[Configuration], out: &mut Resource) {
    for configuration in configurations {
        let name = configuration.classification.as_str();
        let known = || SITES.into_iter().chain([SPARK]);
        if !known().any(|site| site == name) {
            let is_ours = |property: &&String| OURS.iter().any(|ours| property.starts_with(ours));
            let lost = configuration.properties.keys().find(is_ours);
            let meant = known().find(|site| strsim::osa_distance(site, &name.to_ascii_lowercase()) <= 2);
            let without = lost.map_or_else(String::new, |lost| format!(", so that {lost} has no effect"));
            if lost.is_some() || meant.is_some() {
                let meant = meant.map_or_else(
                    || format!("write it into {}", SITES.join(", ")),
                    |meant| format!("is {meant} meant?"),
                );
                out.warnings.push(format!(
                    "{}: Hadoop gets no property of the classification {name}{without}: {meant}",
                    path.display()
                ));
            }
        }
        warn_of_strangers(path, &configuration.configurations, out);
    }
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
                    property_of_spark(name)
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
            {"Classification": "spark-defaults",
             "Properties": {"spark.hadoop.emrkeys.default.key": "s", "spark.x": "y"}},
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
    fn lower_case_names_and_every_wrapping_are_read_alike() {
        let list = r#"[{"classification": "core-site", "properties": {"a": "1"},
            "configurations": [{"classification": "emrfs-site", "properties": {"b": "2"}}]}]"#;
        let expected = [("a", "1"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for text in [
            list.to_owned(),
            format!("{{\"applicationConfiguration\": {list}}}"),
            format!("{{\"configurationOverrides\": {{\"applicationConfiguration\": {list}}}}}"),
            format!(
                "{{\"application\": {{\"releaseLabel\": \"emr-7.12.0\", \"runtimeConfiguration\": {list}}}}}"
            ),
            format!(
                "{{\"jobRun\": {{\"configurationOverrides\": {{\"applicationConfiguration\": {list}}}}}}}"
            ),
        ] {
            assert_eq!(values(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_release_is_taken_where_the_document_has_it() {
        let release = |text: &str| parse(Path::new("x.json"), text).unwrap().release;
        assert_eq!(
            release(r#"{"ReleaseLabel": "emr-7.12.0", "Name": "c"}"#).as_deref(),
            Some("emr-7.12.0")
        );
        assert_eq!(
            release(r#"{"Cluster": {"ReleaseLabel": "emr-6.15.0", "Configurations": []}}"#).as_deref(),
            Some("emr-6.15.0")
        );
        assert_eq!(release("[]"), None);
    }

    #[test]
    fn what_a_job_gives_spark_on_its_command_line_is_not_left_out_in_silence() {
        let text = r#"{"jobDriver": {"sparkSubmit": {"sparkSubmitParameters": "--conf spark.hadoop.emrkeys.a=b"}},
            "configurationOverrides": {"applicationConfiguration": []}}"#;
        let found = parse(Path::new("x.json"), text).unwrap();
        assert!(found.warnings[0].contains("sparkSubmitParameters"));
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
            ("{\"Clusters\": []}", "it has no such list"),
            ("{\"EncryptionConfiguration\": {}}", "--security-configuration"),
            ("{\"SecurityConfiguration\": \"{}\"}", "--security-configuration"),
            ("{\"AWSTemplateFormatVersion\": \"2010-09-09\"}", "CloudFormation"),
            ("{\"resource\": {\"aws_emr_cluster\": {}}}", "Terraform"),
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
