//! `emrkeys wrap` and `emrkeys unwrap`: keys of tables, for programs that are not Java.
//!
//! Each line of standard input is a request in JSON, each line of standard output the answer. A program starts the tool
//! once and keeps it.

use std::io::{stdin, stdout, BufRead, IsTerminal, Read, Write};

use base64ct::{Base64, Encoding};
use clap::Args;
use emrkeys_core::table_key::TableKind;
use emrkeys_core::{Client, Code, Config, Error, Problem, Provider};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::aws::Aws;
use crate::conf::{open, Files};
use crate::output::Failure;

/// The most bytes of a request: more than the longest wrapped key has in Base64.
const MAX_REQUEST: u64 = 128 * 1024;

#[derive(Args)]
pub(crate) struct Command {
    #[command(flatten)]
    files: Files,
}

/// One line of standard input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// `parquet` or `iceberg`.
    table: String,
    /// The name of the configured key, or `rule:` and the URI of the file.
    key: String,
    /// In Base64: the key to wrap, or the wrapped key.
    value: String,
}

impl Command {
    pub(crate) fn wrap(&self, aws: &Aws) -> Result<(), Failure> {
        self.serve(aws, |provider, kind, under, key| {
            provider.wrap_table_key(kind, under, key).map(Zeroizing::new)
        })
    }

    pub(crate) fn unwrap(&self, aws: &Aws) -> Result<(), Failure> {
        if stdout().is_terminal() {
            return Err(Failure::Usage(
                "`emrkeys unwrap` answers a program with keys, and standard output is a terminal: connect a pipe"
                    .to_owned(),
            ));
        }
        self.serve(aws, Provider::unwrap_table_key)
    }

    fn serve(
        &self,
        aws: &Aws,
        work: impl Fn(&Provider, TableKind, &str, &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>,
    ) -> Result<(), Failure> {
        let settings = self.files.load(aws)?;
        let opened = Config::parse(Client::Tables, &settings).and_then(open);
        let (provider, _) = opened.map_err(|error| settings.located(error))?;
        let mut input = stdin().lock();
        loop {
            let mut line = Zeroizing::new(Vec::with_capacity(4096));
            input.by_ref().take(MAX_REQUEST).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            let answer = match answer(&provider, &line, &work) {
                Ok(value) => Zeroizing::new(format!("{{\"value\":\"{}\"}}\n", *value)),
                Err(error) => {
                    let error = json!({ "code": error.code().as_str(), "message": error.to_string() });
                    Zeroizing::new(format!("{}\n", json!({ "error": error })))
                }
            };
            let mut out = stdout().lock();
            out.write_all(answer.as_bytes())?;
            out.flush()?;
        }
    }
}

/// The answer in Base64.
fn answer(
    provider: &Provider,
    line: &[u8],
    work: impl Fn(&Provider, TableKind, &str, &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>,
) -> Result<Zeroizing<String>, Error> {
    let malformed = |what: &str| {
        Problem::new(
            Code::InvalidValue,
            format!("the request on standard input is malformed: {what}"),
            r#"Write one line {"table":"parquet","key":"NAME","value":"BASE64"} for each key."#,
        )
    };
    // The text of the parser may quote a key.
    let request: Request =
        serde_json::from_slice(line).map_err(|_| malformed("it is no such JSON, or too long"))?;
    let kind = TableKind::from_name(&request.table);
    let kind = kind.ok_or_else(|| malformed("the table is neither parquet nor iceberg"))?;
    let value = Zeroizing::new(request.value);
    let value = Base64::decode_vec(&value).map_err(|_| malformed("the value is not Base64"))?;
    let result = work(provider, kind, &request.key, &Zeroizing::new(value))?;
    Ok(Zeroizing::new(Base64::encode_string(&result)))
}
