//! `emrkeys`, the operator's tool. It parses, calls the core, and prints; what it does is decided there.
//!
//! A library, so that its parsers can be fuzzed and its help can be written into the docs; the binary only calls
//! [`run`].

#![deny(clippy::print_stderr)] // `output::note`: where standard error is full, the macros panic

mod audit;
mod aws;
pub mod conf;
mod convert;
mod doctor;
mod emr_config;
mod explain;
mod files;
mod generate;
mod heaps;
pub mod hostile;
mod init;
mod keygen;
mod keyring;
mod kms;
mod many;
mod object;
mod output;
mod progress;
mod rewrap;
mod table_key;
mod terminal;
mod text;

pub use kms::Policy;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Keys for data at rest on Amazon EMR and Hadoop: the operator's tool.
#[derive(Parser)]
#[command(name = "emrkeys", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    /// How results are printed; errors go to standard error as text
    #[arg(long, value_name = "FORM", default_value = "text", global = true)]
    output: Output,
    /// Print results and errors alone: no bars, no remarks on what was done
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Tables as wide as their cells: nothing is shortened to the width of the terminal
    #[arg(long, global = true)]
    wide: bool,
    #[command(flatten)]
    aws: aws::Aws,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// A table with commas; audit alone
    Csv,
}

/// The form that every command prints.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For people
    Text,
    /// One JSON document
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Which keys protect what is under a prefix, and what is wrong with it
    Audit(audit::Command),
    /// Prints what encrypted objects hold, once they proved authentic
    #[command(after_help = "\
An object is read to its end before its first byte is printed. For the beginning of a large one take a range, or \
--release-unverified: then a reader that has seen enough ends the command at once, and the exit code is not 0.

Examples:
  emrkeys cat s3://lake/raw/part-0.csv --conf emr.json | wc -l
  emrkeys cat s3://lake/raw/part-0.csv --conf emr.json --range 0-9999 | head")]
    Cat(object::Cat),
    /// Prints a script that lets a shell complete commands and options
    Completions(generate::Completions),
    /// Encrypts objects anew, in place: from AES-CBC to authenticated formats, from plaintext, or to it
    #[command(after_help = "\
Examples:
  emrkeys convert s3://lake/raw/ --conf emr.json --dry-run
  emrkeys convert s3://lake/raw/ --conf emr.json \\
      --checkpoint convert.json --report convert.jsonl")]
    Convert(convert::Command),
    /// Checks everything that keys depend on: configuration, key files, KMS, keyrings, clients
    Doctor(doctor::Command),
    /// Prints what EMR needs to create a cluster for a configuration of keys
    #[command(subcommand)]
    EmrConfig(emr_config::Command),
    /// Says which key a new object would get, and why; calls no service
    Explain(explain::Command),
    /// Decrypts an object into a file
    #[command(after_help = "\
Examples:
  emrkeys get s3://lake/raw/part-0.parquet part-0.parquet --conf emr.json
  emrkeys get s3://lake/raw/part-0.csv head.csv --range 0-9999 --conf emr.json")]
    Get(object::Get),
    /// Makes a key, and the documents with which a cluster uses it
    Init(init::Command),
    /// How objects are encrypted, and whether this configuration reads them; their content is not read
    Inspect(object::Inspect),
    /// Man pages and shell completions
    #[command(hide = true)]
    Generate(generate::Command),
    /// Makes keys, in files that only their owner can read
    #[command(subcommand)]
    Keygen(keygen::Command),
    /// Creates and changes keyrings: versions of one key in a small document that many clusters share
    #[command(subcommand)]
    Keyring(keyring::Command),
    /// Shows and changes the users of a KMS key
    #[command(subcommand)]
    Kms(kms::Command),
    /// Encrypts a file into an object
    #[command(after_help = "\
Example:
  emrkeys put table.parquet s3://lake/raw/table.parquet --conf emr.json \\
      --resume table.upload")]
    Put(object::Put),
    /// Moves objects to another key, or to the newest version of theirs, without moving their content
    #[command(after_help = "\
Example:
  emrkeys rewrap s3://lake/raw/ --to lake --conf emr.json \\
      --checkpoint rewrap.json --report rewrap.jsonl")]
    Rewrap(rewrap::Command),
    /// Unwraps keys of tables for another program: JSON lines in and out
    #[command(hide = true)]
    Unwrap(table_key::Command),
    /// Wraps keys of tables for another program: JSON lines in and out
    #[command(hide = true)]
    Wrap(table_key::Command),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed: it is not possible, or a store or KMS did not answer
  2    the command line is wrong
  3    conflict: somebody else changed the keyring, key policy or
       object at the same time, or it exists; nothing was written
  4    refused: the keyring is malformed, not authentic or protected
       by a key that was not named, or the key policy would lock its
       administrator out
  5    denied: S3, KMS or the file system does not let you
  6    audit --fail-on-findings: there are findings
  7    audit, convert, rewrap: there are no objects
  130  stopped by Ctrl-C; nothing is half done";

/// The commands with their options, for the documentation.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Does what the command line says; the exit codes are those of `emrkeys --help`.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if cli.quiet {
        output::be_quiet();
    }
    if cli.wide {
        terminal::be_wide();
    }
    if let Err(failure) = cli.aws.apply() {
        return failure.report();
    }
    let csv = cli.output == Output::Csv;
    if csv && !matches!(cli.command, Command::Audit(_)) {
        return output::Failure::Usage("--output csv: audit alone prints it; write text or json".to_owned())
            .report();
    }
    let form = match cli.output {
        Output::Json => Form::Json,
        Output::Text | Output::Csv => Form::Text,
    };
    let done = match cli.command {
        Command::Audit(command) => command.run(form, csv, &cli.aws),
        Command::Cat(command) => command.run(form, &cli.aws),
        Command::Completions(command) => command.run(),
        Command::Convert(command) => command.run(form, &cli.aws),
        Command::Doctor(command) => command.run(form, &cli.aws),
        Command::EmrConfig(command) => command.run(&cli.aws),
        Command::Explain(command) => command.run(form, &cli.aws),
        Command::Get(command) => command.run(form, &cli.aws),
        Command::Init(command) => command.run(form, &cli.aws),
        Command::Inspect(command) => command.run(form, &cli.aws),
        Command::Generate(command) => command.run(),
        Command::Keygen(command) => command.run(form),
        Command::Keyring(command) => command.run(form, &cli.aws),
        Command::Kms(command) => command.run(form, &cli.aws),
        Command::Put(command) => command.run(form, &cli.aws),
        Command::Rewrap(command) => command.run(form, &cli.aws),
        Command::Unwrap(command) => command.unwrap(&cli.aws),
        Command::Wrap(command) => command.wrap(&cli.aws),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
