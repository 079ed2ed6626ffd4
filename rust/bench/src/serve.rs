//! As much of S3 as a put, a get and a listing need, whole objects and parts, in memory: no signature is checked and
//! nothing is hashed, so that what is measured is the client.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Keys of a page of a listing.
const PAGE: usize = 1000;

/// `x-amz-meta-…`, as they came.
type Metadata = Vec<(String, String)>;

struct Object {
    /// One after the other they are the content.
    parts: Vec<Vec<u8>>,
    metadata: Metadata,
}

struct Upload {
    parts: BTreeMap<u32, Vec<u8>>,
    metadata: Metadata,
}

#[derive(Default)]
struct Contents {
    /// By path, `/bucket/key` as it came.
    objects: BTreeMap<String, Arc<Object>>,
    /// By their ids.
    uploads: HashMap<String, Upload>,
}

type Shared = Arc<Mutex<Contents>>;

/// Prints the port, then serves until standard input ends.
pub(crate) fn run() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        let shared = Shared::default();
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // A client that hangs up in the middle ends its connection and nothing else.
            thread::spawn(move || connection(stream, &shared));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn connection(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let mut output = stream;
    loop {
        let line = read_line(&mut input)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: HashMap<&str, &str> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let headers = read_headers(&mut input)?;
        if headers.contains_key("expect") {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_body(&mut input, &headers)?;
        let metadata = || {
            let stored = headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
            stored
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        match (method, query.get("uploadId")) {
            ("PUT", None) => {
                let object = Object {
                    parts: vec![body],
                    metadata: metadata(),
                };
                lock(shared).objects.insert(path.to_owned(), Arc::new(object));
                respond(&mut output, "200 OK", 0, &[])?;
            }
            ("PUT", Some(&id)) => {
                let number = query.get("partNumber").and_then(|number| number.parse().ok());
                let stored = match (lock(shared).uploads.get_mut(id), number) {
                    (Some(upload), Some(number)) => {
                        upload.parts.insert(number, body);
                        "200 OK"
                    }
                    _ => "404 Not Found",
                };
                respond(&mut output, stored, 0, &[])?;
            }
            ("POST", None) if query.contains_key("uploads") => {
                let id = begin(shared, metadata());
                let result = "InitiateMultipartUploadResult";
                respond_xml(&mut output, result, &format!("<UploadId>{id}</UploadId>"))?;
            }
            ("POST", Some(&id)) => {
                let mut contents = lock(shared);
                let Some(upload) = contents.uploads.remove(id) else {
                    drop(contents);
                    respond(&mut output, "404 Not Found", 0, &[])?;
                    continue;
                };
                let object = Object {
                    parts: upload.parts.into_values().collect(),
                    metadata: upload.metadata,
                };
                contents.objects.insert(path.to_owned(), Arc::new(object));
                drop(contents);
                respond_xml(&mut output, "CompleteMultipartUploadResult", "")?;
            }
            ("DELETE", Some(&id)) => {
                lock(shared).uploads.remove(id);
                respond(&mut output, "204 No Content", 0, &[])?;
            }
            ("GET", None) if query.contains_key("list-type") => {
                let page = list(shared, path, &query);
                respond_xml(&mut output, "ListBucketResult", &page)?;
            }
            ("GET" | "HEAD", None) => {
                let found = lock(shared).objects.get(path).cloned();
                match found {
                    Some(object) => {
                        let length = object.parts.iter().map(Vec::len).sum();
                        respond(&mut output, "200 OK", length, &object.metadata)?;
                        if method == "GET" {
                            for part in &object.parts {
                                output.write_all(part)?;
                            }
                        }
                    }
                    None => respond(&mut output, "404 Not Found", 0, &[])?,
                }
            }
            _ => respond(&mut output, "501 Not Implemented", 0, &[])?,
        }
    }
}

fn begin(shared: &Shared, metadata: Metadata) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let upload = Upload {
        parts: BTreeMap::new(),
        metadata,
    };
    lock(shared).uploads.insert(id.clone(), upload);
    id
}

/// The content of a `ListBucketResult`. Prefixes and keys are taken as they stand in a URL: whoever asks uses plain
/// letters.
fn list(shared: &Shared, bucket: &str, query: &HashMap<&str, &str>) -> String {
    let bucket = format!("{}/", bucket.trim_end_matches('/'));
    let prefix = format!("{bucket}{}", query.get("prefix").unwrap_or(&""));
    let from = match query.get("continuation-token") {
        Some(last) => Bound::Excluded(format!("{bucket}{last}")),
        None => Bound::Included(prefix.clone()),
    };
    let contents = lock(shared);
    let mut keys = contents
        .objects
        .range((from, Bound::Unbounded))
        .take_while(|(path, _)| path.starts_with(&prefix));
    let mut xml = String::new();
    let mut last = "";
    for (path, object) in keys.by_ref().take(PAGE) {
        last = &path[bucket.len()..];
        let size: usize = object.parts.iter().map(Vec::len).sum();
        xml.push_str(&format!(
            "<Contents><Key>{last}</Key><Size>{size}</Size></Contents>"
        ));
    }
    if keys.next().is_some() {
        xml.push_str(&format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
        ));
    }
    xml
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Contents> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A line without its end; empty at the end of the stream.
fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn read_headers(input: &mut impl BufRead) -> io::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let line = read_line(input)?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(headers);
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn read_body(input: &mut impl BufRead, headers: &HashMap<String, String>) -> io::Result<Vec<u8>> {
    let length = |name: &str| headers.get(name).and_then(|value| value.parse::<usize>().ok());
    let Some(decoded) = length("x-amz-decoded-content-length") else {
        let length = length("content-length").unwrap_or(0);
        let mut body = Vec::with_capacity(length);
        append(input, length, &mut body)?;
        return Ok(body);
    };
    // Chunks, some with a signature: `HEX;chunk-signature=…`, the data, an empty line. The last has no data; checksums
    // follow it.
    let mut body = Vec::with_capacity(decoded);
    loop {
        let line = read_line(input)?;
        let hex = line.split(';').next().unwrap_or_default();
        let len = usize::from_str_radix(hex, 16).map_err(io::Error::other)?;
        if len == 0 {
            while !read_line(input)?.is_empty() {}
            return Ok(body);
        }
        append(input, len, &mut body)?;
        read_line(input)?;
    }
}

fn append(input: &mut impl BufRead, len: usize, body: &mut Vec<u8>) -> io::Result<()> {
    if input.take(len as u64).read_to_end(body)? == len {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The ETag is that of an object which was uploaded in parts, as EMRFS does: it is not the MD5 of the bytes, and the
/// SDK does not compute one when it reads.
fn respond(
    output: &mut impl Write,
    status: &str,
    length: usize,
    metadata: &[(String, String)],
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"0123456789abcdef0123456789abcdef-2\"\r\n\
         Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    );
    for (name, value) in metadata {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    output.write_all(head.as_bytes())
}

fn respond_xml(output: &mut impl Write, element: &str, content: &str) -> io::Result<()> {
    let text = format!("<{element}>{content}</{element}>");
    respond(output, "200 OK", text.len(), &[])?;
    output.write_all(text.as_bytes())
}
