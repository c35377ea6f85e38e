//! Where the cluster lives and how it is set up: once, whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rand::RngExt as _;
use rand::distr::Alphanumeric;

use super::account::Account;
use super::programs::{self, Programs};
use super::{Error, Options, io_error};
use crate::folder::{Folder, short_name};

/// The database that offpeak uses in its private cluster.
pub(super) const DATABASE: &str = "offpeak";

/// Says, inside the data folder, where the cluster is if it is not there.
const ELSEWHERE: &str = "cluster.elsewhere";

/// Longest folder whose socket's path every system takes: 104 bytes less the name.
const LONGEST_SOCKET_FOLDER: usize = 104 - "/.s.PGSQL.65535".len() - 1;

/// A cluster that is set up, running or not.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// The folder that holds everything below.
    pub(super) home: PathBuf,
    /// PostgreSQL's own data folder.
    pub(super) path: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    pub(super) account: Account,
    pub(super) programs: Programs,
    pub(super) durable: bool,
}

impl Cluster {
    /// The cluster of a data folder, set up if it is not yet.
    pub(super) async fn ready(
        folder: &Folder,
        options: &Options,
        rng: &mut (impl rand::CryptoRng + Send),
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, Error> {
        let home = home(folder, options, say)?;
        let path = home.join("cluster");
        let account = Account::of(&path)?;
        let programs = programs::find(options, version(&path), &path)?;
        let cluster = Self {
            socket: socket_folder(&home),
            log: home.join("postgres.log"),
            path,
            account,
            programs,
            durable: options.durable,
            home,
        };
        if version(&cluster.path).is_none() {
            say(&format!(
                "setting up a private PostgreSQL {} in {}",
                cluster.programs.major,
                near(&cluster.home).display()
            ));
            cluster.set_up(folder, rng).await?;
        }
        match account.own_folder(&cluster.socket) {
            Ok(true) => Ok(cluster),
            Ok(false) => Err(Error::ForeignSocketFolder {
                path: cluster.socket,
            }),
            Err(cause) => Err(io_error("cannot make", &cluster.socket)(cause)),
        }
    }

    /// Sets up beside the final place and moves there at the end, so that a
    /// cluster that has its name is whole.
    async fn set_up(
        &self,
        folder: &Folder,
        rng: &mut (impl rand::CryptoRng + Send),
    ) -> Result<(), Error> {
        // Nobody connects with it by itself: the socket is open to its owner
        // alone. The port is open to every user of the machine, hence this.
        let password: String = (0..32)
            .map(|_| char::from(rng.sample(Alphanumeric)))
            .collect();
        for left_over in self
            .home
            .read_dir()
            .map_err(io_error("cannot read", &self.home))?
        {
            let Ok(entry) = left_over else { continue };
            if entry.file_name().to_string_lossy().starts_with("setup-") {
                // If it cannot go now, it goes at another start.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let setup = self.home.join(format!("setup-{}", std::process::id()));
        let made = self
            .account
            .own_folder(&setup)
            .map_err(io_error("cannot make", &setup))?;
        if !made {
            return Err(Error::ForeignSocketFolder { path: setup });
        }
        let fresh = setup.join("cluster");
        let secret = setup.join("password");
        self.account
            .own_file(&secret, &password)
            .map_err(io_error("cannot write", &secret))?;

        let mut initdb = self.account.command(&self.programs.initdb(), &setup);
        initdb
            .arg("--pgdata")
            .arg(&fresh)
            .arg("--pwfile")
            .arg(&secret)
            .args([
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .args((!self.durable).then_some("--no-sync"));
        finish("setting up PostgreSQL (initdb)", initdb, "").await?;

        let fsync = if self.durable {
            "fsync=on"
        } else {
            "fsync=off"
        };
        let mut single = self.account.command(&self.programs.postgres(), &fresh);
        single.arg("--single").arg("-D").arg(&fresh).args([
            "-c",
            fsync,
            "-c",
            "exit_on_error=true",
            "postgres",
        ]);
        finish(
            "creating the database",
            single,
            &format!("CREATE DATABASE {DATABASE} TEMPLATE template0\n"),
        )
        .await?;

        folder
            .write_private("postgres.password", &format!("{password}\n"))
            .map_err(|error| Error::Failed {
                what: "writing the password",
                output: error.to_string(),
            })?;
        std::fs::rename(&fresh, &self.path).map_err(io_error("cannot move to", &self.path))?;
        let _ = std::fs::remove_dir_all(&setup);
        Ok(())
    }
}

/// The folder to live in: the data folder, unless the server's user cannot
/// walk to it, as below a home folder that is closed to others. A note in the
/// data folder says where else, so that removing the data folder starts afresh.
fn home(
    folder: &Folder,
    options: &Options,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, Error> {
    let here = folder.path();
    let note = here.join(ELSEWHERE);
    if let Ok(elsewhere) = std::fs::read_to_string(&note) {
        return Ok(PathBuf::from(elsewhere.trim_end()));
    }
    let account = Account::of(&here.join("cluster"))?;
    let probe = programs::find(options, version(&here.join("cluster")), here)?.postgres();
    if account.reaches(here, &probe) {
        return Ok(here.to_owned());
    }
    let parent = Path::new("/var/lib/offpeak");
    std::fs::create_dir_all(parent).map_err(io_error("cannot make", parent))?;
    let away = fresh_folder(parent, &short_name(here))?;
    let name = away.to_string_lossy();
    folder
        .write_private(ELSEWHERE, &name)
        .map_err(|error| Error::Failed {
            what: "noting where the cluster is",
            output: error.to_string(),
        })?;
    say(&format!(
        "PostgreSQL's user cannot reach {}: its cluster goes to {name}",
        here.display(),
    ));
    Ok(away)
}

/// A folder that was not there before: `name`, `name-2`, …
fn fresh_folder(parent: &Path, name: &str) -> Result<PathBuf, Error> {
    for number in 1_u32.. {
        let path = match number {
            1 => parent.join(name),
            _ => parent.join(format!("{name}-{number}")),
        };
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                return made
                    .map(|()| path.clone())
                    .map_err(io_error("cannot make", &path));
            }
        }
    }
    unreachable!("one of four thousand million names is free")
}

/// A short folder for the socket: its path has a limit of its own, and clients
/// read lists and escapes into it.
fn socket_folder(home: &Path) -> PathBuf {
    let near = home.join("socket");
    let plain = near.to_str().is_some_and(|text| {
        text.len() <= LONGEST_SOCKET_FOLDER
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
    });
    if plain {
        near
    } else {
        Path::new("/tmp").join(format!("offpeak-{}", short_name(home)))
    }
}

/// A path for a person: from the current folder, if it is below.
pub(super) fn near(path: &Path) -> &Path {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
}

/// The major version that a cluster was set up by.
fn version(cluster: &Path) -> Option<u32> {
    std::fs::read_to_string(cluster.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Runs a program to its end; its last lines are the error.
async fn finish(
    what: &'static str,
    mut command: std::process::Command,
    input: &str,
) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !input.is_empty() {
        let (reader, mut writer) = std::io::pipe().map_err(io_error("cannot start", &program))?;
        command.stdin(reader);
        // A line: it fits into the pipe before anybody reads.
        writer
            .write_all(input.as_bytes())
            .map_err(io_error("cannot start", &program))?;
    }
    let ended = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(io_error("cannot start", &program))?;
    if ended.status.success() {
        return Ok(());
    }
    let mut output = String::from_utf8_lossy(&ended.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&ended.stderr));
    Err(Error::Failed {
        what,
        output: last_lines(&output, 10),
    })
}

pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_odd_path_gets_a_short_socket_folder() {
        assert_eq!(
            socket_folder(Path::new("/srv/offpeak")),
            Path::new("/srv/offpeak/socket")
        );
        let long = format!("/{}", "deep/".repeat(30));
        for odd in [long.as_str(), "/srv/a,b", "/srv/a b", "/srv/ü"] {
            let socket = socket_folder(Path::new(odd));
            assert!(socket.starts_with("/tmp"), "{socket:?}");
            assert!(socket.as_os_str().len() <= LONGEST_SOCKET_FOLDER);
        }
    }

    #[test]
    fn keeps_the_end_of_what_was_said() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
