//! Hadoop's site files. Source: `org.apache.hadoop.conf.Configuration.Parser`.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use super::site::{Origin, Property};
use super::{read, Refused};

/// How deep files may include each other, and how many there may be in all.
const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 64;
/// The most text that they may have in all, in bytes: a file may be included again and again.
const MAX_TEXT: usize = 32 * 1024 * 1024;
/// The most elements, attributes and texts of one file.
const MAX_NODES: u32 = 2_000_000;
/// The deepest nesting of elements that is looked into; Hadoop's own files have three.
const MAX_NESTING: usize = 16;
/// The most attributes of one element and the most declarations of namespaces in one file. The parser compares each of
/// them with every other one, so a small file with many of them would keep it busy for hours.
const MAX_ATTRIBUTES: usize = 64;
const MAX_NAMESPACES: usize = 256;

/// The properties of the site file with the content `text`, in order, those of included files in their places.
///
/// # Errors
/// The fault of the file or of one that it includes, and its place.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Property>, Refused> {
    let mut files = Files {
        left: MAX_FILES,
        text_left: MAX_TEXT,
    };
    let mut properties = Vec::new();
    files.file(path, text, 0, &mut properties)?;
    Ok(properties)
}

struct Files {
    left: usize,
    text_left: usize,
}

impl Files {
    fn file(
        &mut self,
        path: &Path,
        text: &str,
        depth: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        let source = Source::new(path, text);
        if let Some(at) = crowded(text) {
            let what = format!("an element has more than {MAX_ATTRIBUTES} attributes");
            return Err(source.refused(at, what));
        }
        if let Some((at, _)) = text.match_indices("xmlns").nth(MAX_NAMESPACES) {
            let what = format!("it declares more than {MAX_NAMESPACES} namespaces");
            return Err(source.refused(at, what));
        }
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
            return Err(source.refused(root.range().start, what));
        }
        self.configuration(&source, root, depth, 0, out)
    }

    fn configuration(
        &mut self,
        source: &Source,
        element: Node,
        depth: usize,
        nesting: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        if nesting > MAX_NESTING {
            return Err(source.refused(element.range().start, "elements are nested too deep"));
        }
        for child in element.children().filter(Node::is_element) {
            match child.tag_name().name() {
                "property" => out.extend(property(source, child)),
                "configuration" => self.configuration(source, child, depth, nesting + 1, out)?,
                "include" => self.include(source, child, depth, nesting, out)?,
                // As Hadoop does.
                _ => {}
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        source: &Source,
        element: Node,
        depth: usize,
        nesting: usize,
        out: &mut Vec<Property>,
    ) -> Result<(), Refused> {
        let at = |what: String| source.refused(element.range().start, what);
        let Some(href) = element.attribute("href") else {
            return Err(at("an include has no href".to_owned()));
        };
        let included = match href.split_once(':') {
            None => source.path.parent().unwrap_or(Path::new("")).join(href),
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
            (Ok(text), _) => {
                self.text_left = self
                    .text_left
                    .checked_sub(text.len())
                    .ok_or_else(|| at(format!("included files have more than {MAX_TEXT} bytes together")))?;
                self.file(&included, &text, depth + 1, out)
            }
            (Err(_), Some(fallback)) => self.configuration(source, fallback, depth, nesting + 1, out),
            (Err(refused), None) => Err(at(format!("it includes a file that cannot be read: {refused}"))),
        }
    }
}

/// Hadoop passes over a property without a name, and takes one without a value for unset, an empty element for none.
fn property(source: &Source, element: Node) -> Option<Property> {
    let texts = |name: &'static str| {
        element
            .children()
            .filter(move |child| child.is_element() && child.tag_name().name() == name)
            .map(text)
    };
    let of = |name: &'static str| {
        texts(name)
            .rfind(|text| !text.is_empty())
            .or_else(|| element.attribute(name).map(str::to_owned))
    };
    let name = of("name")?.trim().to_owned();
    (!name.is_empty()).then_some(())?;
    Some(Property {
        value: of("value")?,
        is_final: match texts("final").next_back() {
            Some(text) => text == "true",
            None => element.attribute("final") == Some("true"),
        },
        by_spark: false,
        origin: Origin::File {
            path: source.path.to_owned(),
            line: source.line(element.range().start),
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

/// Where the first element with more than [`MAX_ATTRIBUTES`] starts. No attribute holds a `<`, so each is between its
/// element's and the next one.
fn crowded(text: &str) -> Option<usize> {
    text.match_indices('<').map(|(at, _)| at).find(|at| {
        let mut quote = None;
        let mut attributes = 0;
        if text[at + 1..].starts_with(['!', '?']) {
            return false;
        }
        for c in text[at + 1..].chars() {
            match (quote, c) {
                (Some(open), c) if open == c => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, '=') => attributes += 1,
                (None, '>') | (_, '<') => break,
                _ => {}
            }
        }
        attributes > MAX_ATTRIBUTES
    })
}

/// A file, and where its lines end.
struct Source<'a> {
    path: &'a Path,
    ends: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(path: &'a Path, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Source { path, ends }
    }

    fn line(&self, at: usize) -> Option<u32> {
        u32::try_from(self.ends.partition_point(|end| *end < at) + 1).ok()
    }

    fn refused(&self, at: usize, what: impl Into<String>) -> Refused {
        Refused::at(self.path, self.line(at), what)
    }
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
            format!(
                "<?xml version=\"1.0\"?>\n<?xml-stylesheet type=\"text/xsl\"?>\n\
                 <configuration>{inner}</configuration>"
            )
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
            ("<property><name>a</name><value/></property>", vec![]),
            (
                "<!-- ================================================================================ -->\
                 <property name='a' value='1'/>",
                one("a", "1", false),
            ),
            ("<property name='a' value=''/>", one("a", "", false)),
            (
                "<property><name>a</name><value>1</value><final> true</final></property>",
                one("a", "1", false),
            ),
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
        let fallback = "<xi:include href='none.xml'><xi:fallback><property name='a' value='2'/>\
                        </xi:fallback></xi:include>";
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
    fn what_is_included_again_and_again_comes_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let large = format!("<configuration>{}</configuration>", " ".repeat(9 << 20));
        fs::write(folder.path().join("large.xml"), large).unwrap();
        let includes = "<include href='large.xml'/>\n".repeat(4);
        let text = format!("<configuration>\n{includes}</configuration>");
        let refused = parse(&folder.path().join("outer.xml"), &text).unwrap_err();
        assert!(
            refused.to_string().contains("more than 33554432 bytes together"),
            "{refused}"
        );
        assert_eq!(refused.line(), Some(5));
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

    #[test]
    fn what_would_keep_the_parser_busy_is_refused() {
        let many = |what: fn(usize) -> String| (0..50_000).map(what).collect::<String>();
        let attributes = many(|n| format!(" a{n}='>'"));
        let namespaces = many(|n| format!("<a xmlns:a{n}='u'>"));
        for text in [
            format!("<configuration>\n<property{attributes}/></configuration>"),
            format!("<configuration>{namespaces}"),
        ] {
            let refused = parse(Path::new("x.xml"), &text).unwrap_err();
            assert!(refused.to_string().contains("more than"), "{refused}");
        }
        let text = format!(
            "<configuration>\n{}</configuration>",
            "<property name='a' value='1'/>\n".repeat(200_000)
        );
        let found = parse(Path::new("x.xml"), &text).unwrap();
        assert_eq!(found[199_999].origin.to_string(), "x.xml:200001");
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
            let text = format!(
                "<configuration><property><name>a</name><value>{escaped}</value></property>\
                 </configuration>"
            );
            let expected = if value.is_empty() { vec![] } else { one("a", &value, false) };
            prop_assert_eq!(values(&text), expected);
        }
    }
}
