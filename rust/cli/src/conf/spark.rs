//! Spark's properties files, such as `spark-defaults.conf`: the format of `java.util.Properties`, in UTF-8.
//! Source: `org.apache.spark.util.Utils.getPropertiesFromFile`.

use std::path::Path;

use java_properties::{LineContent, PropertiesIter};

use super::site::{Origin, Property};
use super::{hadoop_property, Refused};

/// The properties that Spark hands to Hadoop, without their `spark.hadoop.`; and those of no prefix at all that are ours, which
/// people put into files of their own.
///
/// # Errors
/// What is wrong with the file, and the line.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Property>, Refused> {
    let mut properties = Vec::new();
    for line in PropertiesIter::new_with_encoding(text.as_bytes(), encoding_rs::UTF_8) {
        let line = line.map_err(|error| {
            let row = error.line_number().and_then(|line| u32::try_from(line).ok());
            Refused::at(path, row, format!("it is not a properties file ({error})"))
        })?;
        let number = u32::try_from(line.line_number()).ok();
        if let LineContent::KVPair(name, value) = line.consume_content() {
            let known =
                hadoop_property(&name).or_else(|| name.starts_with("emrkeys.").then_some(name.as_str()));
            properties.extend(known.map(|known| Property {
                name: known.to_owned(),
                value: value.trim().to_owned(), // as Spark does
                is_final: false,
                origin: Origin::File {
                    path: path.to_owned(),
                    line: number,
                },
            }));
        }
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_of_java_are_read() {
        let text = "# comment\n! another\nspark.hadoop.a 1\nspark.hadoop.b=2 \n spark.hadoop.c : 3\nspark.hadoop.d = 4\\\n   5\n\
                    spark.app.name x\nemrkeys.default.key=main\nspark.hadoop.e=\\u0041\\=é\n";
        let found = parse(Path::new("x.conf"), text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|p| (p.name.as_str(), p.value.as_str()))
            .collect();
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "45"),
            ("emrkeys.default.key", "main"),
            ("e", "A=é"),
        ];
        assert_eq!(found, expected);
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
