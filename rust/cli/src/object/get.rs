//! `emrkeys get` and `emrkeys cat`

use std::io::{stdout, Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use emrkeys_core::{Code, Provider};
use emrkeys_crypto::digest::sha256;
use emrkeys_objects::{
    unwrap_data_key, work_on, Content, DataKey, Listing, ObjectUri, Opener, RangeOpener, INSTRUCTION_MARK,
    TAG_BYTES,
};

use super::moved::{file_for, is_standard, Moved};
use super::tree::{folder_of_objects, path_below, Sums, PACE};
use super::{Instructions, Place, Sealed, Stores, Version, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, note, problem, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::Form;

#[derive(Args)]
pub(crate) struct Get {
    /// The object: s3://bucket/key or file:///path
    #[arg(value_name = "URI")]
    uri: String,
    /// The file to write; it appears when the whole object is read and, but for AES-CBC, has proved authentic. A folder
    /// gets a file with the last part of the object's name; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the URI for a folder of objects, and FILE for the folder that they go to
    #[arg(long, conflicts_with_all = ["range", "version_id"])]
    recursive: bool,
    #[command(flatten)]
    version: Version,
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
    /// Print what is decrypted before the whole object has proved authentic: the object is read once instead of twice,
    /// and what is printed is authentic only if the exit code is 0
    #[arg(long)]
    release_unverified: bool,
    #[command(flatten)]
    version: Version,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    conf: Conf,
}

#[derive(Args)]
struct Part {
    /// Read AES-CBC (EncryptionOnly mode of the SDK v1) too. A user who can write an object or its metadata can change
    /// what such an object decrypts to, and can make one of an object in AES-GCM whose data key is wrapped without its
    /// cipher (AESWrap, kms)
    #[arg(long)]
    allow_unauthenticated: bool,
    /// Bytes of the content, from 0 on and the last one included, such as 0-99 or 100-. A part is NOT authenticated
    #[arg(long, value_name = "FROM-TO", value_parser = range)]
    range: Option<(u64, Option<u64>)>,
    #[command(flatten)]
    instructions: Instructions,
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
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let place = Place::parse(&self.uri)?;
        if self.recursive {
            return self.tree(&folder_of_objects(place)?, form, aws);
        }
        let version = self.version.of(std::slice::from_ref(&place))?;
        if is_standard(&self.file) {
            let provider = self.conf.open_lazily(aws)?;
            let stores = Stores::new(aws, &self.part.instructions, version);
            let mut moved = print_object(place, &self.part, false, &provider, &stores)?;
            stdout().flush()?;
            moved.to = self.file.display().to_string();
            return moved.print(form);
        }
        let stop = interrupted()?;
        let provider = self.conf.open_lazily(aws)?;
        let path = &file_for(&self.file, &place)?;
        let stores = Stores::new(aws, &self.part.instructions, version);
        let mut progress = None;
        let moved = self.one(place, path, &provider, &stores, &mut |count, length| {
            progress
                .get_or_insert_with(|| Progress::of("bytes", Some(length)))
                .add(count);
            go_on(&stop)
        });
        if let Some(progress) = progress {
            progress.finish();
        }
        moved?.print(form)
    }

    /// Decrypts an object into a file. `read` gets how many bytes of ciphertext were read, and of how many.
    fn one(
        &self,
        place: Place,
        path: &Path,
        provider: &Provider,
        stores: &Stores,
        read: &mut impl FnMut(u64, u64) -> Result<(), Failure>,
    ) -> Result<Moved, Failure> {
        // Where it cannot be, nobody is asked for anything.
        let mut file = NewFile::create(path).map_err(at(path))?;
        let object = Reading::begin(place, &self.part, provider, stores)?;
        let mut written = 0;
        let mut write = |bytes: &[u8]| {
            written += bytes.len() as u64;
            file.write_all(bytes).map_err(at(path))
        };
        let length = object.sealed.length;
        object.copy(&mut Pieces::Unseen, &mut write, &mut |count| read(count, length))?;
        file.replace().map_err(at(path))?;
        Ok(Moved {
            to: path.display().to_string(),
            bytes: written,
            ..object.moved(provider)
        })
    }

    /// Decrypts all objects of a folder.
    fn tree(&self, prefix: &ObjectUri, form: Form, aws: &Aws) -> Result<(), Failure> {
        if is_standard(&self.file) {
            return Err(Failure::Usage("--recursive: name a folder, not -".to_owned()));
        }
        let stop = interrupted()?;
        let provider = self.conf.open_lazily(aws)?;
        let stores = Stores::new(aws, &self.part.instructions, None);
        let listing = Listing::open(stores.s3()?, prefix, None, None)?;
        let mut progress = Progress::of("objects", None);
        let mut sums = Sums::default();
        let done = work_on(
            listing,
            PACE,
            &stop,
            |listed| self.below(prefix, &listed.uri, &provider, &stores, &stop),
            |_, listed, result| {
                progress.add(1);
                sums.add(&listed.uri.to_string(), result);
            },
        );
        progress.finish();
        done?;
        sums.end(&prefix.to_string(), &self.file.display().to_string(), form, &stop)
    }

    /// An object of a folder; `None` for the mark of a folder and for an instruction file.
    fn below(
        &self,
        prefix: &ObjectUri,
        uri: &ObjectUri,
        provider: &Provider,
        stores: &Stores,
        stop: &AtomicBool,
    ) -> Result<Option<Moved>, Failure> {
        if uri.key.ends_with('/') {
            return Ok(None);
        }
        let path = path_below(&self.file, &uri.key[prefix.key.len()..])?;
        let folder = path.parent().unwrap_or(&self.file);
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        match self.one(Place::S3(uri.clone()), &path, provider, stores, &mut |_, _| {
            go_on(stop)
        }) {
            Err(failure) => {
                let head = stores.s3()?.head(uri)?;
                let is_instruction = head.is_some_and(|head| head.metadata.contains_key(INSTRUCTION_MARK));
                if is_instruction {
                    Ok(None)
                } else {
                    Err(failure)
                }
            }
            Ok(moved) => Ok(Some(moved)),
        }
    }
}

/// Whether the user lets the work go on.
pub(super) fn go_on(stop: &AtomicBool) -> Result<(), Failure> {
    if is_set(stop) {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

impl Cat {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        if form == Form::Json {
            return Err(Failure::Usage(
                "cat prints what objects hold: `emrkeys get URI - --output json` has a document on standard error"
                    .to_owned(),
            ));
        }
        let places = self
            .uris
            .iter()
            .map(|uri| Place::parse(uri))
            .collect::<Result<Vec<_>, _>>()?;
        let version = self.version.of(&places)?;
        let provider = self.conf.open_lazily(aws)?;
        let stores = Stores::new(aws, &self.part.instructions, version);
        for place in places {
            print_object(place, &self.part, self.release_unverified, &provider, &stores)?;
        }
        Ok(stdout().flush()?)
    }
}

/// Prints what an object holds; with `unverified` before all of it has proved authentic.
fn print_object(
    place: Place,
    part: &Part,
    unverified: bool,
    provider: &Provider,
    stores: &Stores,
) -> Result<Moved, Failure> {
    let mut out = stdout().lock();
    let whole = part.range.is_none();
    let object = Reading::begin(place, part, provider, stores)?;
    let mut pieces = Pieces::Unseen;
    if whole && !unverified {
        pieces = object.verify()?;
    }
    let mut written = 0;
    let mut write = |bytes: &[u8]| {
        written += bytes.len() as u64;
        match out.write_all(bytes) {
            // A reader that goes away early must not take the part that it has for authentic.
            Err(error) if whole && unverified && error.kind() == ErrorKind::BrokenPipe => {
                let why = "its reader went away before it had proved authentic";
                Err(Failure::Output(Error::other(why)))
            }
            other => Ok(other?),
        }
    };
    object.copy(&mut pieces, &mut write, &mut |_| Ok(()))?;
    Ok(Moved {
        bytes: written,
        ..object.moved(provider)
    })
}

/// The ciphertext that was read so far, where it is read twice.
enum Pieces {
    /// It is read once.
    Unseen,
    /// SHA-256 of each piece, as it is read the first time.
    Noted(Vec<[u8; 32]>),
    /// The digests of the pieces that are to come once more. A store or a disk may hold something else by now, which
    /// nothing verified.
    Awaited(std::vec::IntoIter<[u8; 32]>),
}

impl Pieces {
    fn see(&mut self, piece: &[u8], place: &Place) -> Result<(), Failure> {
        let as_before = match self {
            Pieces::Unseen => true,
            Pieces::Noted(digests) => {
                digests.push(sha256(piece));
                true
            }
            Pieces::Awaited(digests) => digests.next() == Some(sha256(piece)),
        };
        if as_before {
            return Ok(());
        }
        Err(problem(
            Code::ObjectChanged,
            format!("{place} was changed after it had been verified"),
            "Read it again.",
        ))
    }
}

/// An object with all that is needed to read it, or a part of it.
struct Reading<'a> {
    sealed: Sealed,
    key: DataKey,
    stores: &'a Stores<'a>,
    range: Option<(u64, Option<u64>)>,
}

impl<'a> Reading<'a> {
    fn begin(
        place: Place,
        part: &Part,
        provider: &Provider,
        stores: &'a Stores<'a>,
    ) -> Result<Reading<'a>, Failure> {
        let sealed = Sealed::find(place, stores)?;
        if sealed.envelope.content == Content::Cbc {
            let what = format!(
                "{} is encrypted with AES-CBC, which does not show whether somebody changed it",
                sealed.place
            );
            if !part.allow_unauthenticated {
                return Err(problem(
                    Code::ContentUnauthenticated,
                    what,
                    "Add --allow-unauthenticated where only people whom you trust can write the object and its \
                     metadata.",
                ));
            }
            note(format_args!("note: {what}"));
        }
        let key = unwrap_data_key(provider, &sealed.envelope)?;
        Ok(Reading {
            sealed,
            key,
            stores,
            range: part.range,
        })
    }

    /// The object in words, once it was read.
    fn moved(&self, provider: &Provider) -> Moved {
        let object = &self.sealed;
        Moved {
            from: object.place.to_string(),
            authenticated: self.range.is_none() && object.envelope.content != Content::Cbc,
            ..Moved::new(provider, &object.envelope)
        }
    }

    /// Reads the object to its end, to see that it is authentic, and notes it, so that the same can be read once more.
    fn verify(&self) -> Result<Pieces, Failure> {
        let mut progress = Progress::of("bytes verified", Some(self.sealed.length));
        let mut pieces = Pieces::Noted(Vec::new());
        let done = self.whole(&mut pieces, &mut |_| Ok(()), &mut |count| {
            progress.add(count);
            Ok(())
        });
        progress.finish();
        done?;
        Ok(match pieces {
            Pieces::Noted(digests) => Pieces::Awaited(digests.into_iter()),
            other => other,
        })
    }

    /// Decrypts the object, or the part of it that was asked for, piece by piece.
    fn copy(
        &self,
        pieces: &mut Pieces,
        write: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
        read: &mut impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.range {
            None => self.whole(pieces, write, read),
            Some((first, last)) => self.part(first, last, write, read),
        }
    }

    fn whole(
        &self,
        pieces: &mut Pieces,
        write: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
        read: &mut impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let object = &self.sealed;
        let mut buffer = vec![0; PIECE + TAG_BYTES];
        let mut left = Vec::new();
        let mut opener = Opener::new(&self.key, &object.envelope)?;
        let mut source = object.open(self.stores, None)?;
        let mut plaintext = 0;
        loop {
            let length = source.read(&mut buffer[..PIECE], &mut left)?;
            if length == 0 {
                break;
            }
            pieces.see(&buffer[..length], &object.place)?;
            let decrypted = opener.update(&mut buffer, length)?;
            plaintext += decrypted as u64;
            write(&buffer[..decrypted])?;
            read(length as u64)?;
        }
        let mut rest = [0; TAG_BYTES];
        let length = opener.finish(&mut rest)?;
        plaintext += length as u64;
        // AES-CBC has no tag: only this length shows that the content was cut at a block.
        if let Some(noted) = object.noted.filter(|_| object.envelope.content == Content::Cbc) {
            if noted != plaintext {
                return Err(problem(
                    Code::ObjectDamaged,
                    format!(
                        "{} has {plaintext} bytes of content, and its writer noted {noted}",
                        object.place
                    ),
                    "Restore the object from an older version or a copy.",
                ));
            }
        }
        write(&rest[..length])
    }

    fn part(
        &self,
        first: u64,
        last: Option<u64>,
        write: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
        read: &mut impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let object = &self.sealed;
        let total = object.envelope.content.plaintext_length(object.length);
        let total = total.unwrap_or(0);
        if first >= total {
            return Err(problem(
                Code::InvalidValue,
                format!("the range begins behind the {total} bytes of {}", object.place),
                "Correct --range.",
            ));
        }
        note("note: a part of an object is not authenticated: somebody may have changed it");
        let last = last.map_or(total - 1, |last| last.min(total - 1));
        let mut opener = RangeOpener::new(&self.key, &object.envelope, first)?;
        let mut source = object.open(self.stores, Some((RangeOpener::start_of(first), last)))?;
        let mut buffer = vec![0; PIECE];
        let mut left = Vec::new();
        loop {
            let length = source.read(&mut buffer, &mut left)?;
            if length == 0 {
                return Ok(());
            }
            write(opener.update(&mut buffer[..length])?)?;
            read(length as u64)?;
        }
    }
}
