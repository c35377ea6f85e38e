//! How a command ends: its exit code and, if it failed, one error to show.

use std::io;

use offpeak_wire::Problem;

use crate::client;
use crate::reach::{Outdated, Unreachable};

/// The exit codes that `--help` documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well.
    Ok = 0,
    /// The command ran, and some jobs failed, some files were left out, or `doctor`, `bill` or
    /// `audit` found something.
    SomeFailed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The server cannot be reached, or refused.
    Server = 3,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Text of `--help` about [`Exit`].
pub const EXIT_CODES: &str = "Exit codes: 0 all went well; 1 some jobs failed, were canceled or \
     have not ended yet, some files were left out, or doctor, bill or audit found something; 2 the command line \
     or configuration is wrong; 3 the server cannot be reached or refused; 130 Ctrl-C.";

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to show.
    pub error: anyhow::Error,
}

impl Failure {
    /// The command line or the configuration is wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
        }
    }

    /// The server cannot be reached, or refused.
    pub fn server(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Server,
            error: error.into(),
        }
    }

    /// A start that did not come off: the database's fault, or a setting's.
    pub fn start(error: anyhow::Error) -> Self {
        let database = error.chain().any(|cause| {
            cause.is::<offpeak_store::Error>()
                || cause.is::<Unreachable>()
                || cause.is::<Outdated>()
        });
        Self {
            exit: if database { Exit::Server } else { Exit::Usage },
            error,
        }
    }

    /// The error with its causes, on one line. What a message already holds of
    /// its cause is not said twice.
    pub fn message(&self) -> String {
        let mut text = String::new();
        let mut last = String::new();
        for cause in self.error.chain() {
            let next = cause.to_string();
            if !last.contains(&next) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&next);
            }
            last = next;
            // It says what it stands on itself.
            if cause.is::<offpeak_store::Error>() {
                break;
            }
        }
        text
    }

    /// The error as problem details: the server's own, or one of this command's
    /// with its exit code in place of an HTTP status.
    pub fn problem(&self) -> String {
        let refused = match self.error.downcast_ref::<client::Error>() {
            Some(client::Error::Refused(problem)) => serde_json::to_string::<Problem>(problem).ok(),
            _ => None,
        };
        refused.unwrap_or_else(|| {
            let (code, title) = match self.exit {
                Exit::Usage => ("usage", "The command line or the configuration is wrong"),
                Exit::Server => ("server", "The server cannot be reached, or refused"),
                Exit::Ok | Exit::SomeFailed | Exit::Interrupted => ("failed", "The command failed"),
            };
            serde_json::json!({
                "type": format!("/problems/{code}"),
                "title": title,
                "detail": self.message(),
                "code": code,
                "exit": self.exit as u8,
            })
            .to_string()
        })
    }

    /// Whether whoever read our output has gone, which is no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

/// Writing to the terminal failed; what else an IO error means is said where it happens.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            exit: Exit::SomeFailed,
            error: error.into(),
        }
    }
}

/// What a command gives back.
pub type Ended = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = anyhow::anyhow!("no route")
            .context("database: no route")
            .context("cannot start");
        assert_eq!(
            Failure::usage(cause).message(),
            "cannot start: database: no route"
        );
    }
}
