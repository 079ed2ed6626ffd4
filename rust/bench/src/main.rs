//! The part of `./dev bench` that is not Java, a process that the benchmarks start and talk to: `raw` measures aws-lc
//! and memcpy, `serve` is an S3 that costs next to nothing; both end when their standard input does. `fleet` simulates
//! a thousand executors that ask KMS for keys; `store` is the S3 client of the operator's tool without encryption.

mod fleet;
mod raw;
mod serve;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("raw") => raw::answer(),
        Some("serve") => serve::run(),
        Some("fleet") => fleet::answer(),
        Some("store") => store::run(),
        _ => Err(std::io::Error::other(
            "usage: emrkeys-bench raw | serve [MILLISECONDS] | fleet | store …",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emrkeys-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
