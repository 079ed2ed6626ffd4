//! Hadoop's site files. Source: `org.apache.hadoop.conf.Configuration.Parser`.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use super::site::{Origin, Property};
use super::{read, Refused};

/// How deep files may include each other, and how many there may be in all.
const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 64;
/// The most elements, attributes and texts of one file.
const MAX_NODES: u32 = 2_000_000;
/// The deepest nesting of elements that is looked into; Hadoop's own files have three.
const MAX_NESTING: usize = 16;

/// The properties of the site file with the content `text`, in order, those of included files in their places.
///
/// # Errors
/// What is wrong with the file or one that it includes, and where.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Property>, Refused> {
    let mut files = Files { left: MAX_FILES };
    let mut properties = Vec::new();
    files.file(path, text, 0, &mut properties)?;
    Ok(properties)
}

struct Files {
    left: usize,
}

impl Files {
    fn file(
        &mut self,
        path: &Path,
        text: &str,
        depth: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        // No document type, so no entities of the file's own: they can grow without bound and read other files.
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::DtdDetected => Refused::at(
                path,
                None,
                "it has a document type (DOCTYPE), which a site file must not have",
            ),
            error => Refused::at(
                path,
                Some(error.pos().row),
                format!("it is not well-formed XML ({error})"),
            ),
        })?;
        let root = document.root_element();
        if root.tag_name().name() != "configuration" {
            let what = format!(
                "its outermost element is <{}> and not <configuration>",
                root.tag_name().name()
            );
            return Err(Refused::at(path, line(root), what));
        }
        self.configuration(path, root, depth, 0, out)
    }

    fn configuration(
        &mut self,
        path: &Path,
        element: Node,
        depth: usize,
        nesting: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        if nesting > MAX_NESTING {
            return Err(Refused::at(path, line(element), "elements are nested too deep"));
        }
        for child in element.children().filter(Node::is_element) {
            match child.tag_name().name() {
                "property" => out.extend(property(path, child)),
                "configuration" => self.configuration(path, child, depth, nesting + 1, out)?,
                "include" => self.include(path, child, depth, nesting, out)?,
                // As Hadoop does.
                _ => {}
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        path: &Path,
        element: Node,
        depth: usize,
        nesting: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        let at = |what: String| Refused::at(path, line(element), what);
        let Some(href) = element.attribute("href") else {
            return Err(at("an include has no href".to_owned()));
        };
        let included = match href.split_once(':') {
            None => path.parent().unwrap_or(Path::new("")).join(href),
            Some(("file", rest)) if rest.starts_with('/') => PathBuf::from(rest.trim_start_matches("//")),
            Some(_) => return Err(at(format!("it includes {href:?}, and only local files are read"))),
        };
        if depth >= MAX_DEPTH || self.left == 0 {
            return Err(at(format!(
                "files include each other more than {MAX_DEPTH} deep, or there are more than {MAX_FILES}"
            )));
        }
        self.left -= 1;
        let fallback = element
            .children()
            .find(|child| child.is_element() && child.tag_name().name() == "fallback");
        match (read(&included), fallback) {
            (Ok(text), _) => self.file(&included, &text, depth + 1, out),
            (Err(_), Some(fallback)) => self.configuration(path, fallback, depth, nesting + 1, out),
            (Err(refused), None) => Err(at(format!("it includes a file that cannot be read: {refused}"))),
        }
    }
}

/// Hadoop passes over a property without a name, and takes one without a value for unset.
fn property(path: &Path, element: Node) -> Option<Property> {
    let of = |name: &str| {
        let child = element
            .children()
            .filter(|child| child.is_element() && child.tag_name().name() == name)
            .next_back();
        match child {
            Some(child) => Some(text(child)),
            None => element.attribute(name).map(str::to_owned),
        }
    };
    let name = of("name")?.trim().to_owned();
    (!name.is_empty()).then_some(())?;
    Some(Property {
        value: of("value")?,
        is_final: of("final").is_some_and(|text| text.trim() == "true"),
        origin: Origin::File {
            path: path.to_owned(),
            line: line(element),
        },
        name,
    })
}

/// All text in an element, comments left out.
fn text(element: Node) -> String {
    element
        .children()
        .filter_map(|child| child.is_text().then(|| child.text()).flatten())
        .collect()
}

fn line(element: Node) -> Option<u32> {
    Some(element.document().text_pos_at(element.range().start).row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn values(text: &str) -> Vec<(String, String, bool)> {
        let found = parse(Path::new("x.xml"), text).unwrap();
        found.into_iter().map(|p| (p.name, p.value, p.is_final)).collect()
    }

    fn one(name: &str, value: &str, is_final: bool) -> Vec<(String, String, bool)> {
        vec![(name.to_owned(), value.to_owned(), is_final)]
    }

    #[test]
    fn properties_are_read_as_hadoop_reads_them() {
        let wrap = |inner: &str| {
            format!("<?xml version=\"1.0\"?>\n<?xml-stylesheet type=\"text/xsl\"?>\n<configuration>{inner}</configuration>")
        };
        for (inner, expected) in [
            (
                "<property><name> a </name><value> 1 </value></property>",
                one("a", " 1 ", false),
            ),
            (
                "<property><name>a</name><value>1</value><final>true</final><source>x</source></property>",
                one("a", "1", true),
            ),
            ("<property name='a' value='1' final='true'/>", one("a", "1", true)),
            ("<property><name>a</name><value/></property>", one("a", "", false)),
            (
                "<property><name>a</name><value>1<!-- x -->2</value></property>",
                one("a", "12", false),
            ),
            (
                "<property><name>a</name><value><![CDATA[<&>]]>&amp;&#65;</value></property>",
                one("a", "<&>&A", false),
            ),
            (
                "<property><name>a</name></property><property><value>1</value></property><other/>",
                vec![],
            ),
            (
                "<configuration><property><name>a</name><value>1</value></property></configuration>",
                one("a", "1", false),
            ),
        ] {
            assert_eq!(values(&wrap(inner)), expected, "{inner}");
        }
    }

    #[test]
    fn files_are_included_from_beside_the_one_that_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let inner = "<configuration><property><name>a</name><value>1</value></property></configuration>";
        fs::write(folder.path().join("inner.xml"), inner).unwrap();
        let outer = folder.path().join("outer.xml");
        let including = |what: &str| {
            let text =
                format!("<configuration xmlns:xi='http://www.w3.org/2001/XInclude'>{what}</configuration>");
            parse(&outer, &text).map(|found| found.into_iter().map(|p| p.value).collect::<Vec<_>>())
        };
        assert_eq!(including("<xi:include href='inner.xml'/>").unwrap(), ["1"]);
        let absolute = format!(
            "<xi:include href='file://{}/inner.xml'/>",
            folder.path().display()
        );
        assert_eq!(including(&absolute).unwrap(), ["1"]);
        let fallback = "<xi:include href='none.xml'><xi:fallback><property name='a' value='2'/></xi:fallback></xi:include>";
        assert_eq!(including(fallback).unwrap(), ["2"]);
        assert!(including("<xi:include href='none.xml'/>").is_err());
        assert!(including("<xi:include href='http://x/y.xml'/>").is_err());
        fs::write(
            folder.path().join("self.xml"),
            "<configuration><include href='self.xml'/></configuration>",
        )
        .unwrap();
        assert!(including("<xi:include href='self.xml'/>").is_err());
    }

    #[test]
    fn what_is_no_site_file_is_refused_with_the_line() {
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><configuration>&b;</configuration>";
        for (text, line) in [
            ("<configuration>\n<property>\n</configuration>", Some(3)),
            ("", Some(1)),
            ("<other/>", Some(1)),
            (bomb, None),
            ("<configuration>&unknown;</configuration>", Some(1)),
        ] {
            let refused = parse(Path::new("x.xml"), text).unwrap_err();
            assert_eq!(refused.line(), line, "{refused}");
        }
        let deep = format!(
            "{}{}",
            "<configuration>".repeat(200),
            "</configuration>".repeat(200)
        );
        assert!(parse(Path::new("x.xml"), &deep).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[<>/a-z&;!\\[\\]\"= \n]{0,200}") {
            let _ = parse(Path::new("x.xml"), &text);
            let _ = parse(Path::new("x.xml"), &format!("<configuration>{text}</configuration>"));
        }

        #[test]
        fn every_value_that_xml_can_hold_comes_back(value in "[ -~é\u{1F511}]{0,60}") {
            let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let text = format!("<configuration><property><name>a</name><value>{escaped}</value></property></configuration>");
            prop_assert_eq!(values(&text), one("a", &value, false));
        }
    }
}
