//! The command line: what can be said, and where each command goes.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Config, Environment, Role};
use crate::exit::{EXIT_CODES, Ended, Exit, Failure};
use crate::output::Output;
use crate::{admin, client, demo, dev, log, serve, signals};

/// Options that every command takes.
const EVERYWHERE: &str = "With every command";

/// Half-price Claude jobs: hand in patient work over HTTP, get it done in
/// Anthropic's message batches.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// The configuration file (default: ./offpeak.toml, if there is one)
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder: dev, demo and standin keep their state in it, and the other commands find
    /// a running `offpeak dev` by it (default: .offpeak)
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with nothing to configure
    Dev {
        /// Address and port of the API; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Run the main job on the documents of this project's own dependencies
    Demo(demo::Args),
    /// Run API and worker on a database of yours
    Serve {
        /// What this process does
        #[arg(long)]
        role: Option<Role>,
        /// Address and port of the API
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Price documents, jobs or logged calls in each lane, before anything is spent
    Estimate(client::estimate::Args),
    #[command(flatten)]
    Admin(admin::Command),
    #[command(flatten)]
    Client(client::Command),
}

impl Cli {
    /// Whether JSON is asked for.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Runs a command line.
pub async fn run(cli: Cli, environment: Environment) -> Ended {
    let output = Output { json: cli.json };
    let mut config = Config::read(cli.config.as_deref(), &environment).map_err(Failure::usage)?;
    if let Some(data) = cli.data {
        config.dev.data = data;
    }
    match cli.command {
        Command::Dev { listen } => {
            config.server.listen = listen.unwrap_or(config.server.listen);
            log::begin(&config.log, false).map_err(Failure::usage)?;
            run_dev(&config, &environment, output).await
        }
        Command::Demo(args) => {
            log::begin(&config.log, true).map_err(Failure::usage)?;
            demo::run(args, config, &environment, output).await
        }
        Command::Serve { role, listen } => {
            config.server.role = role.unwrap_or(config.server.role);
            config.server.listen = listen.unwrap_or(config.server.listen);
            log::begin(&config.log, false).map_err(Failure::usage)?;
            serve::run(&config, output).await
        }
        Command::Admin(command) => admin::run(command, &config, &environment, output).await,
        Command::Estimate(args) => {
            let connection = client::Connection::if_any(&environment, &config.dev.data)?;
            let prices = config.prices.list().map_err(Failure::usage)?;
            client::estimate::run(args, prices, connection, output).await
        }
        Command::Client(command) => {
            let connection = client::Connection::find(&environment, &config.dev.data)?;
            let client = client::Client::new(connection)?;
            client::run(command, &client, output).await
        }
    }
}

async fn run_dev(config: &Config, environment: &Environment, output: Output) -> Ended {
    let say = move |line: &str| output.talk(line);
    let started = dev::Dev::start_unless_stopped(config, environment, &say).await?;
    let Some(mut dev) = started else {
        return Ok(Exit::Interrupted);
    };
    greet(&dev, config, output)?;
    let ended = tokio::select! {
        () = signals::stop() => Ok(Exit::Ok),
        error = dev.broke() => Err(Failure::server(error)),
    };
    output.talk("\nstopping; a second Ctrl-C ends it at once");
    dev.stop().await.map_err(Failure::server)?;
    ended
}

fn greet(dev: &dev::Dev, config: &Config, output: Output) -> std::io::Result<()> {
    if output.json {
        return output.value(&dev.target);
    }
    let target = &dev.target;
    output.talk(&format!("offpeak {}", env!("CARGO_PKG_VERSION")));
    output.talk(&format!("  PostgreSQL  {}", dev.database));
    match &target.standin_url {
        Some(url) => {
            output.talk(&format!(
                "  Anthropic   STAND-IN at {url}: ANSWERS ARE MADE UP, nothing is billed;"
            ));
            output.talk("              set ANTHROPIC_API_KEY for the real API");
        }
        None => output.talk(&format!(
            "  Anthropic   {}: jobs cost money",
            config.api_name()
        )),
    }
    output.talk(&format!("  API         {}\n", target.url));
    if std::io::stdout().is_terminal() {
        output.talk("For other terminals:");
    }
    output.line(&format!("export OFFPEAK_URL={}", target.url))?;
    output.line(&format!("export OFFPEAK_KEY={}", target.key))?;
    output.talk(
        "Try, in another terminal with those two lines:\n  \
         offpeak submit README.md --type summarize --watch\n  \
         curl $OFFPEAK_URL/v1/groups -H \"authorization: Bearer $OFFPEAK_KEY\"\n\n\
         Ctrl-C stops it.",
    );
    Ok(())
}
