//! Man pages and shell completions, from the commands themselves: `emrkeys completions` for users, `emrkeys generate`
//! for the release.

use std::fs::create_dir_all;
use std::io::{stdout, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::output::Failure;
use crate::Cli;

#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(emrkeys completions bash)
  mkdir -p ~/.zfunc && emrkeys completions zsh > ~/.zfunc/_emrkeys
  mkdir -p ~/.config/fish/completions &&
      emrkeys completions fish > ~/.config/fish/completions/emrkeys.fish")]
pub(crate) struct Completions {
    /// The shell that is to complete commands
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        // Written at once: the generator panics where its output is gone.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown(), "emrkeys", &mut script);
        Ok(stdout().lock().write_all(&script)?)
    }
}

#[derive(Args)]
pub(crate) struct Command {
    /// Where the folders `man` and `completions` are made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Command {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (man, completions) = (self.folder.join("man"), self.folder.join("completions"));
        create_dir_all(&man)?;
        create_dir_all(&completions)?;
        clap_mangen::generate_to(Cli::command(), &man)?;
        for page in std::fs::read_dir(&man)? {
            let path = page?.path();
            std::fs::write(&path, plain(&std::fs::read_to_string(&path)?))?;
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            // Under the names by which the shells find them.
            clap_complete::generate_to(shell, &mut shown(), "emrkeys", &completions)?;
        }
        Ok(())
    }
}

/// The page without hyphens in words and without wide spaces between them, both of which get into commands that are
/// copied, and with the lines of examples as they are.
fn plain(page: &str) -> String {
    let page = page.replacen("\n.SH NAME", "\n.nh\n.ad l\n.SH NAME", 1);
    let (before, notes) = page.split_once("\n.SH EXTRA\n").unwrap_or((&page, ""));
    if notes.is_empty() {
        return page;
    }
    let (notes, after) = notes.split_once("\n.SH ").unwrap_or((notes, ""));
    let after = if after.is_empty() {
        String::new()
    } else {
        format!("\n.SH {after}")
    };
    let notes = format!("\n{}", notes.trim_end());
    let notes = notes.replacen("\nExample", "\n.nf\nExample", 1);
    format!("{before}\n.SH NOTES{notes}\n.fi{after}\n")
}

/// The commands for users: completions would offer hidden ones, too.
fn shown() -> clap::Command {
    let all = Cli::command();
    clap::Command::new("emrkeys")
        .version(emrkeys_core::VERSION)
        .args(all.get_arguments().cloned())
        .subcommands(
            all.get_subcommands()
                .filter(|command| !command.is_hide_set())
                .cloned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_have_the_names_that_shells_look_for_and_offer_nothing_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let command = Command {
            folder: folder.path().to_owned(),
        };
        assert!(command.run().is_ok());
        for name in ["emrkeys.bash", "_emrkeys", "emrkeys.fish"] {
            let text = std::fs::read_to_string(folder.path().join("completions").join(name)).unwrap();
            assert!(
                text.contains("keyring") && text.contains("endpoint-url"),
                "{name}"
            );
            assert!(!text.contains("generate"), "{name}");
        }
        let page = std::fs::read_to_string(folder.path().join("man/emrkeys-cat.1")).unwrap();
        assert!(page.contains(".nh\n.ad l\n") && !page.contains("EXTRA"), "{page}");
        let notes = page.split("\n.SH NOTES\n").nth(1).unwrap();
        let examples = notes.split("\n.nf\nExamples:\n").nth(1).unwrap();
        assert!(
            examples.starts_with("  emrkeys cat ") && examples.ends_with("\n.fi\n"),
            "{page}"
        );
    }
}
