//! The audit log's file: whole lines of many processes, or none.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// How often, and after which pause, the turn is asked for. A process that is stopped in its turn must not stop others.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct LineFile {
    file: File,
    /// Whether it ends with a part of a line that could not be taken back.
    torn: bool,
}

impl LineFile {
    /// Opens the file, or makes it for its owner alone.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::PermissionDenied`] for a file that others own or may write,
    /// [`io::ErrorKind::InvalidInput`] for a symbolic link or what is no regular file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // NOFOLLOW: a link would let who owns the folder of the link choose the file. NONBLOCK: a fifo must not hang.
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK
            | OFlags::NOCTTY;
        let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
            // LOOP is what NOFOLLOW gives for a link; NXIO what a fifo without a reader gives, and a socket.
            Errno::LOOP | Errno::NXIO | Errno::ISDIR => not_regular(),
            other => other.into(),
        })?;
        let file = File::from(opened);
        let stat = file.metadata()?;
        if FileType::from_raw_mode(stat.mode()) != FileType::RegularFile {
            return Err(not_regular());
        }
        let caller = rustix::process::geteuid().as_raw();
        if stat.uid() != caller && stat.uid() != 0 {
            let what = format!(
                "it belongs to user {}, neither root nor the user of this process",
                stat.uid()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        if stat.mode() & 0o002 != 0 {
            let what = "everybody on this machine may change it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(LineFile { file, torn: false })
    }

    /// Appends `line`, which ends with a newline, whole or not at all.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let turn = Turn::take(&self.file);
        let start = self.file.metadata()?.len();
        // Another line must not continue what a full disk took of the last one.
        let after_torn = self.torn.then(|| [b"\n", line].concat());
        let text = after_torn.as_deref().unwrap_or(line);
        let mut written = 0;
        let result = loop {
            match (&self.file).write(&text[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == text.len() {
                break Ok(());
            }
        };
        // Without the turn others may have appended meanwhile, and a file that may only grow keeps what it has.
        let taken_back = || turn.taken && self.file.set_len(start).is_ok();
        let torn = match &result {
            Ok(()) => false,
            Err(_) if written == 0 => self.torn,
            Err(_) => !taken_back() || self.torn,
        };
        drop(turn);
        self.torn = torn;
        result
    }
}

/// Keeps the other processes of this log from appending, for as long as it lives and where the file system can.
struct Turn<'a> {
    file: &'a File,
    taken: bool,
}

impl<'a> Turn<'a> {
    fn take(file: &'a File) -> Self {
        for tries in 0..TRIES {
            match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Turn { file, taken: true },
                // A line takes microseconds.
                Err(Errno::WOULDBLOCK) if tries < TRIES / 2 => std::thread::yield_now(),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        Turn { file, taken: false }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.taken {
            // The lock ends with the descriptor at the latest.
            let _ = rustix::fs::flock(self.file.as_fd(), FlockOperation::Unlock);
        }
    }
}

fn not_regular() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is a symbolic link, a folder or a device",
    )
}
