//! As much of S3 as a put and a get of the SDK need, in memory: no signature is checked and nothing is hashed, so that what is
//! measured is the client.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

struct Object {
    body: Vec<u8>,
    /// `x-amz-meta-…`, as they came.
    metadata: Vec<(String, String)>,
}

type Objects = Arc<Mutex<HashMap<String, Arc<Object>>>>;

/// Prints the port, then serves until standard input ends.
pub(crate) fn run() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        let objects = Objects::default();
        for stream in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            // A client that hangs up in the middle ends its connection and nothing else.
            thread::spawn(move || connection(stream, &objects));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn connection(stream: TcpStream, objects: &Objects) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let mut output = stream;
    loop {
        let line = read_line(&mut input)?;
        let mut words = line.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Ok(());
        };
        let headers = read_headers(&mut input)?;
        match method {
            "PUT" => {
                if headers.contains_key("expect") {
                    output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                let body = read_body(&mut input, &headers)?;
                let metadata = headers
                    .into_iter()
                    .filter(|(name, _)| name.starts_with("x-amz-meta-"))
                    .collect();
                lock(objects).insert(path.to_owned(), Arc::new(Object { body, metadata }));
                respond(&mut output, "200 OK", 0, &[])?;
            }
            "GET" | "HEAD" => {
                let found = lock(objects).get(path).cloned();
                match found {
                    Some(object) => {
                        respond(&mut output, "200 OK", object.body.len(), &object.metadata)?;
                        if method == "GET" {
                            output.write_all(&object.body)?;
                        }
                    }
                    None => respond(&mut output, "404 Not Found", 0, &[])?,
                }
            }
            _ => respond(&mut output, "501 Not Implemented", 0, &[])?,
        }
    }
}

fn lock(objects: &Objects) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Object>>> {
    objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        let mut body = Vec::new();
        append(input, length("content-length").unwrap_or(0), &mut body)?;
        return Ok(body);
    };
    // Chunks with a signature each: `HEX;chunk-signature=…`, the data, an empty line. The last has no data.
    let mut body = Vec::with_capacity(decoded);
    loop {
        let line = read_line(input)?;
        let hex = line.split(';').next().unwrap_or_default();
        let len = usize::from_str_radix(hex, 16).map_err(io::Error::other)?;
        append(input, len, &mut body)?;
        read_line(input)?;
        if len == 0 {
            return Ok(body);
        }
    }
}

fn append(input: &mut impl BufRead, len: usize, body: &mut Vec<u8>) -> io::Result<()> {
    if input.take(len as u64).read_to_end(body)? == len {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The ETag is that of an object which was uploaded in parts, as EMRFS does: it is not the MD5 of the bytes, and the SDK does
/// not compute one when it reads.
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
