//! The report of a run: a line for each object.

use std::fs::File;
use std::io::{stderr, stdout, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Options;
use crate::object::is_standard;
use crate::output::{at, Failure};

/// The report of a run, if there is to be one.
pub(crate) struct Report {
    lines: Option<(BufWriter<Box<dyn Write>>, PathBuf)>,
    csv: bool,
}

impl Report {
    /// Appends to the file that the options name. `csv_head` is the head of a report in CSV, where there is such a
    /// form.
    pub(crate) fn open(options: &Options, csv_head: Option<&str>) -> Result<Report, Failure> {
        let Some(path) = &options.report else {
            return Ok(Report {
                lines: None,
                csv: false,
            });
        };
        let head = csv_head.filter(|_| is_csv(path));
        let to: Box<dyn Write> = if is_standard(path) {
            Box::new(stdout())
        } else {
            let mut file = append(path)?;
            if let Some(head) = head.filter(|_| file.metadata().is_ok_and(|about| about.len() == 0)) {
                writeln!(file, "{head}").map_err(at(path))?;
            }
            Box::new(file)
        };
        Ok(Report {
            lines: Some((BufWriter::new(to), path.clone())),
            csv: head.is_some(),
        })
    }

    /// Adds a line, which is asked for whether it is to be CSV.
    pub(crate) fn tell(&mut self, line: impl FnOnce(bool) -> String) -> Result<(), Failure> {
        match &mut self.lines {
            Some((lines, path)) => writeln!(lines, "{}", line(self.csv)).map_err(at(path)),
            None => Ok(()),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.lines {
            Some((lines, path)) => lines.flush().map_err(at(path)),
            None => Ok(()),
        }
    }
}

/// Where the counts go: not where the report is.
pub(crate) fn out_beside(options: &Options) -> Box<dyn Write> {
    match &options.report {
        Some(path) if is_standard(path) => Box::new(stderr()),
        _ => Box::new(stdout()),
    }
}

fn append(path: &Path) -> Result<File, Failure> {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .map_err(at(path))
}

fn is_csv(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("csv"))
}
