//! What a thread of our own has to say, where no caller waits to be told.
//!
//! Native code calls no Java, so it goes to the standard error of the process, which YARN and Spark keep with the
//! container's logs. Rare by design: whoever speaks here says a thing once.

/// Something is wrong, and work goes on.
pub(crate) fn warn(text: &str) {
    eprintln!("emrkeys WARN {text}");
}

/// What was wrong is right again.
pub(crate) fn info(text: &str) {
    eprintln!("emrkeys INFO {text}");
}
