//! Files that appear under their names when they are whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file under a name of its own beside the one that it is to have, which its owner alone can read. Dropped before it is whole it is
/// gone; only a kill leaves it behind, as `.emrkeys-…`.
pub(crate) struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl NewFile {
    /// To be called `path` in the end.
    pub(crate) fn create(path: &Path) -> io::Result<NewFile> {
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".emrkeys-").tempfile_in(folder_of(path))?;
        Ok(NewFile {
            path: path.to_owned(),
            file,
        })
    }

    /// Brings it to the disk and gives it its name, whoever had that before.
    pub(crate) fn replace(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.path)
    }

    /// Brings it to the disk and gives it its name, if nothing has that (`AlreadyExists`).
    pub(crate) fn keep(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file
            .persist_noclobber(&self.path)
            .map_err(|error| error.error)?;
        sync_folder(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
