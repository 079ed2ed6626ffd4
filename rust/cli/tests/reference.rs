//! The reference in `docs/cli.md` is the help of the commands.
//!
//! After a change of a command: `EMRKEYS_WRITE_DOCS=1 cargo test -p emrkeys-cli --test reference`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write;

use clap::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
const BEGIN: &str = "<!-- reference: begin (generated) -->\n";
const END: &str = "<!-- reference: end -->";

#[test]
fn the_documentation_has_the_help_of_every_command() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut reference = String::new();
    let mut command = emrkeys_cli::command().term_width(100);
    command.build();
    section(&command, "emrkeys", &mut reference);
    let updated = format!("{before}{BEGIN}{reference}{END}{after}");
    if std::env::var_os("EMRKEYS_WRITE_DOCS").is_some() {
        std::fs::write(FILE, &updated).unwrap();
    }
    assert!(
        text == updated,
        "docs/cli.md is not what the commands say; see the head of this test"
    );
}

/// A command that only holds others has no section of its own.
fn section(command: &Command, path: &str, out: &mut String) {
    let top = path == "emrkeys";
    if top || !command.has_subcommands() {
        // The options that all commands share stand in the first section alone.
        let shared = |arg: clap::Arg| {
            let hide = !top && (arg.is_global_set() || arg.get_id() == "help");
            arg.hide(hide)
        };
        let mut shown = command.clone().mut_args(shared).bin_name(path);
        let help = shown.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(out, "## `{path}`\n\n```\n{}\n```\n\n", help.join("\n").trim_end()).unwrap();
    }
    for child in command
        .get_subcommands()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        section(child, &format!("{path} {}", child.get_name()), out);
    }
}
