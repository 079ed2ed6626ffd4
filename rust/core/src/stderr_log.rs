//! The log of threads of our own, which have no caller that could get an error.
//!
//! Native code calls no Java, so it goes to the standard error of the process, which YARN and Spark keep with the
//! container's logs. Rare by design: whoever speaks here says a thing once.

use std::io::Write;

/// Something is wrong, and work goes on.
pub(crate) fn warn(text: &str) {
    tell("WARN", text);
}

/// Writes that a fault is over.
pub(crate) fn info(text: &str) {
    tell("INFO", text);
}

/// If standard error is closed or full, the text is lost, which is no reason to end a thread.
fn tell(level: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "emrkeys {level} {text}");
}
