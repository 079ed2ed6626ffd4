//! `emrkeys inspect`

use std::io::{stdout, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use clap::Args;
use emrkeys_core::{explain, Code, Config, Error, Problem, Provider};
use emrkeys_objects::iceberg::{is_table_metadata, EncryptedTable};
use emrkeys_objects::parquet::{is_key_material, EncryptedParquet, MaterialEntry};
use emrkeys_objects::{
    unwrap_data_key, work_on, Content, Envelope, Found, Head, InOrder, Listed, Listing, Pace, Place as In,
};
use serde_json::{json, Value};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use super::{absent, iceberg, instruction_beside, parquet, Instructions, Place, Stores, Version};
use crate::aws::Aws;
use crate::conf::{open_lazily, Conf};
use crate::output::{at, problem, Failure};
use crate::progress::{interrupted, is_set};
use crate::text::{counted, printable};
use crate::Form;

/// Objects that are looked at before all answers up to them have to be printed: those behind a slow one wait in memory.
const AHEAD: usize = 1000;

#[derive(Args)]
#[command(after_help = "\
A malformed envelope is an answer and no failure, as is a data key that this configuration does not
unwrap: the exit code is 0. What cannot be looked at (missing, denied) is printed with its error,
the others are looked at all the same, and the exit code is not 0.

Example:
  emrkeys inspect s3://lake/raw/part-0.parquet --conf emr.json")]
pub(crate) struct Inspect {
    /// The objects: s3://bucket/key or file:///path
    #[arg(value_name = "URI", required = true)]
    uris: Vec<String>,
    /// Each URI is a prefix in S3: all objects whose keys begin so
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    version: Version,
    #[command(flatten)]
    instructions: Instructions,
    /// Objects looked at at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    #[command(flatten)]
    conf: Conf,
}

/// The facts that are known without reading the content.
struct Answer {
    place: Place,
    length: u64,
    head: Option<Head>,
    /// `None`: not encrypted by a client.
    envelope: Option<(Envelope, Option<In>)>,
    /// Why the envelope cannot be understood.
    malformed: Option<Error>,
    readable: Option<Result<(), Error>>,
    rule: Option<String>,
    /// The name in the configuration of the key that the object leads to.
    configured: Option<String>,
    /// The keys of a table; the error says why they cannot be read.
    table: Option<OfTable>,
}

/// A file of a table, which the table format encrypted or which holds keys of that.
enum OfTable {
    Parquet(Result<EncryptedParquet, Error>),
    KeyMaterial(Result<Vec<MaterialEntry>, Error>),
    Iceberg(Result<EncryptedTable, Error>),
}

impl Inspect {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let settings = self.conf.files.load_if_given(aws)?;
        // Without a word on keys there is still all that objects say of themselves.
        let configured = settings
            .keys()
            .any(|name| name.starts_with("emrkeys.key.") || name.starts_with("fs.s3.cse."));
        let config = configured
            .then(|| Config::parse(self.conf.usage.into(), &settings).map(Arc::new))
            .transpose()?;
        let provider = config.clone().map(open_lazily).transpose()?;
        let places = self
            .uris
            .iter()
            .map(|uri| Place::parse(uri))
            .collect::<Result<Vec<_>, _>>()?;
        let version = self.version.of(&places)?;
        if version.is_some() && self.recursive {
            return Err(Failure::Usage(
                "--version-id is of one object, and --recursive of many".to_owned(),
            ));
        }
        let stores = Stores::new(aws, &self.instructions, version);
        if places.iter().any(|place| matches!(place, Place::S3(_))) {
            stores.s3()?;
        }
        let mut items: Box<dyn Iterator<Item = Result<Place, Error>> + Send> = Box::new(std::iter::empty());
        for place in places {
            items = match &place {
                Place::S3(prefix) if self.recursive => {
                    let listing = Listing::open(stores.s3()?, prefix, None, None)?;
                    let place = |listed: Listed| Place::S3(listed.uri);
                    Box::new(items.chain(listing.map(move |listed| listed.map(place))))
                }
                _ => Box::new(items.chain(std::iter::once(Ok(place)))),
            };
        }
        let pace = Pace {
            jobs: self.jobs.into(),
            per_second: None,
        };
        let store = stores.s3().ok().cloned();
        let look = |place: &Place| {
            let look = Look {
                place,
                suffix: self.instructions.suffix(),
                store: store.as_ref(),
                provider: provider.as_ref(),
                config: config.as_deref(),
            };
            look.answer()
        };
        let mut printer = Printer::begin(std::io::BufWriter::new(stdout().lock()), form)?;
        let mut broken = None;
        let ended = in_order(items, pace, &stop, look, |place, answer| {
            if let Err(failure) = printer.print(&place, answer) {
                stop.store(true, Ordering::Relaxed);
                broken = broken.take().or(Some(failure));
            }
        });
        if let Some(failure) = broken {
            return Err(failure);
        }
        let seen = printer.end()?;
        ended?;
        if is_set(&stop) {
            return Err(Failure::Interrupted);
        }
        seen
    }
}

/// [`work_on`], with the results in the order of the items.
fn in_order<I: Send, T: Send>(
    mut items: impl Iterator<Item = Result<I, Error>> + Send,
    pace: Pace,
    stop: &AtomicBool,
    work: impl Fn(&I) -> T + Sync,
    mut each: impl FnMut(I, T),
) -> Result<(), Error> {
    loop {
        let mut order = InOrder::default();
        let mut done = 0;
        work_on(
            items.by_ref().take(AHEAD),
            pace,
            stop,
            &work,
            |number, item, result| {
                done += 1;
                for (item, result) in order.put(number, (item, result)) {
                    each(item, result);
                }
            },
        )?;
        if done < AHEAD {
            return Ok(());
        }
    }
}

/// Prints answers as they come.
struct Printer<W> {
    out: W,
    form: Form,
    first: bool,
    /// How many objects could not be looked at, and why the first of them.
    failures: u64,
    failure: Option<Failure>,
}

impl<W: Write> Printer<W> {
    fn begin(mut out: W, form: Form) -> Result<Self, Failure> {
        if form == Form::Json {
            write!(out, "[")?;
        }
        Ok(Printer {
            out,
            form,
            first: true,
            failures: 0,
            failure: None,
        })
    }

    /// An object that could not be looked at is an entry too, and ends nothing.
    fn print(&mut self, place: &Place, answer: Result<Answer, Failure>) -> Result<(), Failure> {
        let out = &mut self.out;
        let between = match (self.form, self.first) {
            (Form::Json, true) => "\n",
            (Form::Json, false) => ",\n",
            (Form::Text, true) => "",
            (Form::Text, false) => "\n",
        };
        write!(out, "{between}")?;
        self.first = false;
        let failure = match (answer, self.form) {
            (Ok(answer), Form::Json) => return Ok(write!(out, "{:#}", answer.json())?),
            (Ok(answer), Form::Text) => return answer.print(out),
            (Err(failure), _) => failure,
        };
        let (code, message) = match &failure {
            Failure::Core(error) => (Some(error.code().as_str()), error.to_string()),
            Failure::File(path, error) => (None, format!("{}: {error}", path.display())),
            _ => return Err(failure),
        };
        match self.form {
            Form::Json => {
                let entry =
                    json!({ "uri": place.to_string(), "error": { "code": code, "message": message } });
                write!(out, "{entry:#}")?;
            }
            Form::Text => {
                writeln!(out, "{}", printable(&place.to_string()))?;
                print_line(out, "error", &message)?;
            }
        }
        self.failures += 1;
        self.failure = self.failure.take().or(Some(failure));
        Ok(())
    }

    /// Whether all objects could be looked at; the outer error is that of printing.
    fn end(mut self) -> Result<Result<(), Failure>, Failure> {
        if self.form == Form::Json {
            writeln!(self.out, "\n]")?;
        }
        self.out.flush()?;
        Ok(match self.failure {
            None => Ok(()),
            Some(failure) if self.failures == 1 => Err(failure),
            Some(_) => Err(problem(
                Code::ObjectsFailed,
                format!("{} objects could not be looked at", self.failures),
                "Each of them was printed with its error.",
            )),
        })
    }
}

/// A line of text below the object that it is about.
fn print_line(out: &mut impl Write, label: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, "  {label:12}{}", printable(text))
}

struct Look<'a> {
    place: &'a Place,
    suffix: &'a str,
    store: Option<&'a emrkeys_objects::Store>,
    provider: Option<&'a Provider>,
    config: Option<&'a Config>,
}

impl Look<'_> {
    fn answer(&self) -> Result<Answer, Failure> {
        let mut answer = match (self.place, self.store) {
            (Place::S3(uri), Some(store)) => match store.find(uri) {
                Ok(None) => return Err(absent(self.place)),
                Ok(Some(Found { head, envelope })) => Answer {
                    length: head.length,
                    head: Some(head),
                    envelope: envelope.map(|(envelope, place)| (envelope, Some(place))),
                    ..self.nothing_known()
                },
                Err(error) if error.code() == emrkeys_core::Code::InvalidEnvelope => {
                    let head = store.head(uri)?.ok_or_else(|| absent(self.place))?;
                    Answer {
                        length: head.length,
                        head: Some(head),
                        malformed: Some(error),
                        ..self.nothing_known()
                    }
                }
                Err(error) => return Err(error.into()),
            },
            (Place::File(path), _) => {
                let length = match path.metadata() {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent(self.place)),
                    other => other.map_err(at(path))?.len(),
                };
                let (envelope, malformed) = match instruction_beside(path, self.suffix) {
                    Ok(envelope) => (envelope.map(|envelope| (envelope, None)), None),
                    Err(Failure::Core(error)) => (None, Some(error)),
                    Err(other) => return Err(other),
                };
                Answer {
                    length,
                    envelope,
                    malformed,
                    ..self.nothing_known()
                }
            }
            (Place::S3(_), None) => return Err(absent(self.place)),
        };
        if let (Some(provider), Some((envelope, _))) = (self.provider, &answer.envelope) {
            answer.readable = Some(unwrap_data_key(provider, envelope).map(|_| ()));
            answer.configured = provider.key_of(envelope).ok().flatten().map(|found| found.key);
        }
        if answer.envelope.is_none() && answer.malformed.is_none() {
            answer.table = self.table(&answer);
        }
        if let (Some(config), Place::S3(uri)) = (self.config, self.place) {
            answer.rule = explain(config, &uri.to_string(), None)?.key;
        }
        Ok(answer)
    }

    /// The keys of a file of a table that no S3 client encrypted.
    fn table(&self, answer: &Answer) -> Option<OfTable> {
        let provider = self.provider;
        match (self.place, self.store, &answer.head) {
            (Place::S3(uri), Some(store), Some(head)) => match &uri.key {
                key if parquet::is_parquet(key) => {
                    let found = parquet::in_s3(store, uri, (&head.etag, head.length), provider);
                    found.transpose().map(OfTable::Parquet)
                }
                key if is_key_material(key) => Some(OfTable::KeyMaterial(parquet::material_in_s3(
                    store, uri, provider,
                ))),
                key if is_table_metadata(key) => iceberg::in_s3(store, uri, provider)
                    .transpose()
                    .map(OfTable::Iceberg),
                _ => None,
            },
            (Place::File(path), _, _) => match path.to_string_lossy() {
                name if parquet::is_parquet(&name) => {
                    let found = parquet::on_disk(path, answer.length, provider);
                    found.transpose().map(OfTable::Parquet)
                }
                name if is_key_material(&name) => {
                    Some(OfTable::KeyMaterial(parquet::material_on_disk(path, provider)))
                }
                name if is_table_metadata(&name) => {
                    iceberg::on_disk(path, provider).transpose().map(OfTable::Iceberg)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn nothing_known(&self) -> Answer {
        Answer {
            place: self.place.clone(),
            length: 0,
            head: None,
            envelope: None,
            malformed: None,
            readable: None,
            rule: None,
            configured: None,
            table: None,
        }
    }
}

impl Answer {
    fn modified(&self) -> Option<String> {
        let time = OffsetDateTime::from(self.head.as_ref()?.modified?);
        time.format(&Rfc3339).ok()
    }

    /// As noted by the client, else as the ciphertext says.
    fn plaintext_length(&self) -> Option<u64> {
        let (envelope, _) = self.envelope.as_ref()?;
        match envelope.content {
            Content::Cbc => self.noted_length().ok().flatten(),
            content => content.plaintext_length(self.length),
        }
    }

    /// As noted by the client; the error says what is wrong with that.
    fn noted_length(&self) -> Result<Option<u64>, Problem> {
        match (&self.envelope, &self.head) {
            (Some((envelope, _)), Some(head)) => envelope.noted_length(&head.metadata, head.length),
            _ => Ok(None),
        }
    }

    fn json(&self) -> Value {
        let encryption = self.envelope.as_ref().map(|(envelope, place)| {
            json!({
                "client": envelope.written_by(),
                "content": envelope.content.name(),
                "wrap": envelope.wrap.name(),
                "envelope": envelope_place(place.as_ref()),
                "committed": envelope.commitment.is_some(),
                "plaintextLength": self.plaintext_length(),
                "wrongLength": self.noted_length().err().map(|problem| problem.message),
                "key": envelope.key(),
                "version": envelope.version(),
                "description": envelope.description.iter().collect::<std::collections::BTreeMap<_, _>>(),
            })
        });
        let sse = self.head.as_ref().map(Head::server_side_encryption);
        json!({
            "uri": self.place.to_string(),
            "length": self.length,
            "modified": self.modified(),
            "etag": self.head.as_ref().map(|head| &head.etag),
            "versionId": self.head.as_ref().and_then(Head::version_id),
            "serverSide": sse.map(|(algorithm, key)| json!({ "algorithm": algorithm, "kmsKey": key })),
            "encryption": encryption,
            "parquet": match &self.table {
                Some(OfTable::Parquet(found)) => parquet::json(found),
                _ => Value::Null,
            },
            "keyMaterial": match &self.table {
                Some(OfTable::KeyMaterial(found)) => parquet::material_json(found),
                _ => Value::Null,
            },
            "iceberg": match &self.table {
                Some(OfTable::Iceberg(found)) => iceberg::json(found),
                _ => Value::Null,
            },
            "malformed": self.malformed.as_ref().map(ToString::to_string),
            "readable": self.readable.as_ref().map(Result::is_ok),
            "why": match &self.readable {
                Some(Err(error)) => json!({ "code": error.code().as_str(), "message": error.to_string() }),
                _ => Value::Null,
            },
            "configuredKey": self.configured,
            "keyToday": self.rule,
        })
    }

    fn print(&self, out: &mut impl Write) -> Result<(), Failure> {
        writeln!(out, "{}", printable(&self.place.to_string()))?;
        let mut line = |label: &str, text: &str| print_line(out, label, text);
        let modified = self
            .modified()
            .map_or_else(String::new, |time| format!(", of {time}"));
        line("size", &format!("{}{modified}", counted(self.length, "byte")))?;
        match (&self.envelope, &self.malformed) {
            (_, Some(error)) => line("envelope", &format!("malformed: {error}"))?,
            (None, None) => {
                line("encryption", "none by a client")?;
                match &self.table {
                    Some(OfTable::Parquet(found)) => parquet::print(&mut line, found)?,
                    Some(OfTable::KeyMaterial(found)) => parquet::print_material(&mut line, found)?,
                    Some(OfTable::Iceberg(found)) => iceberg::print(&mut line, found)?,
                    None => {}
                }
            }
            (Some((envelope, place)), None) => {
                line("written by", envelope.written_by())?;
                let authentic = if envelope.content == Content::Cbc {
                    ", not authenticated"
                } else {
                    ""
                };
                line(
                    "content",
                    &format!("{}{authentic}", content_name(envelope.content)),
                )?;
                line("data key", &format!("wrapped by {}", envelope.wrap.name()))?;
                line("envelope", envelope_place(place.as_ref()))?;
                if let Some(length) = self.plaintext_length() {
                    line("plaintext", &counted(length, "byte"))?;
                }
                if let Err(problem) = self.noted_length() {
                    line("noted", &problem.message)?;
                }
                let configured = self.configured.as_deref();
                match (envelope.key(), configured) {
                    (Some(named), Some(configured)) if named != configured => {
                        line("key", &format!("{named}, configured as {configured}"))?;
                    }
                    (Some(named), _) => line("key", named)?,
                    (None, Some(configured)) => line("key", &format!("{configured}, by the configuration"))?,
                    (None, None) => line("key", "not named")?,
                }
                if let Some(version) = envelope.version() {
                    line("version", version)?;
                }
                for (name, value) in envelope.description.iter() {
                    line("", &format!("{name} = {value}"))?;
                }
            }
        }
        if let Some((algorithm, key)) = self.head.as_ref().map(Head::server_side_encryption) {
            let key = key.map_or_else(String::new, |key| format!(" under {key}"));
            line(
                "server side",
                &format!("{}{key}", if algorithm.is_empty() { "none" } else { algorithm }),
            )?;
        }
        match &self.readable {
            Some(Ok(())) => line("readable", "yes, with this configuration")?,
            Some(Err(error)) => line("readable", &format!("no: {error}"))?,
            None => {}
        }
        if let Some(rule) = &self.rule {
            line("key today", rule)?;
        }
        Ok(())
    }
}

/// The content cipher in words; release 4 of the S3 Encryption Client stores a number.
fn content_name(content: Content) -> String {
    match content {
        Content::CommittingGcm => format!(
            "AES-256-GCM that commits to its key (algorithm suite {})",
            content.name()
        ),
        other => other.name().to_owned(),
    }
}

fn envelope_place(place: Option<&In>) -> &'static str {
    match place {
        Some(In::Metadata) => "in the object's metadata",
        Some(In::InstructionFile { .. }) | None => "in its instruction file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[test]
    fn what_waits_for_a_slow_object_is_bounded_and_the_order_is_kept() {
        let begun = AtomicUsize::new(0);
        let pace = Pace {
            jobs: 4,
            per_second: None,
        };
        let work = |item: &usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            if *item == 0 {
                while begun.load(Ordering::SeqCst) < AHEAD {
                    std::thread::yield_now();
                }
                // Time enough for what must not begin.
                std::thread::sleep(Duration::from_millis(50));
                assert_eq!(begun.load(Ordering::SeqCst), AHEAD);
            }
        };
        let mut seen = Vec::new();
        let count = 2 * AHEAD + 7;
        in_order(
            (0..count).map(Ok),
            pace,
            &AtomicBool::new(false),
            work,
            |item, ()| seen.push(item),
        )
        .unwrap();
        assert!(seen.into_iter().eq(0..count));
    }
}
