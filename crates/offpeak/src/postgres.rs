//! A private PostgreSQL for `offpeak dev` and for tests: found among the
//! installed programs, set up once in the data folder, run beside us.
//!
//! What it never does: touch another cluster, listen beyond this machine, run
//! as root. If this process dies by `kill -9` the server lives on and loses
//! nothing; the next start adopts it. If the server dies, its own recovery
//! makes the next start whole. A set-up cut short is thrown away and repeated.

mod account;
mod cluster;
mod pidfile;
mod programs;
mod server;
mod tools;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

pub use server::Postgres;
pub use tools::Tools;

use crate::config::{Config, Environment};

/// What a private server needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder with `initdb` and `postgres`, if they are not to be searched for.
    pub programs: Option<PathBuf>,
    /// The value of `PATH`, searched first.
    pub search: OsString,
    /// False gives up safety against a power cut for speed: tests only.
    pub durable: bool,
}

impl Options {
    /// As configured.
    pub fn from_config(config: &Config, environment: &Environment, durable: bool) -> Self {
        let programs = &config.postgres.programs;
        Self {
            programs: (!programs.as_os_str().is_empty()).then(|| programs.clone()),
            search: environment.raw("PATH").unwrap_or_default(),
            durable,
        }
    }
}

/// The version that a new private server would have, and where its programs are.
pub fn version(options: &Options) -> Result<String, Error> {
    let found = programs::find(options, None, Path::new(""))?;
    Ok(format!("{}, in {}", found.major, found.folder.display()))
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No programs found.
    #[error(
        "no PostgreSQL 15 or newer was found: install its server programs (Debian, Ubuntu: \
         `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: \
         `brew install postgresql@17`), or set DATABASE_URL to a database that you have"
    )]
    NotInstalled,
    /// Programs found, all too old.
    #[error(
        "PostgreSQL {found} in {path} is too old: install version 15 or newer, or set \
         DATABASE_URL to a database that you have"
    )]
    TooOld {
        /// Major version of the newest.
        found: u32,
        /// Where.
        path: PathBuf,
    },
    /// The data folder was set up by a version that is gone.
    #[error(
        "{path} was set up by PostgreSQL {wanted}, whose programs are no longer installed (found: \
         {found}): install that version again, or choose another data folder with --data"
    )]
    OtherVersion {
        /// The cluster.
        path: PathBuf,
        /// Its major version.
        wanted: u32,
        /// The major versions that are there.
        found: String,
    },
    /// We are root and there is nobody else.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor \
         `nobody`: run offpeak as an ordinary user, or set DATABASE_URL"
    )]
    NobodyToRunAs,
    /// The folder for the socket is not ours alone.
    #[error("{path} belongs to somebody else: remove it, it is needed for PostgreSQL's socket")]
    ForeignSocketFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A program could not be started or a file not written.
    #[error("{what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A program ended badly.
    #[error("{what} failed:\n{output}")]
    Failed {
        /// Which.
        what: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// It neither came up nor ended in time.
    #[error("PostgreSQL (process {pid}) did not {what} within {seconds} s; its log is {log}")]
    Slow {
        /// Process id of the server.
        pid: u32,
        /// What was waited for.
        what: &'static str,
        /// For how long.
        seconds: u64,
        /// Where to look.
        log: PathBuf,
    },
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { what, path, cause }
}
