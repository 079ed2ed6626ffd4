//! `fleet`: one line on memory (`fill`, keys held, bytes) after a million keys went through a cache of ten thousand;
//! then calls of KMS by a thousand executors, a line for each mode: name, calls, most calls within a second.

use std::io::{Error, Write};
use std::time::Duration;

use emrkeys_core::simulation::{fill, simulate, Fleet, Mode};

const FLEET: Fleet = Fleet {
    executors: 1000,
    objects: 1000,
    phase: Duration::from_secs(1800),
};

pub(crate) fn answer() -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let before = resident()?;
    let held = fill(1_000_000, 10_000).map_err(|problem| Error::other(problem.to_string()))?;
    writeln!(out, "fill {held} {}", resident()?.saturating_sub(before))?;
    for (name, mode) in [
        ("kms", Mode::PerObject),
        ("kms-cached", Mode::KmsCached),
        ("keyring", Mode::Keyring),
    ] {
        let load = simulate(mode, FLEET).map_err(|problem| Error::other(problem.to_string()))?;
        writeln!(out, "{name} {} {}", load.calls, load.peak)?;
    }
    Ok(())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| Error::other("no VmRSS in /proc/self/status"))
}
