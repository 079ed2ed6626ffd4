//! The report as a page for a browser. Names of keys and objects are outside input: everything is escaped.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::look::Group;
use super::share::Amount;
use super::tally::Tally;
use super::About;
use crate::text::{counted, plural, printable};

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
/// Of `SCRIPT`, the only script that a browser runs in the page.
const SCRIPT_HASH: &str = "sha256-I+OXQCNBn/9kk2mQKx6rEP/OF1y6Eh5dNsk0/gqtFWk=";

/// The whole page. Without scripts it is read as well; it is only not sorted.
pub(super) fn html(about: &About, tally: &Tally) -> String {
    let prefix = escaped(&about.prefix);
    let version = emrkeys_core::VERSION;
    let reading = if about.unwrapped {
        format!("read as --for {}", about.client)
    } else {
        "data keys were not unwrapped".to_owned()
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src '{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Audit of {prefix}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Audit of {prefix}</h1>\n\
         <p class=\"dim\">{}, emrkeys {version}, {reading}</p>\n",
        escaped(&about.when)
    );
    let kinds = tally.findings.len() as u64;
    // Writing to a string never fails.
    let _ = writeln!(
        out,
        "<div class=\"figures\"><div><b>{}</b>{}</div><div><b>{}</b>in all</div>\
         <div><b>{}</b>{} with findings</div><div><b>{}</b>{} of findings</div></div>",
        tally.objects,
        plural(tally.objects, "object"),
        size(tally.bytes),
        tally.finding_objects(),
        plural(tally.finding_objects(), "object"),
        kinds,
        plural(kinds, "kind")
    );
    let _ = writeln!(out, "<p>{}</p>", escaped(&tally.shares.text()));
    out.push_str("<div class=\"charts\">\n");
    chart(&mut out, tally, "By key and version", |group| {
        let key = if group.key.is_empty() {
            "no key named"
        } else {
            &group.key
        };
        match group.version.as_str() {
            "" => key.to_owned(),
            version => format!("{key}, version {version}"),
        }
    });
    chart(&mut out, tally, "By mode", |group| group.mode.clone());
    chart(&mut out, tally, "By readability", |group| {
        match group.readable.as_str() {
            "yes" => "readable".to_owned(),
            "not proven" => "not proven".to_owned(),
            "-" => "not encrypted by a client, or not tried".to_owned(),
            code => code.to_owned(),
        }
    });
    out.push_str("</div>\n");
    findings(&mut out, tally);
    groups(&mut out, tally);
    let _ = writeln!(
        out,
        "</tbody></table></div>\n<script>{SCRIPT}</script>\n</body>\n</html>"
    );
    out
}

fn findings(out: &mut String, tally: &Tally) {
    out.push_str("<h2>Findings</h2>\n");
    if tally.findings.is_empty() {
        out.push_str("<p>None.</p>\n");
    }
    for (finding, (amount, examples)) in &tally.findings {
        let _ = write!(
            out,
            "<div class=\"finding\"><h3>{}</h3><p class=\"dim\">{}, {}</p><p>{}</p><p>{}</p><ul>",
            escaped(&finding.name()),
            counted(amount.objects, "object"),
            size(amount.bytes),
            escaped(finding.what()),
            escaped(finding.remedy())
        );
        for example in examples {
            let _ = write!(out, "<li><code>{}</code></li>", escaped(example));
        }
        out.push_str("</ul></div>\n");
    }
}

/// The table, but for its end.
fn groups(out: &mut String, tally: &Tally) {
    out.push_str(
        "<h2>Groups</h2>\n<label id=\"filtering\" hidden>Filter <input id=\"filter\" type=\"search\"></label>\n\
         <div class=\"scroll\"><table id=\"groups\"><thead><tr>",
    );
    for name in Group::COLUMNS {
        let _ = write!(out, "<th><button>{name}</button></th>");
    }
    out.push_str(
        "<th class=\"number\"><button>objects</button></th><th class=\"number\"><button>bytes</button></th>\
         </tr></thead><tbody>\n",
    );
    for (group, amount) in &tally.groups {
        out.push_str("<tr>");
        for cell in group.cells() {
            let _ = write!(out, "<td>{}</td>", escaped(cell));
        }
        let _ = writeln!(
            out,
            "<td class=\"number\">{}</td><td class=\"number\" data-value=\"{}\">{}</td></tr>",
            amount.objects,
            amount.bytes,
            size(amount.bytes)
        );
    }
}

/// How many bars a chart has; the table has everything.
const MAX_BARS: usize = 12;

fn chart(out: &mut String, tally: &Tally, title: &str, name: impl Fn(&Group) -> String) {
    let mut sums: BTreeMap<String, Amount> = BTreeMap::new();
    for (group, amount) in &tally.groups {
        let sum = sums.entry(name(group)).or_default();
        sum.objects += amount.objects;
        sum.bytes = sum.bytes.saturating_add(amount.bytes);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, amount)| std::cmp::Reverse((amount.objects, amount.bytes)));
    let _ = write!(out, "<figure><figcaption>{title}</figcaption>");
    for (name, amount) in sums.iter().take(MAX_BARS) {
        let percent = amount.objects as f64 * 100.0 / tally.objects.max(1) as f64;
        let _ = write!(
            out,
            "<div class=\"bar\"><span><span>{}</span><span class=\"number\">{}, {}</span></span>\
             <svg aria-hidden=\"true\"><rect width=\"{percent:.2}%\" height=\"8\" rx=\"4\"/></svg></div>",
            escaped(name),
            counted(amount.objects, "object"),
            size(amount.bytes)
        );
    }
    if sums.len() > MAX_BARS {
        let _ = write!(
            out,
            "<p class=\"dim\">and {} more, in the table</p>",
            sums.len() - MAX_BARS
        );
    }
    out.push_str("</figure>\n");
}

/// In units that people read.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// As text in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_outside_becomes_markup() {
        let hostile = "</title><script>alert('1')</script>&\u{202e}";
        let text = escaped(hostile);
        assert!(!text.contains(['<', '>', '\'', '"', '\u{202e}']), "{text}");
        let about = About {
            prefix: hostile.to_owned(),
            when: String::new(),
            client: "s3",
            unwrapped: false,
        };
        assert_eq!(html(&about, &Tally::new("", 1)).matches("<script").count(), 1);
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16384.0 PiB");
    }
}
