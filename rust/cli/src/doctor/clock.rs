//! How far this machine's clock is from that of AWS, by the `Date` of its answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_kms::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};

use super::report::Findings;

/// AWS refuses signatures that are older. Source: AWS General Reference, "Elements of an AWS API request signature"; S3
/// allows 15 minutes.
const REFUSED: i64 = 5 * 60;
/// Far enough to look at, in seconds.
const SUSPICIOUS: i64 = 60;

/// Listens to answers; copies share what was heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// Seconds by which this machine is ahead, by the first answer that had a date.
    ahead: Arc<Mutex<Option<i64>>>,
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "emrkeys clock"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let ahead = i64::try_from(now)? - date.secs();
            self.ahead
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(ahead);
        }
        Ok(())
    }
}

impl Clock {
    pub(super) fn report(&self, findings: &mut Findings) {
        match *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(ahead) => judge(ahead, findings),
            None => findings.note(
                "clock",
                "not checked: nothing of AWS was asked, or its answers had no date",
            ),
        }
    }
}

fn judge(ahead: i64, findings: &mut Findings) {
    let told = format!(
        "the clock of this machine is {} seconds {} that of AWS",
        ahead.abs(),
        if ahead < 0 { "behind" } else { "ahead of" }
    );
    let remedy = "Let chronyd or ntpd set it; in EC2 by the Amazon Time Sync Service, 169.254.169.123.";
    match ahead.abs() {
        off if off >= REFUSED => findings.fail(
            "clock",
            format!("{told}, and AWS refuses signatures that are 5 minutes old"),
            remedy,
        ),
        off if off >= SUSPICIOUS => findings.warn("clock", told, remedy),
        _ => findings.ok("clock", told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::inspect::Level;

    #[test]
    fn a_clock_that_is_far_off_is_told() {
        for (ahead, level) in [
            (0, Level::Ok),
            (-59, Level::Ok),
            (60, Level::Warning),
            (-299, Level::Warning),
            (300, Level::Failure),
            (-9000, Level::Failure),
        ] {
            let mut findings = Findings::default();
            judge(ahead, &mut findings);
            assert_eq!(findings.0[0].level, level, "{ahead}");
        }
    }
}
