//! What `./dev bench` needs besides Java, as a process that the benchmarks start and talk to: `raw` measures aws-lc
//! and memcpy, `serve` is an S3 that costs next to nothing; both end when their standard input does. `fleet` simulates a
//! thousand executors that ask KMS for keys.

mod fleet;
mod raw;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("raw") => raw::answer(),
        Some("serve") => serve::run(),
        Some("fleet") => fleet::answer(),
        _ => Err(std::io::Error::other("usage: emrkeys-bench raw | serve | fleet")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emrkeys-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
