//! `emrkeys inspect`

use std::io::{stdout, Write};

use clap::Args;
use emrkeys_core::object::{
    noted_length, work_on, Content, Envelope, Found, Head, InOrder, Listed, Listing, Pace, Place as In,
};
use emrkeys_core::{Error, Explainer, Provider};
use serde_json::{json, Value};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use super::{absent, instruction_beside, Place, Stores};
use crate::aws::Aws;
use crate::conf::{open, Conf};
use crate::output::{at, Failure};
use crate::progress::interrupted;
use crate::Form;

#[derive(Args)]
pub(crate) struct Inspect {
    /// The objects: s3://bucket/key or file:///path
    #[arg(value_name = "URI", required = true)]
    uris: Vec<String>,
    /// Each URI is a prefix in S3: all objects whose keys begin so
    #[arg(long)]
    recursive: bool,
    /// Objects looked at at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    #[command(flatten)]
    conf: Conf,
}

/// What is known without reading the content.
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
}

impl Inspect {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let settings = self.conf.load(aws)?;
        let usage = self.conf.usage.into();
        // Without a word on keys there is still all that objects say of themselves.
        let configured = settings
            .keys()
            .any(|name| name.starts_with("emrkeys.key.") || name.starts_with("fs.s3.cse."));
        let (provider, explainer) = if configured {
            (
                Some(open(usage, &settings)?.0),
                Some(Explainer::new(usage, &settings)?),
            )
        } else {
            (None, None)
        };
        let stores = Stores::new(aws);
        let places = self
            .uris
            .iter()
            .map(|uri| Place::parse(uri))
            .collect::<Result<Vec<_>, _>>()?;
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
                store: store.as_ref(),
                provider: provider.as_ref(),
                explainer: explainer.as_ref(),
            };
            look.answer()
        };
        let mut out = std::io::BufWriter::new(stdout().lock());
        let (mut failure, mut first) = (None, true);
        if form == Form::Json {
            write!(out, "[")?;
        }
        let mut order = InOrder::default();
        let ended = work_on(items, pace, &stop, look, |number, _, answer| {
            // In the order in which they were named.
            for answer in order.put(number, answer) {
                let printed = answer.and_then(|answer| match form {
                    Form::Json => Ok(write!(
                        out,
                        "{}\n{:#}",
                        if first { "" } else { "," },
                        answer.json()
                    )?),
                    Form::Text => answer.print(&mut out, first),
                });
                first = false;
                if let Err(error) = printed {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    failure = failure.take().or(Some(error));
                }
            }
        });
        if form == Form::Json {
            writeln!(out, "\n]")?;
        }
        out.flush()?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(ended?),
        }
    }
}

struct Look<'a> {
    place: &'a Place,
    store: Option<&'a emrkeys_core::object::Store>,
    provider: Option<&'a Provider>,
    explainer: Option<&'a Explainer>,
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
                let length = path.metadata().map_err(at(path))?.len();
                let (envelope, malformed) = match instruction_beside(path) {
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
            answer.readable = Some(provider.data_key(envelope).map(|_| ()));
        }
        if let (Some(explainer), Place::S3(uri)) = (self.explainer, self.place) {
            answer.rule = explainer.explain(&uri.to_string(), None)?.key;
        }
        Ok(answer)
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
        let noted = self
            .head
            .as_ref()
            .and_then(|head| noted_length(&head.metadata).ok().flatten());
        let (envelope, _) = self.envelope.as_ref()?;
        match envelope.content {
            Content::Cbc => noted,
            content => content.plaintext_length(self.length),
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
                "key": envelope.key(),
                "version": envelope.version(),
                "description": envelope.description.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
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
            "malformed": self.malformed.as_ref().map(ToString::to_string),
            "readable": self.readable.as_ref().map(Result::is_ok),
            "why": match &self.readable {
                Some(Err(error)) => json!({ "code": error.code().as_str(), "message": error.to_string() }),
                _ => Value::Null,
            },
            "keyToday": self.rule,
        })
    }

    fn print(&self, out: &mut impl Write, first: bool) -> Result<(), Failure> {
        if !first {
            writeln!(out)?;
        }
        writeln!(out, "{}", self.place)?;
        let mut line = |label: &str, text: &str| writeln!(out, "  {label:12}{text}");
        let modified = self
            .modified()
            .map_or_else(String::new, |time| format!(", of {time}"));
        line("size", &format!("{} bytes{modified}", self.length))?;
        match (&self.envelope, &self.malformed) {
            (_, Some(error)) => line("envelope", &format!("malformed: {error}"))?,
            (None, None) => line("encryption", "none by a client")?,
            (Some((envelope, place)), None) => {
                line("written by", envelope.written_by())?;
                let authentic = if envelope.content == Content::Cbc {
                    ", not authenticated"
                } else {
                    ""
                };
                line("content", &format!("{}{authentic}", envelope.content.name()))?;
                line("data key", &format!("wrapped by {}", envelope.wrap.name()))?;
                line("envelope", envelope_place(place.as_ref()))?;
                if let Some(length) = self.plaintext_length() {
                    line("plaintext", &format!("{length} bytes"))?;
                }
                line("key", envelope.key().unwrap_or("not named"))?;
                if let Some(version) = envelope.version() {
                    line("version", version)?;
                }
                for (name, value) in &envelope.description {
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

fn envelope_place(place: Option<&In>) -> &'static str {
    match place {
        Some(In::Metadata) => "in the object's metadata",
        Some(In::InstructionFile { .. }) | None => "in its instruction file",
    }
}
