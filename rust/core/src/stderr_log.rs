//! What a thread of our own has to say, where no caller waits to be told.
//!
//! Native code calls no Java, so it goes to the standard error of the process, which YARN and Spark keep with the
//! container's logs. Rare by design: whoever speaks here says a thing once.

use std::io::Write;

/// Something is wrong, and work goes on.
pub(crate) fn warn(text: &str) {
    tell("WARN", text);
}

/// What was wrong is right again.
pub(crate) fn info(text: &str) {
    tell("INFO", text);
}

/// Where standard error is closed or full there is nobody to be told, which is no reason to end a thread.
fn tell(level: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "emrkeys {level} {text}");
}
