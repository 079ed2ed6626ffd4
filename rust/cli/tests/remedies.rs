//! The commands that messages and help name are commands of the tool, with options that it has.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;

/// Where messages are written.
const SOURCES: [&str; 4] = ["../core/src", "../objects/src", "src", "../jni/src"];

#[test]
fn every_command_that_a_message_or_an_example_names_exists_with_its_options() {
    let mut tool = emrkeys_cli::command();
    tool.build();
    let mut seen = 0;
    for folder in SOURCES {
        for path in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                for (at, _) in line.match_indices("emrkeys ") {
                    let place = format!("{}:{}", path.display(), number + 1);
                    seen += usize::from(check(&tool, &line[at + "emrkeys ".len()..], &place));
                }
            }
        }
    }
    assert!(seen > 60, "{seen} commands were found");
}

/// Whether `text` begins with a command, which then has to be right.
fn check(tool: &Command, text: &str, place: &str) -> bool {
    let word = |c: char| c.is_whitespace() || "\"`;,()|".contains(c);
    let words: Vec<&str> = text.split(word).take_while(|word| !word.is_empty()).collect();
    let Some(mut command) = words
        .first()
        .and_then(|first| tool.find_subcommand(first.trim_end_matches(['.', ':'])))
    else {
        return false;
    };
    let mut rest = &words[1..];
    while command.has_subcommands() {
        let Some((next, after)) = rest.split_first() else {
            return true; // the family of commands
        };
        let next = next.trim_end_matches(['.', ':']);
        if next == "…" || next.is_empty() {
            return true;
        }
        command = command
            .find_subcommand(next)
            .unwrap_or_else(|| panic!("{place}: {} has no command {next}: {text}", command.get_name()));
        rest = after;
    }
    for option in rest.iter().filter_map(|word| word.strip_prefix("--")) {
        let name = option.split(['=', '.', '{']).next().unwrap_or(option);
        let known = |argument: &clap::Arg| argument.get_long() == Some(name);
        let known = command.get_arguments().any(known) || tool.get_arguments().any(known);
        assert!(
            known || name.is_empty(),
            "{place}: {} has no option --{name}: {text}",
            command.get_name()
        );
    }
    true
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
