//! The operator's commands: they work on the database and on this machine, not
//! over HTTP.

mod audit;
mod bill;
mod budget;
mod doctor;
mod erase;
mod incidents;
mod key;
mod limits;
mod migrate;
mod openapi;
mod operator;
mod person;
mod reconcile;
mod standin;
mod tenant;
mod upstream;
mod vault;

use anyhow::Context as _;
use clap::Subcommand;
use offpeak_store::{Options, System};
use secrecy::SecretString;

use crate::client::Target;
use crate::config::{Config, Environment};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::{log, serve};

/// The operator's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the database to this version; safe to repeat
    Migrate,
    /// Create or list tenants, or give one limits of its own
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Create, list or revoke API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Invite, list or remove people who sign in to a tenant without a key
    #[command(subcommand)]
    Person(person::Command),
    /// Invite, list or remove operators, who see counts of every tenant in the dashboard
    #[command(subcommand)]
    Operator(operator::Command),
    /// Check the chain of hashes of who did what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Set, list or remove what a tenant may spend
    #[command(subcommand)]
    Budget(budget::Command),
    /// Show, set or remove a tenant's own Anthropic key
    #[command(subcommand)]
    Upstream(upstream::Command),
    /// Make, show or rotate the master keys under which tenants' own keys are kept
    #[command(subcommand)]
    Vault(vault::Command),
    /// Check configuration, database and upstream, and say what is wrong
    Doctor(doctor::Args),
    /// Compare the ledger with Anthropic's usage and cost reports, by day and model
    Bill(bill::Args),
    /// List what the operator has to know, or resolve one of it
    Incidents(incidents::Args),
    /// Show whether Anthropic's list was compared with the database, and what is held back for it
    Reconcile(reconcile::Args),
    /// Run the stand-in of Anthropic's API alone
    Standin(standin::Args),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

/// Runs one.
pub async fn run(
    command: Command,
    config: &Config,
    environment: &Environment,
    output: Output,
) -> Ended {
    match command {
        Command::Migrate => migrate::run(config, output).await,
        Command::Tenant(command) => tenant::run(command, config, output).await,
        Command::Key(command) => key::run(command, config, output).await,
        Command::Audit(command) => audit::run(command, config, output).await,
        Command::Person(command) => person::run(command, config, output).await,
        Command::Operator(command) => operator::run(command, config, output).await,
        Command::Budget(command) => budget::run(command, config, output).await,
        Command::Upstream(command) => upstream::run(command, config, output).await,
        Command::Vault(command) => vault::run(command, config, output).await,
        Command::Doctor(args) => doctor::run(args, config, environment, output).await,
        Command::Bill(args) => bill::run(args, config, output).await,
        Command::Incidents(args) => incidents::run(args, config, output).await,
        Command::Reconcile(args) => reconcile::run(args, config, output).await,
        Command::Standin(args) => {
            log::begin(&config.log, false).map_err(Failure::usage)?;
            standin::run(args, config, output).await
        }
        Command::Openapi => openapi::run(output),
    }
}

/// The configured database, else that of the `offpeak dev` that runs here.
fn store(config: &Config) -> anyhow::Result<Options> {
    let url = match config.database_url() {
        Ok(url) => url.clone(),
        Err(none) => Target::running(&config.dev.data)
            .and_then(|target| target.database_url)
            .map(SecretString::from)
            .ok_or(none)?,
    };
    serve::store_options(config, &url)
}

/// Access to all tenants.
fn system(config: &Config) -> Result<System, Failure> {
    store(config)
        .map(|options| System::new(&options))
        .map_err(Failure::usage)
}

/// A failure of the database, which is the server here.
fn database(error: impl Into<anyhow::Error>) -> Failure {
    Failure::server(error)
}

/// The tenant of that name, or how to make it.
async fn tenant_named(
    system: &System,
    name: &str,
) -> Result<offpeak_store::tenant::Tenant, Failure> {
    let mut tx = system.begin().await.map_err(database)?;
    offpeak_store::tenant::by_name(&mut tx, name)
        .await
        .map_err(database)?
        .with_context(|| {
            format!("there is no tenant {name:?}: `offpeak tenant create {name}` makes it")
        })
        .map_err(Failure::usage)
}
