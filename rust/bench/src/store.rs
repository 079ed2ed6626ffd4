//! The S3 client of the operator's tool without any encryption: what its commands can reach at most.
//!
//! `get URI FILE`, `get URI -` (to nowhere), `put FILE URI`, and for all objects of a prefix `head PREFIX JOBS`,
//! `copy PREFIX JOBS` (each object is read and written again) and `in-place PREFIX JOBS` (S3 copies each onto itself).
//! Endpoint and credentials come from the environment, as for the AWS CLI.

use std::fs::File;
use std::io::{BufWriter, Error, Read, Write};
use std::sync::atomic::AtomicBool;

use emrkeys_objects::{work_on, work_on_all, Listing, Metadata, ObjectUri, Pace, S3Access, Store};

/// As in `emrkeys put`.
const PART: usize = 8 << 20;
const AT_ONCE: usize = 3;
/// Bytes written at once, as in `emrkeys get`.
const PIECE: usize = 256 << 10;

pub(crate) fn run() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let store = Store::connect(&S3Access {
        path_style: true,
        ..S3Access::default()
    })
    .map_err(Error::other)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["get", uri, "-"] => get(&store, uri, None),
        ["get", uri, path] => get(&store, uri, Some(File::create_new(path)?)),
        ["put", path, uri] => put(&store, File::open(path)?, uri),
        ["copy", prefix, jobs] => copy(&store, prefix, jobs.parse().map_err(Error::other)?),
        ["head", prefix, jobs] => all(&store, prefix, jobs, |uri| Ok(store.head(uri)?.is_some())),
        ["in-place", prefix, jobs] => all(&store, prefix, jobs, |uri| {
            store.copy_in_place(uri).map(|()| true)
        }),
        _ => Err(Error::other(
            "usage: store get URI FILE | get URI - | put FILE URI | head PREFIX JOBS | copy PREFIX JOBS | \
             in-place PREFIX JOBS",
        )),
    }
}

fn parse(uri: &str) -> Result<ObjectUri, Error> {
    ObjectUri::parse(uri).map_err(Error::other)
}

fn get(store: &Store, uri: &str, file: Option<File>) -> Result<(), Error> {
    let mut body = store.get(&parse(uri)?, None, None).map_err(Error::other)?;
    let mut file = file.map(|file| BufWriter::with_capacity(PIECE, file));
    while let Some(bytes) = body.next_piece().map_err(Error::other)? {
        if let Some(file) = &mut file {
            file.write_all(&bytes)?;
        }
    }
    match file {
        Some(file) => file.into_inner()?.sync_all(),
        None => Ok(()),
    }
}

fn put(store: &Store, mut file: File, uri: &str) -> Result<(), Error> {
    let upload = store
        .begin(&parse(uri)?, &Metadata::new())
        .map_err(Error::other)?;
    let mut unread = None;
    let parts = std::iter::from_fn(|| {
        let mut part = Vec::with_capacity(PART);
        match Read::by_ref(&mut file).take(PART as u64).read_to_end(&mut part) {
            Ok(0) => None,
            Ok(_) => Some(Ok(bytes::Bytes::from(part))),
            Err(error) => {
                unread = Some(error);
                None
            }
        }
    });
    let pace = Pace {
        jobs: AT_ONCE,
        per_second: None,
    };
    let mut etags = std::collections::BTreeMap::new();
    let mut failed = None;
    let numbered = parts
        .zip(1..)
        .map(|(part, number)| part.map(|part| (number, part)));
    work_on(
        numbered,
        pace,
        &AtomicBool::new(false),
        |(number, part)| store.part(&upload, *number, part.clone()),
        |_, (number, _), sent| match sent {
            Ok(etag) => {
                etags.insert(number, etag);
            }
            Err(error) => failed = Some(error),
        },
    )
    .map_err(Error::other)?;
    if let Some(error) = failed.map(Error::other).or(unread) {
        return Err(error);
    }
    let etags: Vec<String> = etags.into_values().collect();
    store.complete(&upload, &etags, false).map_err(Error::other)
}

/// Does `work` for each object, which says whether the object was there.
fn all(
    store: &Store,
    prefix: &str,
    jobs: &str,
    work: impl Fn(&ObjectUri) -> Result<bool, emrkeys_core::Error> + Sync,
) -> Result<(), Error> {
    let prefix = parse(prefix)?;
    let pace = Pace {
        jobs: jobs.parse().map_err(Error::other)?,
        per_second: None,
    };
    let mut missed = 0;
    let mut answered = 0;
    work_on(
        Listing::open(store, &prefix, None, None).map_err(Error::other)?,
        pace,
        &AtomicBool::new(false),
        |listed| work(&listed.uri),
        |_, _, done| match done {
            Ok(true) => answered += 1,
            _ => missed += 1,
        },
    )
    .map_err(Error::other)?;
    if missed > 0 {
        return Err(Error::other(format!("{missed} objects were not answered for")));
    }
    println!("{answered}");
    Ok(())
}

fn copy(store: &Store, prefix: &str, jobs: usize) -> Result<(), Error> {
    let pace = Pace {
        jobs,
        per_second: None,
    };
    let (mut copied, mut failed) = (0, None);
    work_on(
        Listing::open(store, &parse(prefix)?, None, None).map_err(Error::other)?,
        pace,
        &AtomicBool::new(false),
        |listed| {
            if listed.length > PART as u64 {
                copy_in_parts(store, &listed.uri, listed.length)
            } else {
                let content = read(store, &listed.uri, (0, listed.length - 1))?;
                store
                    .put(&listed.uri, content, &Metadata::new(), false)
                    .map_err(Error::other)
            }
        },
        |_, _, done| match done {
            Ok(()) => copied += 1,
            Err(error) => failed = Some(error),
        },
    )
    .map_err(Error::other)?;
    println!("{copied}");
    failed.map_or(Ok(()), Err)
}

fn copy_in_parts(store: &Store, uri: &ObjectUri, length: u64) -> Result<(), Error> {
    let upload = store.begin(uri, &Metadata::new()).map_err(Error::other)?;
    let parts: Vec<u64> = (0..length.div_ceil(PART as u64)).collect();
    let mut sent = work_on_all(parts, AT_ONCE, &AtomicBool::new(false), |part| {
        let first = part * PART as u64;
        let content = read(store, uri, (first, length.min(first + PART as u64) - 1))?;
        let number = i32::try_from(part + 1).map_err(Error::other)?;
        store.part(&upload, number, content).map_err(Error::other)
    })
    .map_err(Error::other)?;
    sent.sort_by_key(|(part, _)| *part);
    let etags: Vec<String> = sent.into_iter().map(|(_, etag)| etag).collect::<Result<_, _>>()?;
    store.complete(&upload, &etags, false).map_err(Error::other)
}

fn read(store: &Store, uri: &ObjectUri, range: (u64, u64)) -> Result<Vec<u8>, Error> {
    let mut content = Vec::with_capacity((range.1 + 1 - range.0) as usize);
    let mut body = store.get(uri, None, Some(range)).map_err(Error::other)?;
    while let Some(bytes) = body.next_piece().map_err(Error::other)? {
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}
