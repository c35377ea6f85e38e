//! The data folder of `offpeak dev`: where it is, who holds it, what it is called.
//!
//! One process at a time: a lock of the kernel's on a file in the folder, which
//! ends with its holder however that ends, so no lock is ever stale.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// What can be wrong with the data folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process works in it.
    #[error(
        "another offpeak{} is using {path}: stop it, or choose another folder with --data",
        holder.map_or(String::new(), |pid| format!(" (process {pid})"))
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// Process id that the holder left there.
        holder: Option<u32>,
    },
    /// The system refused.
    #[error("cannot use the data folder {path} (choose another with --data or OFFPEAK_DATA)")]
    Refused {
        /// The folder, or the file inside.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// A data folder, held by this process until dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and takes it, or says who has it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |cause| Error::Refused { path, cause }
        };
        // Root's server runs as another user, who must be able to walk through.
        let mode = if rustix::process::geteuid().is_root() {
            0o711
        } else {
            0o700
        };
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(refused(path))?;
        let path = path.canonicalize().map_err(refused(path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(refused(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = lock
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(Error::Held { path, holder });
            }
            Err(TryLockError::Error(cause)) => return Err(refused(&lock_path)(cause)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(refused(&lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    /// Its absolute path, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only this user may read, whole or not at all.
    pub fn write_private(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let next = self.path.join(format!("{name}.new"));
        let refused = |cause| Error::Refused {
            path: path.clone(),
            cause,
        };
        // A left-over would keep its own mode.
        match std::fs::remove_file(&next) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(refused(cause)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&next)
            .map_err(refused)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(refused)?;
        std::fs::rename(&next, &path).map_err(refused)
    }

    /// Reads a file of the folder; none is `None`.
    pub fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::Refused { path, cause }),
        }
    }

    /// Removes a file of the folder; one that is not there is fine.
    pub fn remove(&self, name: &str) {
        // What stays behind is overwritten by the next start.
        let _ = std::fs::remove_file(self.path.join(name));
    }
}

/// Eight hexadecimal digits that stand for a path where a short name is needed.
pub fn short_name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let mut name = String::new();
    for byte in &digest[..4] {
        name.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        name.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        let first = Folder::take(&path).unwrap();
        let refusal = Folder::take(&path).unwrap_err();
        assert!(
            matches!(refusal, Error::Held { holder: Some(pid), .. } if pid == std::process::id())
        );
        drop(first);
        Folder::take(&path).unwrap();
    }

    #[test]
    fn a_private_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::take(scratch.path()).unwrap();
        assert_eq!(folder.read("demo.key").unwrap(), None);
        folder.write_private("demo.key", "one").unwrap();
        folder.write_private("demo.key", "two").unwrap();
        assert_eq!(folder.read("demo.key").unwrap().as_deref(), Some("two"));
        let mode = scratch
            .path()
            .join("demo.key")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
