//! Spark's properties files, such as `spark-defaults.conf`: the format of `java.util.Properties`, in UTF-8.
//! Source: `org.apache.spark.util.Utils.getPropertiesFromFile`.

use std::path::Path;

use java_properties::{LineContent, PropertiesIter};

use super::emr::TERRAFORM;
use super::site::{is_near_miss, Origin, Property, Resource};
use super::{left_out_by_spark, property_of_spark, Refused};

/// The starts of the names in people's own properties files, which are Hadoop's.
const PLAIN: [&str; 3] = ["emrkeys.", "fs.", "parquet."];

/// The properties that Spark hands to Hadoop, without their `spark.hadoop.`, and those of its catalogs. A file in which
/// nothing is Spark's is somebody's own, and holds properties under Hadoop's names.
///
/// # Errors
/// The fault of the file, and the line.
pub fn parse(path: &Path, text: &str) -> Result<Resource, Refused> {
    if let Some(why) = foreign(path, text) {
        return Err(Refused::at(path, None, why));
    }
    let mut pairs = Vec::new();
    for line in PropertiesIter::new_with_encoding(text.as_bytes(), encoding_rs::UTF_8) {
        let line = line.map_err(|error| {
            let row = error.line_number().and_then(|line| u32::try_from(line).ok());
            Refused::at(path, row, format!("it is not a properties file ({error})"))
        })?;
        let number = u32::try_from(line.line_number()).ok();
        if let LineContent::KVPair(name, value) = line.consume_content() {
            pairs.push((name, value, number));
        }
    }
    let of_spark = pairs.iter().any(|(name, ..)| name.starts_with("spark."));
    let something = !pairs.is_empty();
    let mut resource = Resource::default();
    for (name, value, line) in pairs {
        let origin = Origin::File {
            path: path.to_owned(),
            line,
        };
        let known = property_of_spark(&name);
        let plain = known.is_none() && PLAIN.iter().any(|prefix| name.starts_with(prefix));
        if plain && of_spark {
            resource.warnings.push(left_out_by_spark(&origin, &name));
        } else if known.is_some() || plain || is_near_miss(&name) {
            resource.properties.push(Property {
                name: known.unwrap_or(&name).to_owned(),
                value: value.trim().to_owned(), // as Spark does
                is_final: false,
                by_spark: of_spark,
                origin,
            });
        }
    }
    if something && !of_spark && resource.properties.is_empty() {
        let what = "it is no site file and no EMR configuration, and as a properties file it has nothing that begins \
            with spark., \
                    emrkeys. or fs.";
        return Err(Refused::at(path, None, what));
    }
    Ok(resource)
}

/// Formats that a reader of properties would take for its own, and read nonsense from.
fn foreign(path: &Path, text: &str) -> Option<&'static str> {
    const YAML: &str =
        "it is YAML, which is not read here: give the same as JSON (`yq -o=json`), or the answer of \
                        `aws emr describe-cluster`";
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => return Some(YAML),
        "tf" | "tfvars" | "hcl" => return Some(TERRAFORM),
        _ => {}
    }
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    let block = |start: &str| first.starts_with(start) && first.ends_with('{');
    if block("resource \"") || block("terraform") || block("module \"") {
        return Some(TERRAFORM);
    }
    // A properties file may have `name:`, but then the next line is a property and not indented.
    let nested = first.ends_with(':') && second.starts_with([' ', '-']);
    (first == "---" || first.starts_with("- ") || nested).then_some(YAML)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_of_java_are_read() {
        let text = "# comment\n! another\nspark.hadoop.a 1\nspark.hadoop.b=2 \n spark.hadoop.c : 3\nspark.hadoop.d = \
            4\\\n   5\n\
                    spark.app.name x\nspark.hadoop.e=\\u0041\\=é\n\
                    spark.sql.catalog.lake.type=hive\n";
        let found = parse(Path::new("x.conf"), text).unwrap();
        let found: Vec<_> = found
            .properties
            .iter()
            .map(|p| (p.name.as_str(), p.value.as_str()))
            .collect();
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "45"),
            ("e", "A=é"),
            ("spark.sql.catalog.lake.type", "hive"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn hadoops_own_names_are_taken_from_a_file_that_is_not_sparks_alone() {
        let plain = "emrkeys.default.key=main\nfs.s3.cse.enabled=true\n";
        let parse = |text: &str| parse(Path::new("x.conf"), text);
        let own = parse(plain).unwrap();
        assert_eq!(own.properties.len(), 2);
        assert!(own.warnings.is_empty() && !own.properties[0].by_spark);
        let sparks = parse(&format!("{plain}spark.hadoop.a=1")).unwrap();
        assert_eq!(sparks.properties.len(), 1);
        assert!(sparks.properties[0].by_spark);
        assert!(
            sparks.warnings[0].starts_with("x.conf:1: Spark leaves emrkeys.default.key out"),
            "{:?}",
            sparks.warnings
        );
        assert_eq!(sparks.warnings.len(), 2);
        assert!(parse("root:x:0:0:root:/root:/bin/bash").is_err());
        assert!(parse("# nothing yet\n").unwrap().properties.is_empty());
    }

    #[test]
    fn yaml_and_terraform_are_refused_by_name() {
        for (name, text, told) in [
            ("x.yaml", "a: b", "YAML"),
            ("x.conf", "---\na: b", "YAML"),
            (
                "x.conf",
                "# c\n- Classification: core-site\n  Properties:\n",
                "YAML",
            ),
            (
                "x.conf",
                "Configurations:\n  - Classification: core-site\n",
                "YAML",
            ),
            ("x.tf", "locals {}", "Terraform"),
            ("x.conf", "resource \"aws_emr_cluster\" \"c\" {\n}", "Terraform"),
        ] {
            let refused = parse(Path::new(name), text).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(parse(Path::new("x.conf"), "emrkeys.a:\nemrkeys.b: c\n").is_ok());
    }

    #[test]
    fn a_broken_escape_is_refused_with_its_line() {
        let refused = parse(Path::new("x.conf"), "a=1\nb=\\uZZZZ\n").unwrap_err();
        assert_eq!(refused.line(), Some(2), "{refused}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z=: \\\\\nu0-9#!é]{0,200}") {
            let _ = parse(Path::new("x.conf"), &text);
        }
    }
}
