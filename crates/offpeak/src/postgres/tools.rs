//! PostgreSQL's programs for whoever sets up more than one private server, such
//! as a primary with its standby.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::programs::{self, Programs};
use super::{Error, Options, io_error};

/// The programs of one version, and as whom they run: they refuse root.
#[derive(Clone, Debug)]
pub struct Tools {
    programs: Programs,
    account: Account,
}

impl Tools {
    /// Those that a new private server would have.
    pub fn find(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            programs: programs::find(options, None, Path::new(""))?,
            account: Account::of(Path::new(""))?,
        })
    }

    /// One of them, at work in `home`, with nothing of our environment.
    pub fn command(&self, program: &str, home: &Path) -> Command {
        self.account.command(&self.program(program), home)
    }

    /// Where one of them is.
    pub fn program(&self, program: &str) -> PathBuf {
        self.programs.folder.join(program)
    }

    /// A new folder that is theirs alone.
    pub fn own_folder(&self, path: &Path) -> Result<(), Error> {
        self.account
            .own_folder(path)
            .map(drop)
            .map_err(io_error("cannot make", path))
    }
}
