//! `offpeak doctor`: every check, with what to do about what fails.

mod invariants;

use std::time::Duration;

use clap::Args as Arguments;
use offpeak_anthropic::Client;
use offpeak_domain::room::Level;
use offpeak_store::{
    Options, System, Tenants, comparison, hold, incident, pause, quarantine, room,
};
use serde::Serialize;

use super::{reconcile, store};
use crate::client::Target;
use crate::config::{Config, Environment};
use crate::exit::{Ended, Exit};
use crate::output::Output;
use crate::{dashboard, open_files, postgres, reach};

/// Longest wait for something that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be checked.
#[derive(Debug, Arguments)]
pub struct Args {
    /// Check instead what must always hold of the rows: nothing lost, sent or booked twice. May be
    /// run at any time; reads whole tables
    #[arg(long)]
    invariants: bool,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// Well, and yet somebody should look.
    warning: bool,
    detail: String,
}

/// A check that is passed or failed.
fn plain(name: &'static str, found: Result<String, String>) -> Check {
    let ok = found.is_ok();
    let detail = match found {
        Ok(detail) | Err(detail) => detail,
    };
    Check {
        name,
        ok,
        warning: false,
        detail,
    }
}

pub(super) async fn run(
    args: Args,
    config: &Config,
    environment: &Environment,
    output: Output,
) -> Ended {
    if args.invariants {
        return invariants::run(config, output).await;
    }
    let mut checks = Vec::new();
    let mut note = |check: Check| checks.push(check);
    note(plain("configuration", Ok("can be read".to_owned())));
    note(plain("prices", prices(config)));
    note(plain("address", address(&config.server.listen).await));
    note(public_url(config));
    note(plain("identity server", identity_server(config).await));
    note(open_files(config));
    note(embedded());
    let options = store(config);
    if let (Err(error), true) = (&options, config.database.url.is_some()) {
        note(plain("database", Err(error.to_string())));
    } else if let Ok(options) = options {
        let found = database(options).await;
        let reached = found.is_ok();
        note(plain("database", found));
        if reached {
            note(plain("walls", walls(config).await));
            note(plain("partitions", partitions(config).await));
            note(plain("storage", storage(config).await));
            note(compared(config).await);
            note(sending(config).await);
            note(incidents(config).await);
        }
    } else {
        // Without a database of its own, `offpeak dev` needs the programs.
        let options = postgres::Options::from_config(config, environment, true);
        note(plain(
            "PostgreSQL's programs",
            postgres::version(&options).map_err(|e| e.to_string()),
        ));
    }
    note(plain("Anthropic", anthropic(config).await));

    let all_well = checks.iter().all(|check| check.ok);
    if output.json {
        output.value(&checks)?;
    } else {
        for check in &checks {
            let mark = match (check.ok, check.warning) {
                (true, false) => "ok  ",
                (true, true) => "warn",
                (false, _) => "FAIL",
            };
            output.line(&format!("{mark}  {:<22} {}", check.name, check.detail))?;
        }
    }
    Ok(if all_well { Exit::Ok } else { Exit::SomeFailed })
}

/// Whether everything can be priced.
fn prices(config: &Config) -> Result<String, String> {
    let list = config.prices.list().map_err(|error| format!("{error:#}"))?;
    let models = list.models().len();
    Ok(if config.prices.allow_unknown {
        format!("{models} models; others may be asked for, at no known price")
    } else {
        format!("{models} models")
    })
}

/// Whether one can listen there, whoever does so now.
async fn address(listen: &str) -> Result<String, String> {
    match tokio::net::lookup_host(listen).await {
        Ok(_) => Ok(listen.to_owned()),
        Err(_) => Err(format!(
            "{listen:?} is no address to listen on: write OFFPEAK_SERVER_LISTEN (listen in \
             [server]) like 127.0.0.1:8080"
        )),
    }
}

/// From where pages of the server's own come. Not set where others reach it, it
/// rests on what a proxy passes on.
fn public_url(config: &Config) -> Check {
    let (warning, detail) = match &config.server.public_url {
        Some(own) => (false, own.as_str().to_owned()),
        None if reach::is_this_machine(&config.server.listen) => (
            false,
            "not set: browsers reach the address itself".to_owned(),
        ),
        None => (
            true,
            "not set: signed-in pages count only if every proxy in front passes on `host` and \
             sets `x-forwarded-proto`; else set public_url in [server]"
                .to_owned(),
        ),
    };
    Check {
        name: "public URL",
        ok: true,
        warning,
        detail,
    }
}

/// Whether the identity server answers, and says of itself what a sign-in needs.
async fn identity_server(config: &Config) -> Result<String, String> {
    let server = config.oidc.server(config.server.public_url.as_ref());
    let Some(server) = server.map_err(|error| format!("{error:#}"))? else {
        return Ok("none set up: people sign in by keys and links".to_owned());
    };
    let (issuer, redirect) = (server.provider.issuer(), server.provider.redirect());
    match server.provider.check().await {
        Ok(()) => Ok(format!(
            "{issuer} answers; it has to know {redirect} as the address to return to"
        )),
        Err(error) => Err(format!("{issuer}: {error}: look at issuer in [oidc]")),
    }
}

/// Whether as many live connections as are allowed find room, if the server is
/// started as this is.
fn open_files(config: &Config) -> Check {
    let allowed = match open_files::raise() {
        Ok(allowed) => open_files::check(allowed, config.live.max_connections),
        Err(error) => Err(error.to_string()),
    };
    Check {
        name: "open files",
        ok: true,
        warning: allowed.is_err(),
        detail: allowed.unwrap_or_else(|short| short),
    }
}

/// Whether browsers find a dashboard at `/`.
fn embedded() -> Check {
    let (warning, detail) = dashboard::found();
    Check {
        name: "dashboard",
        ok: true,
        warning,
        detail,
    }
}

async fn database(mut options: Options) -> Result<String, String> {
    options.acquire_timeout = PATIENCE;
    reach::database(&options).await?;
    let system = System::new(&options);
    let answer = system.now().await;
    let schema = reach::schema(&system).await;
    system.close().await;
    match answer {
        Ok(_) => schema
            .map(|()| "answers".to_owned())
            .map_err(|error| error.to_string()),
        Err(error) => {
            let error = error.to_string();
            let remedy = reach::remedy(&error, &options);
            Err(format!("{error}: {remedy}"))
        }
    }
}

/// Whether row-level security holds for the sessions that a server would have.
async fn walls(config: &Config) -> Result<String, String> {
    let options = store(config).map_err(|error| format!("{error:#}"))?;
    match reach::walls(&options).await {
        Ok(()) => Ok("stand between tenants".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

async fn partitions(config: &Config) -> Result<String, String> {
    let options = store(config).map_err(|error| format!("{error:#}"))?;
    let tenants = Tenants::new(&options);
    let days = tenants.partition_days().await;
    tenants.close().await;
    match days {
        Ok(0) => Err("no room for today's jobs: run `offpeak migrate` or start a worker".into()),
        Ok(days) if days < 3 => Err(format!("room for {days} days only: is a worker running?")),
        Ok(days) => Ok(format!("room for {days} days")),
        Err(error) => {
            let error = error.to_string();
            let remedy = reach::remedy(&error, &options);
            Err(format!("{error}: {remedy}"))
        }
    }
}

/// Whether something is kept from being sent because the database may have
/// forgotten what was.
async fn compared(config: &Config) -> Check {
    let asked = async {
        let options = store(config).map_err(|error| format!("{error:#}"))?;
        let system = System::new(&options);
        let present = comparison::present(&system).await;
        let all = comparison::all(&system).await;
        let holds = hold::all(&system, 1000).await;
        system.close().await;
        let all = present.and_then(|present| Ok((present, all?, holds?)));
        all.map_err(|error| error.to_string())
    };
    let asked: Result<(_, Vec<_>, Vec<_>), String> = asked.await;
    let check = |ok, warning, detail| Check {
        name: "comparison",
        ok,
        warning,
        detail,
    };
    match asked {
        Ok((present, all, holds)) => {
            let open = all
                .iter()
                .find(|one| !reconcile::is_compared(one, &present));
            match (open, holds.len()) {
                (Some(one), _) => {
                    let state = reconcile::state(one, &present);
                    check(
                        true,
                        true,
                        format!("{}: {state}; see `offpeak reconcile`", one.name),
                    )
                }
                (None, 0) => check(true, false, "done".to_owned()),
                (None, held) => check(
                    true,
                    true,
                    format!(
                        "jobs wait because of {held} unknown message batches; see `offpeak reconcile`"
                    ),
                ),
            }
        }
        Err(error) => check(false, false, error),
    }
}

async fn incidents(config: &Config) -> Check {
    let counted = async {
        let options = store(config).map_err(|error| format!("{error:#}"))?;
        let system = System::new(&options);
        let open = incident::open_count(&system).await;
        let lines = quarantine::count(&system).await;
        system.close().await;
        let both = open.and_then(|open| lines.map(|lines| (open, lines)));
        both.map_err(|error| {
            let error = error.to_string();
            let remedy = reach::remedy(&error, &options);
            format!("{error}: {remedy}")
        })
    };
    let counted: Result<(Vec<_>, Vec<_>), String> = counted.await;
    let check = |ok, warning, detail| Check {
        name: "incidents",
        ok,
        warning,
        detail,
    };
    match counted {
        Ok((open, _)) if open.is_empty() => check(true, false, "none open".to_owned()),
        Ok((open, lines)) => {
            let each: Vec<String> = open.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
            let mut each = each.join(", ");
            if !lines.is_empty() {
                let kinds: Vec<String> = lines
                    .iter()
                    .map(|(kind, n)| format!("{n} {kind}"))
                    .collect();
                each = format!("{each}; lines put aside: {}", kinds.join(", "));
            }
            check(true, true, format!("open: {each}; see `offpeak incidents`"))
        }
        Err(error) => check(false, false, error),
    }
}

/// Whether an upstream is paused, and why.
async fn sending(config: &Config) -> Check {
    let paused = async {
        let options = store(config).map_err(|error| format!("{error:#}"))?;
        let system = System::new(&options);
        let paused = pause::standing(&system).await;
        system.close().await;
        paused.map_err(|error| {
            let error = error.to_string();
            let remedy = reach::remedy(&error, &options);
            format!("{error}: {remedy}")
        })
    };
    let paused: Result<Vec<_>, String> = paused.await;
    let check = |ok, warning, detail| Check {
        name: "sending",
        ok,
        warning,
        detail,
    };
    match paused {
        Ok(paused) if paused.is_empty() => check(true, false, "nothing is paused".to_owned()),
        Ok(paused) => {
            let each: Vec<String> = paused.into_iter().map(|one| one.reason).collect();
            check(true, true, format!("paused: {}", each.join("; and ")))
        }
        Err(error) => check(false, false, error),
    }
}

/// How full the disk was when a worker measured it last.
async fn storage(config: &Config) -> Result<String, String> {
    let options = store(config).map_err(|error| format!("{error:#}"))?;
    let system = System::new(&options);
    let measured = room::measured(&system).await;
    system.close().await;
    let (level, bytes) = measured.map_err(|error| error.to_string())?;
    let megabytes = bytes / 1_000_000;
    match level {
        Level::Ok => Ok("there is room".to_owned()),
        Level::Full => Err(format!(
            "the database has {megabytes} MB, and jobs are refused: make room, or raise the \
             limits in [limits]"
        )),
        Level::Critical => Err(format!(
            "the database has {megabytes} MB; jobs are refused and results wait at Anthropic: make \
             room, or raise the limits in [limits]"
        )),
    }
}

async fn anthropic(config: &Config) -> Result<String, String> {
    let base_url = config.base_url().map_err(|error| error.to_string())?;
    let Some(key) = &config.anthropic.api_key else {
        return Ok(
            match Target::running(&config.dev.data).and_then(|dev| dev.standin_url) {
                Some(url) => format!(
                    "no key: `offpeak dev` uses the stand-in at {url}; `offpeak serve` needs \
                     ANTHROPIC_API_KEY"
                ),
                None => "no key: `offpeak dev` will use the stand-in; `offpeak serve` needs \
                         ANTHROPIC_API_KEY"
                    .to_owned(),
            },
        );
    };
    let mut settings = offpeak_anthropic::Config::new(base_url, key.clone());
    settings.call_timeout = PATIENCE;
    let client = Client::new(settings).map_err(|error| error.to_string())?;
    match client.batches(1, None, None).await {
        Ok(_) => Ok(format!("{base_url} answers and takes the key")),
        Err(error) => Err(format!("{base_url}: {error}")),
    }
}
