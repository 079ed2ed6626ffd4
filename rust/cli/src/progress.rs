//! How far long work got: a bar on a terminal, a line now and then elsewhere. And Ctrl-C.

use std::fmt::Write;
use std::io::{stderr, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::output::{is_quiet, remark, Failure};
use crate::terminal::error_width;
use crate::text::{counted, in_units};

/// Between two lines where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(10);

const BYTES: &str = "bytes";

/// Shown on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    done: u64,
    total: Option<u64>,
    /// Where bytes are of objects.
    objects: u64,
    told: Instant,
    began: Instant,
}

impl Progress {
    /// Of so many `what`, if that is known. A `what` that begins with "bytes" is shown in larger units.
    pub(crate) fn of(what: &'static str, total: Option<u64>) -> Progress {
        let bar = (stderr().is_terminal() && !is_quiet()).then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            bar.set_style(style(what, total.is_some()));
            bar.set_message(what.strip_prefix(BYTES).unwrap_or(what).trim_start());
            bar
        });
        Progress {
            bar,
            what,
            done: 0,
            total,
            objects: 0,
            told: Instant::now(),
            began: Instant::now(),
        }
    }

    /// So much there is in all, as it turns out.
    pub(crate) fn expect(&mut self, total: u64, objects: u64) {
        self.total = Some(total);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_style(style(self.what, true));
        }
        if self.bar.is_none() {
            remark(format_args!(
                "{}, {} in all",
                counted(objects, "object"),
                in_units(total)
            ));
        }
    }

    /// One more object, of so many bytes.
    pub(crate) fn add_object(&mut self, more: u64) {
        self.objects += 1;
        if let (Some(bar), BYTES) = (&self.bar, self.what) {
            bar.set_message(counted(self.objects, "object"));
        }
        self.add(more);
    }

    pub(crate) fn add(&mut self, more: u64) {
        self.done += more;
        match &self.bar {
            Some(bar) => bar.inc(more),
            None if self.told.elapsed() >= LINES_EVERY => {
                self.told = Instant::now();
                let amount = |count: u64| match self.what.strip_prefix(BYTES) {
                    Some(more) => format!("{}{more}", in_units(count)),
                    None => format!("{count} {}", self.what),
                };
                let of = self
                    .total
                    .map_or_else(String::new, |total| format!(" of {}", amount(total)));
                remark(format_args!("{}{of}{}", amount(self.done), self.left()));
            }
            None => {}
        }
    }

    /// The rate, and the time that is left, of objects whose bytes are known.
    fn left(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        if self.what != BYTES || self.objects == 0 || seconds <= 0.0 {
            return String::new();
        }
        let rate = self.done as f64 / seconds;
        let left = self
            .total
            .filter(|_| rate > 0.0)
            .map_or_else(String::new, |total| {
                let seconds = total.saturating_sub(self.done) as f64 / rate;
                format!(
                    ", {} left",
                    indicatif::HumanDuration(Duration::from_secs_f64(seconds))
                )
            });
        format!(", {} objects, {}/s{left}", self.objects, in_units(rate as u64))
    }

    /// Takes the bar off the terminal.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(what: &str, has_total: bool) -> ProgressStyle {
    let numbers = match (has_total, what.starts_with(BYTES)) {
        (true, true) => "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}",
        (false, true) => "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed} {msg}",
        (true, false) => "{human_pos}/{human_len} {msg} {rate} {eta}",
        (false, false) => "{spinner} {human_pos} {msg} {rate} {elapsed}",
    };
    let bar = match error_width().unwrap_or(0).saturating_sub(NUMBERS).min(WIDEST) {
        width @ NARROWEST.. if has_total => format!("{{bar:{width}}} "),
        // The numbers say more than a bar that leaves no room for them.
        _ => String::new(),
    };
    let style = ProgressStyle::with_template(&format!("{bar}{numbers}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", rate)
}

/// The columns that numbers beside a bar take, and the bounds of its own width.
const NUMBERS: usize = 50;
const NARROWEST: usize = 10;
const WIDEST: usize = 60;

/// Objects in a second, in whole numbers where there are many.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let rate = state.per_sec();
    let decimals = usize::from(rate < 10.0);
    // Writing to a bar cannot fail.
    let _ = write!(out, "{rate:.decimals$}/s");
}

/// Set by Ctrl-C, by a request to terminate, and by the end of the terminal; the second one ends the process as if
/// nobody listened.
pub(crate) fn interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let mut signals = vec![SIGINT, SIGTERM];
    if !ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        signals.push(SIGHUP);
    }
    for signal in signals {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Whether the process was started by `nohup`, or by something else that has it outlive its terminal; from its status
/// in `/proc`.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}

/// Whether the flag is set.
pub(crate) fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
