//! The client commands: offpeak's HTTP API on the command line.
//!
//! What they never do: reach past that API. Ids, states and money are what the
//! server says. If the process dies here, the server goes on.

mod batches;
mod cancel;
mod connection;
pub(crate) mod estimate;
mod export;
mod faults;
mod form;
mod groups;
mod http;
mod ids;
mod input;
mod jobs;
mod lines;
mod pretend;
mod progress;
mod results;
mod retention;
mod retry;
mod submit;
mod types;
mod usage;
mod watch;

use clap::Subcommand;

pub use connection::{Connection, TARGET_FILE, Target};
pub use http::{Client, Error};
pub use progress::Progress;
pub(crate) use results::each as each_result;
pub use submit::{Submitted, upload};
pub(crate) use submit::{fresh_key, line};
pub use watch::until_done;

use crate::exit::Ended;
use crate::output::Output;

/// The commands that talk to a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send documents, or jobs as NDJSON, as one group
    Submit(submit::Args),
    /// List jobs, or show one
    Jobs(jobs::Args),
    /// Follow a group or a job until it has ended
    Watch(watch::Args),
    /// Print the results of a group or of a job
    Results(results::Args),
    /// Cancel jobs or groups
    Cancel(cancel::Args),
    /// Queue failed or canceled jobs again
    Retry(retry::Args),
    /// List groups, or show one
    Groups(groups::Args),
    /// List batches, and what the prompt cache did for them
    Batches(batches::Args),
    /// Show what was used and what it cost
    Usage(usage::Args),
    /// List job types, show one, or store one
    Types(types::Args),
    /// Write down all that you have: settings, jobs, requests, results
    Export(export::Args),
    /// How long requests and results are kept
    #[command(subcommand)]
    Retention(retention::Command),
}

/// Runs one.
pub async fn run(command: Command, client: &Client, output: Output) -> Ended {
    match command {
        Command::Submit(args) => submit::run(args, client, output).await,
        Command::Jobs(args) => jobs::run(args, client, output).await,
        Command::Watch(args) => watch::run(args, client, output).await,
        Command::Results(args) => results::run(args, client, output).await,
        Command::Cancel(args) => cancel::run(args, client, output).await,
        Command::Retry(args) => retry::run(args, client, output).await,
        Command::Groups(args) => groups::run(args, client, output).await,
        Command::Batches(args) => batches::run(args, client, output).await,
        Command::Usage(args) => usage::run(args, client, output).await,
        Command::Types(args) => types::run(args, client, output).await,
        Command::Export(args) => export::run(args, client, output).await,
        Command::Retention(command) => retention::run(command, client, output).await,
    }
}
