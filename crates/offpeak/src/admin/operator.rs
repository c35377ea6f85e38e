//! `offpeak operator`.

use std::time::Duration;

use clap::Subcommand;
use offpeak_domain::id::PersonId;
use offpeak_store::person::{OPERATORS, Standing};

use super::person::{self, LINK_HOLDS};
use super::system;
use crate::config::Config;
use crate::exit::Ended;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let an operator sign in, by a link that opens once; again for another link
    Invite {
        /// How they are called, mostly by an address
        name: String,
        /// How long the link holds
        #[arg(long, value_name = "TIME", default_value = LINK_HOLDS,
              value_parser = crate::config::length)]
        expires_in: Duration,
    },
    /// List operators
    List,
    /// End what an operator has open, and let them in no more
    Remove {
        /// `per_…`
        id: PersonId,
    },
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    match command {
        Command::Invite { name, expires_in } => {
            let who = (name.as_str(), Standing::Operator);
            person::invite(&system, OPERATORS, who, expires_in, config, output).await
        }
        Command::List => person::list(&system, OPERATORS, output).await,
        Command::Remove { id } => person::remove(&system, OPERATORS, id, output).await,
    }
}
