//! As much of S3 as a put, a get, a listing and a conversion need, whole objects and parts, in memory: no signature is
//! checked and nothing is hashed, so that what is measured is the client. An argument, in milliseconds, is the time
//! after which each request is answered, as by an S3 that is far away.
//!
//! A bucket `simulated-N` lists N objects that nobody wrote; each is like its object `template`.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Keys of a page of a listing.
const PAGE: usize = 1000;

/// `x-amz-meta-…`, as they came.
type Metadata = Vec<(String, String)>;

struct Object {
    /// One after the other they are the content.
    parts: Arc<Vec<Vec<u8>>>,
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
    let delay = std::env::args().nth(2).map_or(Ok(0), |delay| delay.parse());
    let delay = Duration::from_millis(delay.map_err(io::Error::other)?);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        let shared = Shared::default();
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // A client that hangs up in the middle ends its connection and nothing else.
            thread::spawn(move || connection(stream, &shared, delay));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn connection(stream: TcpStream, shared: &Shared, delay: Duration) -> io::Result<()> {
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
        let request = Request {
            path,
            query: &query,
            headers: &headers,
        };
        thread::sleep(delay);
        answer(method, &request, body, &mut output, shared)?;
    }
}

struct Request<'a> {
    /// `/bucket/key` as it came.
    path: &'a str,
    query: &'a HashMap<&'a str, &'a str>,
    headers: &'a HashMap<String, String>,
}

impl Request<'_> {
    /// The headers that come back: user metadata.
    fn metadata(&self) -> Metadata {
        let stored = self
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-meta-"));
        stored
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// A checksum that S3 would have compared.
    fn checksum(&self) -> Metadata {
        let name = "x-amz-checksum-sha256";
        let value = self.headers.get(name);
        value
            .map(|value| (name.to_owned(), value.clone()))
            .into_iter()
            .collect()
    }

    /// The first byte and the one behind the last.
    fn range(&self, length: usize) -> Option<(usize, usize)> {
        let (first, last) = self
            .headers
            .get("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let last = last.parse().map_or(length, |last: usize| length.min(last + 1));
        Some((first.parse().ok()?, last))
    }
}

fn answer(
    method: &str,
    request: &Request,
    body: Vec<u8>,
    output: &mut TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let (path, query) = (request.path, request.query);
    match (method, query.get("uploadId")) {
        // An object that is copied onto itself, with other metadata.
        ("PUT", None) if request.headers.contains_key("x-amz-copy-source") => {
            let Some(found) = lock(shared).objects.get(path).cloned() else {
                return respond(output, "404 Not Found", 0, &[]);
            };
            let object = Object {
                parts: Arc::clone(&found.parts),
                metadata: request.metadata(),
            };
            lock(shared).objects.insert(path.to_owned(), Arc::new(object));
            let time = "<LastModified>2024-01-01T00:00:00.000Z</LastModified>";
            respond_xml(output, "CopyObjectResult", time)
        }
        ("PUT", None) => {
            let object = Object {
                parts: Arc::new(vec![body]),
                metadata: request.metadata(),
            };
            lock(shared).objects.insert(path.to_owned(), Arc::new(object));
            respond(output, "200 OK", 0, &request.checksum())
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
            respond(output, stored, 0, &request.checksum())
        }
        ("POST", None) if query.contains_key("uploads") => {
            let id = begin(shared, request.metadata());
            let result = "InitiateMultipartUploadResult";
            respond_xml(output, result, &format!("<UploadId>{id}</UploadId>"))
        }
        ("POST", Some(&id)) => {
            let Some(upload) = lock(shared).uploads.remove(id) else {
                return respond(output, "404 Not Found", 0, &[]);
            };
            let object = Object {
                parts: Arc::new(upload.parts.into_values().collect()),
                metadata: upload.metadata,
            };
            lock(shared).objects.insert(path.to_owned(), Arc::new(object));
            respond_xml(output, "CompleteMultipartUploadResult", "")
        }
        ("DELETE", Some(&id)) => {
            lock(shared).uploads.remove(id);
            respond(output, "204 No Content", 0, &[])
        }
        ("GET", None) if query.contains_key("list-type") => {
            let page = match simulated(path) {
                Some(count) => list_simulated(count, query),
                None => list(shared, path, query),
            };
            respond_xml(output, "ListBucketResult", &page)
        }
        ("GET", None) if query.contains_key("tagging") => respond_xml(output, "Tagging", "<TagSet></TagSet>"),
        ("GET", None) if query.contains_key("ownershipControls") => {
            let rule = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>";
            respond_xml(output, "OwnershipControls", rule)
        }
        ("GET", None) if query.contains_key("object-lock") => respond(output, "404 Not Found", 0, &[]),
        ("GET" | "HEAD", None) => read(method, request, output, shared),
        _ => respond(output, "501 Not Implemented", 0, &[]),
    }
}

fn read(method: &str, request: &Request, output: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let template = simulated(request.path).map(|_| {
        let bucket = request.path.trim_start_matches('/').split('/').next();
        format!("/{}/template", bucket.unwrap_or_default())
    });
    let path = template.as_deref().unwrap_or(request.path);
    let Some(object) = lock(shared).objects.get(path).cloned() else {
        return respond(output, "404 Not Found", 0, &[]);
    };
    let length = object.parts.iter().map(Vec::len).sum();
    let range = request.range(length).filter(|_| method == "GET");
    let (first, end) = range.unwrap_or((0, length));
    let mut headers = object.metadata.clone();
    if range.is_some() {
        headers.push((
            "Content-Range".to_owned(),
            format!("bytes {first}-{}/{length}", end - 1),
        ));
    }
    let status = if range.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    respond(output, status, end - first, &headers)?;
    let mut start = 0;
    for part in object.parts.iter().filter(|_| method == "GET") {
        let wanted = first.saturating_sub(start).min(part.len())..end.saturating_sub(start).min(part.len());
        output.write_all(&part[wanted])?;
        start += part.len();
    }
    Ok(())
}

/// How many objects a bucket pretends to have.
fn simulated(path: &str) -> Option<u64> {
    let bucket = path.trim_start_matches('/').split('/').next()?;
    bucket.strip_prefix("simulated-")?.parse().ok()
}

fn list_simulated(count: u64, query: &HashMap<&str, &str>) -> String {
    let first = query
        .get("continuation-token")
        .and_then(|token| token.parse().ok());
    let first: u64 = first.unwrap_or(0);
    let end = count.min(first + PAGE as u64);
    let mut xml: String = (first..end)
        .map(|number| format!("<Contents><Key>part-{number:09}</Key><Size>64</Size></Contents>"))
        .collect();
    if end < count {
        xml.push_str(&format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>"
        ));
    }
    xml
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
