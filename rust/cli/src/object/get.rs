//! `emrkeys get` and `emrkeys cat`

use std::io::{stdout, Error, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use emrkeys_core::Code;
use emrkeys_objects::{unwrap_data_key, Content, DataKey, Opener, RangeOpener, TAG_BYTES};

use super::{Place, Sealed, Stores, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, note, problem, Failure};
use crate::progress::{interrupted, is_set, Progress};

#[derive(Args)]
pub(crate) struct Get {
    /// The object: s3://bucket/key or file:///path
    #[arg(value_name = "URI")]
    uri: String,
    /// The file to write; it appears when the whole object has proved authentic
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    conf: Conf,
}

#[derive(Args)]
pub(crate) struct Cat {
    /// The objects: s3://bucket/key or file:///path
    #[arg(value_name = "URI", required = true)]
    uris: Vec<String>,
    /// Print what is decrypted before the whole object has proved authentic: read once instead of twice, and believe nothing of it
    /// unless the exit code is 0
    #[arg(long)]
    release_unverified: bool,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    conf: Conf,
}

#[derive(Args)]
struct Part {
    /// Bytes of the content, from 0 on and the last one included, such as 0-99 or 100-. A part is NOT authenticated
    #[arg(long, value_name = "FROM-TO", value_parser = range)]
    range: Option<(u64, Option<u64>)>,
}

fn range(text: &str) -> Result<(u64, Option<u64>), String> {
    let told = || "write FROM-TO or FROM-, in bytes".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(told)?;
    let first = first.parse().map_err(|_| told())?;
    match last {
        "" => Ok((first, None)),
        last => match last.parse() {
            Ok(last) if last >= first => Ok((first, Some(last))),
            _ => Err(told()),
        },
    }
}

impl Get {
    pub(crate) fn run(&self, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let (provider, _) = self.conf.open_provider(aws)?;
        let path = &self.file;
        // Where it cannot be, nobody is asked for anything.
        let mut file = NewFile::create(path).map_err(at(path))?;
        let stores = Stores::new(aws);
        let object = Sealed::find(Place::parse(&self.uri)?, &stores)?;
        let key = unwrap_data_key(&provider, &object.envelope)?;
        let mut progress = Progress::of("bytes", Some(object.length));
        let write = |bytes: &[u8]| file.write_all(bytes).map_err(at(path));
        let done = copy(&object, &key, &stores, self.part.range, write, &mut |count| {
            progress.add(count);
            if is_set(&stop) {
                return Err(Failure::Interrupted);
            }
            Ok(())
        });
        progress.finish();
        done?;
        file.replace().map_err(at(path))
    }
}

impl Cat {
    pub(crate) fn run(&self, aws: &Aws) -> Result<(), Failure> {
        let (provider, _) = self.conf.open_provider(aws)?;
        let stores = Stores::new(aws);
        let mut out = stdout().lock();
        let whole = self.part.range.is_none();
        for uri in &self.uris {
            let object = Sealed::find(Place::parse(uri)?, &stores)?;
            let key = unwrap_data_key(&provider, &object.envelope)?;
            let mut nothing = |_| Ok(());
            // First to the end, to see that it is authentic; then once more, the same object, to print it.
            if whole && !self.release_unverified {
                copy(&object, &key, &stores, None, |_| Ok(()), &mut nothing)?;
            }
            let mut write = |bytes: &[u8]| match out.write_all(bytes) {
                // Whoever goes away early must not take what they have for authentic.
                Err(error) if whole && self.release_unverified && error.kind() == ErrorKind::BrokenPipe => {
                    let why = "its reader went away before it had proved authentic";
                    Err(Failure::Output(Error::other(why)))
                }
                other => Ok(other?),
            };
            copy(&object, &key, &stores, self.part.range, &mut write, &mut nothing)?;
        }
        Ok(out.flush()?)
    }
}

/// Decrypts an object, or a part of it, piece by piece.
fn copy(
    object: &Sealed,
    key: &DataKey,
    stores: &Stores,
    range: Option<(u64, Option<u64>)>,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
    read: &mut impl FnMut(u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; PIECE + TAG_BYTES];
    let mut left = Vec::new();
    let Some((first, last)) = range else {
        if object.envelope.content == Content::Cbc {
            note(format_args!(
                "note: {} is encrypted with AES-CBC, which shows no change that somebody made to it",
                object.place
            ));
        }
        let mut opener = Opener::new(key, &object.envelope)?;
        let mut source = object.open(stores, None)?;
        let mut plaintext = 0;
        loop {
            let length = source.read(&mut buffer[..PIECE], &mut left)?;
            if length == 0 {
                break;
            }
            let decrypted = opener.update(&mut buffer, length)?;
            plaintext += decrypted as u64;
            write(&buffer[..decrypted])?;
            read(length as u64)?;
        }
        let mut rest = [0; TAG_BYTES];
        let length = opener.finish(&mut rest)?;
        plaintext += length as u64;
        // AES-CBC has no tag: that it was cut at a block, only this tells.
        if let Some(noted) = object.noted.filter(|_| object.envelope.content == Content::Cbc) {
            if noted != plaintext {
                return Err(problem(
                    Code::ObjectDamaged,
                    format!(
                        "{} has {plaintext} bytes of content, and who wrote it noted {noted}",
                        object.place
                    ),
                    "Restore the object from an older version or a copy.",
                ));
            }
        }
        return write(&rest[..length]);
    };
    let total = object
        .envelope
        .content
        .plaintext_length(object.length)
        .unwrap_or(0);
    if first >= total {
        return Err(problem(
            Code::InvalidValue,
            format!("the range begins behind the {total} bytes of {}", object.place),
            "Correct --range.",
        ));
    }
    note("note: a part of an object is not authenticated: somebody may have changed it");
    let last = last.map_or(total - 1, |last| last.min(total - 1));
    let mut opener = RangeOpener::new(key, &object.envelope, first)?;
    let mut source = object.open(stores, Some((RangeOpener::start_of(first), last)))?;
    loop {
        let length = source.read(&mut buffer[..PIECE], &mut left)?;
        if length == 0 {
            return Ok(());
        }
        write(opener.update(&mut buffer[..length])?)?;
        read(length as u64)?;
    }
}
