//! Local key files: opened once, checked on the descriptor, read from the descriptor, so that nothing can be
//! exchanged between the check and the use.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use super::{check_length, too_large, Material, Permissions, Secrecy};
use crate::error::{excerpt, shell_word, Code, Problem};

pub(super) fn read(
    property: &str,
    path: &Path,
    limit: usize,
    secrecy: Secrecy,
    permissions: Permissions,
) -> Result<Material, Problem> {
    let shown = path.to_string_lossy();
    let failed = |error| failure(property, &shown, error);
    let file = open(path).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(not_regular(property, &shown));
    }
    let caller = rustix::process::geteuid().as_raw();
    let warning = match (laxity(secrecy, stat.st_mode, stat.st_uid, caller), permissions) {
        (None, _) => None,
        (Some(lax @ (Lax::Mode(_) | Lax::WritableByGroup(_) | Lax::Owner(_))), Permissions::Warn) => {
            Some(lax.describe(property, &shown).to_string())
        }
        (Some(lax), _) => return Err(lax.describe(property, &shown)),
    };
    if u64::try_from(stat.st_size).is_ok_and(|size| size > limit as u64) {
        return Err(too_large(property, &shown, limit));
    }
    Ok(Material {
        bytes: content(property, &shown, &file, limit)?,
        warning,
    })
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    // NOFOLLOW: a link would let whoever owns the folder of the link choose the file. NONBLOCK: a fifo must not hang.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty())
}

fn content(property: &str, shown: &str, file: &OwnedFd, limit: usize) -> Result<SecretSlice<u8>, Problem> {
    // One byte more than allowed, so that a file that grew since it was measured is noticed. Never reallocated.
    let mut buffer = Zeroizing::new(vec![0u8; limit + 1]);
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::read(file, &mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(failure(property, shown, error)),
        }
    }
    check_length(property, shown, length, limit)?;
    Ok(SecretSlice::from(Box::<[u8]>::from(&buffer[..length])))
}

/// How a file is too open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lax {
    /// Others than the owner may read or write it; the nine permission bits.
    Mode(u32),
    /// The members of its group may write it.
    WritableByGroup(u32),
    /// Everybody may write it.
    WritableByAll(u32),
    /// It belongs to this other user, who can read and replace it.
    Owner(u32),
}

fn laxity(secrecy: Secrecy, mode: u32, owner: u32, caller: u32) -> Option<Lax> {
    let bits = mode & 0o777;
    match secrecy {
        Secrecy::Secret if bits & 0o077 != 0 => Some(Lax::Mode(bits)),
        Secrecy::Public | Secrecy::Authentic if bits & 0o002 != 0 => Some(Lax::WritableByAll(bits)),
        Secrecy::Secret | Secrecy::Public if owner != caller && owner != 0 => Some(Lax::Owner(owner)),
        Secrecy::Public if bits & 0o020 != 0 => Some(Lax::WritableByGroup(bits)),
        _ => None,
    }
}

impl Lax {
    fn describe(self, property: &str, shown: &str) -> Problem {
        let file = excerpt(shown);
        let named = shell_word(shown);
        let (message, remedy) = match self {
            Lax::Mode(bits) => (
                format!(
                    "the secret in {file} can be read or written by others than its owner (mode {bits:04o})"
                ),
                format!("Run: `chmod 600 {named}`"),
            ),
            Lax::WritableByGroup(bits) => (
                format!(
                    "{file} can be replaced by its group, whose key would then encrypt (mode {bits:04o})"
                ),
                format!("Run: `chmod 644 {named}`"),
            ),
            Lax::WritableByAll(bits) => (
                format!("{file} can be replaced by everybody on this machine (mode {bits:04o})"),
                format!("Run: `chmod 644 {named}`"),
            ),
            Lax::Owner(owner) => (
                format!("{file} belongs to user {owner}, neither root nor the user of this process"),
                format!(
                    "Run as root: `chown {} {named}`",
                    rustix::process::geteuid().as_raw()
                ),
            ),
        };
        Problem::at(property, Code::KeyFilePermissions, message, remedy)
    }
}

fn not_regular(property: &str, shown: &str) -> Problem {
    Problem::at(
        property,
        Code::KeyFileNotRegular,
        format!("{} is a symbolic link, a folder or a device", excerpt(shown)),
        "Name the file itself.",
    )
}

fn failure(property: &str, shown: &str, error: Errno) -> Problem {
    let file = excerpt(shown);
    match error {
        Errno::NOENT | Errno::NOTDIR => Problem::at(
            property,
            Code::KeyFileNotFound,
            format!("{file} does not exist"),
            "Put the key there on every node, or correct the location.",
        ),
        // LOOP is what NOFOLLOW gives for a link; NXIO what opening a socket gives.
        Errno::LOOP | Errno::NXIO | Errno::ISDIR => not_regular(property, shown),
        Errno::ACCESS | Errno::PERM => Problem::at(
            property,
            Code::KeyFileUnreadable,
            format!("the user of this process may not read {file}"),
            "Make that user the owner of the file, and give it access to the folders above.",
        ),
        other => Problem::at(
            property,
            Code::KeyFileUnreadable,
            format!("{file} cannot be read ({other})"),
            "See that the file system is sound and mounted.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::MAX_MATERIAL;
    use secrecy::ExposeSecret;
    use std::fs::{self, set_permissions};
    use std::os::unix::fs::{symlink, PermissionsExt};
    use std::path::PathBuf;
    use tempfile::TempDir;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Folder(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).unwrap();
            set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    fn code(path: &Path) -> Code {
        read("p", path, MAX_MATERIAL, Secrecy::Secret, Permissions::Enforce)
            .unwrap_err()
            .code
    }

    #[test]
    fn an_owner_only_file_is_read() {
        let folder = Folder::new();
        for mode in [0o600, 0o400, 0o700] {
            let path = folder.file("key", b"secret", mode);
            let material = read("p", &path, MAX_MATERIAL, Secrecy::Secret, Permissions::Enforce).unwrap();
            assert_eq!(material.bytes.expose_secret(), b"secret");
            assert_eq!(material.warning, None);
        }
    }

    #[test]
    fn lax_permissions_are_refused_or_warned_of() {
        let folder = Folder::new();
        for mode in [0o644, 0o640, 0o620, 0o602, 0o601, 0o610] {
            let path = folder.file("key", b"secret", mode);
            assert_eq!(code(&path), Code::KeyFilePermissions, "{mode:o}");
            let material = read("p", &path, MAX_MATERIAL, Secrecy::Secret, Permissions::Warn).unwrap();
            assert!(material.warning.unwrap().contains("KEY_FILE_PERMISSIONS"));
        }
        let public = |mode| {
            let path = folder.file("public", b"public", mode);
            read("p", &path, MAX_MATERIAL, Secrecy::Public, Permissions::Enforce)
                .map_err(|problem| problem.code)
        };
        assert!(public(0o644).is_ok_and(|material| material.warning.is_none()));
        for mode in [0o664, 0o660, 0o666, 0o646] {
            assert_eq!(public(mode).unwrap_err(), Code::KeyFilePermissions, "{mode:o}");
        }
    }

    #[test]
    fn the_owner_is_root_or_oneself() {
        assert_eq!(laxity(Secrecy::Secret, 0o100600, 1000, 1000), None);
        assert_eq!(laxity(Secrecy::Secret, 0o100600, 0, 1000), None);
        assert_eq!(
            laxity(Secrecy::Secret, 0o100600, 1001, 1000),
            Some(Lax::Owner(1001))
        );
        assert_eq!(laxity(Secrecy::Secret, 0o100600, 1001, 0), Some(Lax::Owner(1001)));
        let replaceable = Some(Lax::Owner(1001));
        assert_eq!(laxity(Secrecy::Public, 0o100644, 1001, 1000), replaceable);
        assert_eq!(laxity(Secrecy::Public, 0o100644, 0, 1000), None);
        // A keyring proves by itself who wrote it.
        assert_eq!(laxity(Secrecy::Authentic, 0o100664, 1001, 1000), None);
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = Folder::new();
        let target = folder.file("target", b"secret", 0o600);
        let link = folder.0.path().join("link");
        symlink(&target, &link).unwrap();
        let fifo = folder.0.path().join("fifo");
        let fifo_mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, fifo_mode, 0).unwrap();
        let socket = folder.0.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [
            &link,
            &fifo,
            &socket,
            &folder.0.path().to_owned(),
            &PathBuf::from("/dev/zero"),
        ] {
            assert_eq!(code(path), Code::KeyFileNotRegular, "{path:?}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let folder = Folder::new();
        assert_eq!(code(&folder.file("empty", b"", 0o600)), Code::KeyFileEmpty);
        assert_eq!(
            code(&folder.file("large", &[1; MAX_MATERIAL + 1], 0o600)),
            Code::KeyFileTooLarge
        );
        let path = folder.file("most", &[1; MAX_MATERIAL], 0o600);
        let most = read("p", &path, MAX_MATERIAL, Secrecy::Secret, Permissions::Enforce).unwrap();
        assert_eq!(most.bytes.expose_secret().len(), MAX_MATERIAL);
        // A file that claims to be empty and is not, as those of /proc do, is read to its end all the same.
        assert!(read(
            "p",
            Path::new("/proc/version"),
            MAX_MATERIAL,
            Secrecy::Public,
            Permissions::Enforce
        )
        .is_ok());
    }

    #[test]
    fn failures_are_told_apart() {
        let folder = Folder::new();
        let file = folder.file("file", b"secret", 0o600);
        assert_eq!(code(&folder.0.path().join("absent")), Code::KeyFileNotFound);
        assert_eq!(code(&file.join("below")), Code::KeyFileNotFound);
        assert_eq!(
            code(&folder.0.path().join("n".repeat(300))),
            Code::KeyFileUnreadable
        );
        // As root every file can be opened, so what others get is asked of the mapping.
        assert_eq!(failure("p", "f", Errno::ACCESS).code, Code::KeyFileUnreadable);
        assert_eq!(failure("p", "f", Errno::IO).code, Code::KeyFileUnreadable);
    }
}
