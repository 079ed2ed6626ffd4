//! `emrkeys generate`, for the release: man pages and shell completions, from the commands themselves.

use std::fs::{create_dir_all, File};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::output::Failure;
use crate::Cli;

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
        clap_mangen::generate_to(Cli::command(), man)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let file = completions.join(format!("emrkeys.{shell}"));
            clap_complete::generate(shell, &mut Cli::command(), "emrkeys", &mut File::create(file)?);
        }
        Ok(())
    }
}
