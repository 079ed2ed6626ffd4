//! The tables of `docs/configuration.md` are those of the code.
//!
//! After a change of a property or a code: `EMRKEYS_WRITE_DOCS=1 cargo test -p emrkeys-core --test reference`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use emrkeys_core::{property_reference, Code, Property};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

#[test]
fn the_documentation_lists_every_property_and_code() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (ours, emrfs) = property_reference();
    let mut updated = text.clone();
    for (section, table) in [
        ("properties", property_table(ours)),
        ("emrfs-properties", property_table(emrfs)),
        ("codes", code_table()),
    ] {
        updated = with_section(&updated, section, &table);
    }
    if std::env::var_os("EMRKEYS_WRITE_DOCS").is_some() {
        std::fs::write(Path::new(FILE), &updated).unwrap();
    }
    assert!(
        text == updated,
        "docs/configuration.md is not what the code says; see the head of this test"
    );
}

/// The text with what stands between the section's two comment lines replaced.
fn with_section(text: &str, section: &str, table: &str) -> String {
    let begin = format!("<!-- {section}: begin (generated) -->\n");
    let end = format!("<!-- {section}: end -->");
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{table}{end}{after}")
}

fn property_table(properties: &[Property]) -> String {
    let mut table =
        "| property | value | default | example | what it does |\n|---|---|---|---|---|\n".to_owned();
    for Property {
        name,
        value,
        default,
        example,
        about,
    } in properties
    {
        writeln!(
            table,
            "| `{name}` | {value} | {default} | `{example}` | {about} |"
        )
        .unwrap();
    }
    table
}

fn code_table() -> String {
    let mut table = "| code | when |\n|---|---|\n".to_owned();
    for code in Code::ALL {
        writeln!(table, "| `{code}` | {} |", code.meaning()).unwrap();
    }
    table
}
