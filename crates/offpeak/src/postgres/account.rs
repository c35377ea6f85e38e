//! As whom PostgreSQL's programs run: as we do, or, since they refuse root, as
//! an unprivileged user.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Error;

/// The user and group to become; `None` is whoever we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    switch: Option<(u32, u32)>,
}

impl Account {
    /// The account for a cluster that may exist at `cluster`: its owner, so that
    /// a folder that an ordinary user made also serves root.
    pub(super) fn of(cluster: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { switch: None });
        }
        if let Ok(existing) = cluster.metadata()
            && existing.uid() != 0
        {
            return Ok(Self {
                switch: Some((existing.uid(), existing.gid())),
            });
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        unprivileged(&users)
            .map(|ids| Self { switch: Some(ids) })
            .ok_or(Error::NobodyToRunAs)
    }

    /// The user id that it comes to.
    pub(super) fn uid(self) -> u32 {
        self.switch
            .map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid)
    }

    /// A command that runs as this account, in a process group of its own so
    /// that Ctrl-C reaches us alone, with nothing of our environment.
    pub(super) fn command(self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", program.parent().unwrap_or(home))
            .current_dir(home)
            .stdin(Stdio::null())
            .process_group(0);
        if let Some((uid, gid)) = self.switch {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Whether the account can walk to `folder`. Asked by doing it: permission
    /// bits of all ancestors would not tell of access lists.
    pub(super) fn reaches(self, folder: &Path, probe: &Path) -> bool {
        self.switch.is_none()
            || self
                .command(probe, folder)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }

    /// A folder of the account's own, 0700. One that exists must be exactly that.
    pub(super) fn own_folder(self, path: &Path) -> io::Result<bool> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.give(path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Not followed: a link could have been left by somebody else.
                let there = path.symlink_metadata()?;
                Ok(there.is_dir() && there.uid() == self.uid() && there.mode() & 0o777 == 0o700)
            }
            Err(error) => Err(error),
        }
    }

    /// A file of the account's own, 0600.
    pub(super) fn own_file(self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        self.give(path)
    }

    fn give(self, path: &Path) -> io::Result<()> {
        match self.switch {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }
}

/// `postgres`, else `nobody`, from the text of a password file.
fn unprivileged(users: &str) -> Option<(u32, u32)> {
    ["postgres", "nobody"].iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(wanted)).then_some(())?;
            // Some systems write -2 for the last but one id.
            let mut id = || {
                let text = fields.next()?;
                let number: i64 = text.parse().ok()?;
                u32::try_from(number.rem_euclid(1 << 32)).ok()
            };
            let _password = id();
            Some((id()?, id()?)).filter(|(uid, _)| *uid != 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_postgres_to_nobody_and_never_takes_root() {
        let root = "root:x:0:0:root:/root:/bin/sh\n";
        let nobody = "nobody:*:-2:-2:Nobody:/var/empty:/bin/false\n";
        let postgres = "postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(
            unprivileged(&[root, nobody, postgres].concat()),
            Some((101, 104))
        );
        assert_eq!(
            unprivileged(&[root, nobody].concat()),
            Some((u32::MAX - 1, u32::MAX - 1))
        );
        assert_eq!(unprivileged("postgres:x:0:0::/:/bin/sh\n"), None);
        assert_eq!(unprivileged(root), None);
    }
}
