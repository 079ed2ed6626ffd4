//! The report as a page for a browser. Names of keys and objects are outside input: maud escapes every text, and
//! [`Text`] first makes control characters visible.

use std::collections::BTreeMap;

use maud::{html, Markup, PreEscaped, Render, DOCTYPE};

use super::look::Group;
use super::share::Amount;
use super::tally::Tally;
use super::About;
use crate::text::{counted, in_units, plural, printable, shortened};

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
/// Of `SCRIPT`, the only script that a browser runs in the page.
const SCRIPT_HASH: &str = "sha256-I+OXQCNBn/9kk2mQKx6rEP/OF1y6Eh5dNsk0/gqtFWk=";

/// A text of outside, with its control characters made visible.
struct Text<'a>(&'a str);

impl Render for Text<'_> {
    fn render_to(&self, buffer: &mut String) {
        printable(self.0).render_to(buffer);
    }
}

/// A sentence of ours, with its commands as code.
struct Prose<'a>(&'a str);

impl Render for Prose<'_> {
    fn render_to(&self, buffer: &mut String) {
        for (number, part) in self.0.split('`').enumerate() {
            let part = Text(part);
            let markup = if number % 2 == 1 {
                html! { code { (part) } }
            } else {
                html! { (part) }
            };
            markup.render_to(buffer);
        }
    }
}

/// The whole page. It is readable without scripts; they only sort and filter the table.
pub(super) fn page(about: &About, tally: &Tally) -> String {
    let reading = if about.unwrapped {
        format!("read as --for {}", about.client)
    } else {
        "data keys were not unwrapped".to_owned()
    };
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src '{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'"
    );
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Audit of " (Text(&about.prefix)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Audit of " (Text(&about.prefix)) }
                p.dim { (Text(&about.when)) ", emrkeys " (emrkeys_core::VERSION) ", " (reading) }
                (figures(tally))
                p { (Text(&tally.shares.text())) }
                (charts(tally))
                (findings(tally))
                (groups(tally))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

fn figures(tally: &Tally) -> Markup {
    let kinds = tally.findings.len() as u64;
    let with_findings = tally.finding_objects();
    html! {
        div.figures {
            div { b { (tally.objects) } (plural(tally.objects, "object")) }
            div { b { (in_units(tally.bytes)) } "in all" }
            div { b { (with_findings) } (plural(with_findings, "object")) " with findings" }
            div { b { (kinds) } (plural(kinds, "kind")) " of findings" }
        }
    }
}

fn charts(tally: &Tally) -> Markup {
    html! {
        div.charts {
            (chart(tally, "By key and version", |group| {
                let key = if group.key.is_empty() { "no key named" } else { &group.key };
                match group.version.as_str() {
                    "" => key.to_owned(),
                    version => format!("{key}, version {version}"),
                }
            }))
            (chart(tally, "By mode", |group| group.mode.clone()))
            (chart(tally, "By readability", |group| match group.readable.as_str() {
                "yes" => "readable".to_owned(),
                "not proven" => "not proven".to_owned(),
                "-" => "not encrypted by a client, or not tried".to_owned(),
                code => code.to_owned(),
            }))
        }
    }
}

/// Characters of a bar's name; the table has all of it.
const MAX_NAME: usize = 60;
/// How many bars a chart has; the table has everything.
const MAX_BARS: usize = 12;

fn chart(tally: &Tally, title: &str, name: impl Fn(&Group) -> String) -> Markup {
    let mut sums: BTreeMap<String, Amount> = BTreeMap::new();
    for (group, amount) in &tally.groups {
        let sum = sums.entry(name(group)).or_default();
        sum.objects += amount.objects;
        sum.bytes = sum.bytes.saturating_add(amount.bytes);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, amount)| std::cmp::Reverse((amount.objects, amount.bytes)));
    let percent = |amount: &Amount| {
        let share = amount.objects as f64 * 100.0 / tally.objects.max(1) as f64;
        format!("{share:.1}")
    };
    html! {
        figure {
            figcaption { (title) }
            @for (name, amount) in sums.iter().take(MAX_BARS) {
                div.bar {
                    span {
                        span title=(printable(name)) { (Text(&shortened(name, MAX_NAME))) }
                        span.number {
                            (counted(amount.objects, "object")) ", " (percent(amount)) " %, " (in_units(amount.bytes))
                        }
                    }
                    svg aria-hidden="true" { rect width={ (percent(amount)) "%" } height="8" rx="4" {} }
                }
            }
            @if sums.len() > MAX_BARS {
                p.dim { "and " (sums.len() - MAX_BARS) " more, in the table" }
            }
        }
    }
}

fn findings(tally: &Tally) -> Markup {
    html! {
        h2 { "Findings" }
        @if tally.findings.is_empty() {
            p { "None." }
        }
        @for (finding, (amount, examples)) in tally.worst_first() {
            div class={ "finding " (finding.severity().name()) } {
                h3 { (Text(&finding.name())) }
                p.dim { (counted(amount.objects, "object")) ", " (in_units(amount.bytes)) }
                p { (Prose(finding.what())) }
                p { (Prose(finding.remedy())) }
                ul {
                    @for example in examples {
                        li { code { (Text(example)) } }
                    }
                }
            }
        }
    }
}

fn groups(tally: &Tally) -> Markup {
    html! {
        h2 { "Groups" }
        label id="filtering" hidden { "Filter " input id="filter" type="search"; }
        div.scroll {
            table id="groups" {
                thead {
                    tr {
                        @for name in Group::COLUMNS {
                            th { button { (name) } }
                        }
                        th.number { button { "objects" } }
                        th.number { button { "bytes" } }
                    }
                }
                tbody {
                    @for (group, amount) in &tally.groups {
                        tr {
                            @for cell in group.cells() {
                                // The ARN of a KMS key is looked for, and copied, in one piece.
                                td.whole[cell.contains("arn:")] { (Text(cell)) }
                            }
                            td.number { (amount.objects) }
                            td.number data-value=(amount.bytes) { (in_units(amount.bytes)) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_outside_becomes_markup() {
        let hostile = "</title><script>alert('1')</script>&\u{202e}";
        let about = About {
            prefix: hostile.to_owned(),
            when: String::new(),
            client: "s3",
            unwrapped: false,
        };
        let page = page(&about, &Tally::new("", 1));
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</title>").count(), 1);
        assert!(!page.contains('\u{202e}'), "{page}");
    }
}
