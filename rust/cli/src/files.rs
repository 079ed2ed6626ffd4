//! Files that appear under their names when they are whole, and those that a run goes on from.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{fchown, MetadataExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::output::{at, Failure};

/// The most bytes of a file that a run goes on from: ten thousand keys of the longest kind, each byte escaped.
const MAX_STATE: u64 = 64 * 1024 * 1024;

/// A file under a name of its own beside the one that it is to have, which its owner alone can read. Dropped before it
/// is whole it is gone; only a kill leaves it behind, as `.emrkeys-…`.
pub(crate) struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl NewFile {
    /// To be called `path` in the end; where that is a symbolic link, what it leads to. Fails for what is there and is
    /// no file.
    pub(crate) fn create(path: &Path) -> io::Result<NewFile> {
        let path = behind_links(path)?;
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".emrkeys-").tempfile_in(folder_of(&path))?;
        Ok(NewFile { path, file })
    }

    /// Gives it the permissions, the owner and the group of another file, so that the readers of that can read it.
    pub(crate) fn like(&self, other: &Path) -> io::Result<()> {
        let (there, here) = (other.metadata()?, self.file.as_file().metadata()?);
        if (there.uid(), there.gid()) != (here.uid(), here.gid()) {
            fchown(self.file.as_file(), Some(there.uid()), Some(there.gid()))?;
        }
        self.file.as_file().set_permissions(there.permissions())
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

/// Where the file is, or will be. A folder, pipe or device must not be renamed over: `/dev/null` would be a file from
/// then on.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    match path.metadata() {
        Ok(found) if found.is_file() => path.canonicalize(),
        Ok(found) if found.is_dir() => Err(io::Error::other("it is a folder; name a file in it")),
        Ok(_) => Err(io::Error::other(
            "it is a pipe or a device, which a file would take the place of; name a file (`emrkeys cat URI` writes \
             objects to pipes and devices)",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.read_link() {
            // The target of the link is not there yet.
            Ok(target) => behind_links(&folder_of(path).join(target)),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(error),
    }
}

/// The content of a file that a run goes on from.
///
/// # Errors
/// A file that somebody else can write. It says which data key encrypts the rest of an upload, and which objects are
/// worked on: with an old data key it would have two texts encrypted alike.
pub(crate) fn read_state(path: &Path) -> Result<Vec<u8>, Failure> {
    let refused = |what: &str| Failure::Refused(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(at(path))?;
    let found = file.metadata().map_err(at(path))?;
    if !found.is_file() || found.len() > MAX_STATE {
        return Err(refused(
            "it is no file that emrkeys wrote; remove it to begin anew",
        ));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused(
            "it belongs to another user, who could choose what is encrypted under which key; name another file",
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(refused(
            "others than its owner can write it, and choose what is encrypted under which key; name another file, or, \
             if nobody changed it, run `chmod 600 FILE`",
        ));
    }
    let mut content = Vec::new();
    file.take(MAX_STATE).read_to_end(&mut content).map_err(at(path))?;
    Ok(content)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{symlink, PermissionsExt};

    fn write(path: &Path) -> io::Result<()> {
        let mut file = NewFile::create(path)?;
        file.write_all(b"new")?;
        file.replace()
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        fs::create_dir(name("below")).unwrap();
        fs::write(name("below/there"), "old").unwrap();
        symlink("below/there", name("a")).unwrap();
        symlink("below/absent", name("b")).unwrap();
        symlink("b", name("c")).unwrap();
        for link in ["a", "c"] {
            write(&name(link)).unwrap();
            assert!(name(link).symlink_metadata().unwrap().is_symlink());
            assert_eq!(fs::read(name(link)).unwrap(), b"new");
        }
        assert!(name("below/absent").symlink_metadata().unwrap().is_file());
        symlink("circle", name("circle")).unwrap();
        assert!(write(&name("circle")).is_err());
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/null", folder.path().join("link")).unwrap();
        for path in [folder.path(), &folder.path().join("link"), Path::new("/dev/full")] {
            assert!(NewFile::create(path).is_err(), "{}", path.display());
        }
        assert!(fs::metadata("/dev/null").is_ok_and(|found| !found.is_file()));
    }

    #[test]
    fn a_run_goes_on_from_no_file_that_others_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write(&path).unwrap();
        assert_eq!(read_state(&path).ok().as_deref(), Some(&b"new"[..]));
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_state(&path), Err(Failure::Refused(_))), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_state(&path).is_ok());
        assert!(matches!(read_state(folder.path()), Err(Failure::Refused(_))));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
            assert!(matches!(read_state(&path), Err(Failure::Refused(_))));
        }
    }
}
