//! `offpeak doctor`: every check, with what to do about what fails.

use std::time::Duration;

use offpeak_anthropic::Client;
use offpeak_store::{Options, System, Tenants};
use serde::Serialize;

use super::store;
use crate::client::Target;
use crate::config::{Config, Environment};
use crate::exit::{Ended, Exit};
use crate::output::Output;
use crate::postgres;

/// Longest wait for something that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

pub(super) async fn run(config: &Config, environment: &Environment, output: Output) -> Ended {
    let mut checks = Vec::new();
    let mut note = |name, found: Result<String, String>| {
        let ok = found.is_ok();
        let detail = match found {
            Ok(detail) | Err(detail) => detail,
        };
        checks.push(Check { name, ok, detail });
    };
    note("configuration", Ok("can be read".to_owned()));
    if let Ok(options) = store(config) {
        let found = database(options).await;
        let reached = found.is_ok();
        note("database", found);
        if reached {
            note("partitions", partitions(config).await);
        }
    } else {
        // Without a database of its own, `offpeak dev` needs the programs.
        let options = postgres::Options::from_config(config, environment, true);
        note(
            "PostgreSQL's programs",
            postgres::version(&options).map_err(|e| e.to_string()),
        );
    }
    note("Anthropic", anthropic(config).await);

    let all_well = checks.iter().all(|check| check.ok);
    if output.json {
        output.value(&checks)?;
    } else {
        for check in &checks {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            output.line(&format!("{mark}  {:<22} {}", check.name, check.detail))?;
        }
    }
    Ok(if all_well { Exit::Ok } else { Exit::SomeFailed })
}

async fn database(mut options: Options) -> Result<String, String> {
    options.acquire_timeout = PATIENCE;
    let system = System::new(&options);
    let answer = system.now().await;
    system.close().await;
    match answer {
        Ok(_) => Ok("answers".to_owned()),
        Err(error) => Err(format!(
            "{error}; check DATABASE_URL, and run `offpeak migrate` once for a new database"
        )),
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
        Err(error) => Err(format!("{error}: run `offpeak migrate`")),
    }
}

async fn anthropic(config: &Config) -> Result<String, String> {
    let Some(key) = &config.anthropic.api_key else {
        return Ok(
            match Target::running(&config.dev.data).and_then(|dev| dev.standin_url) {
                Some(url) => format!("no key; `offpeak dev` uses the stand-in at {url}"),
                None => "no ANTHROPIC_API_KEY; `offpeak dev` will use the stand-in".to_owned(),
            },
        );
    };
    let mut settings =
        offpeak_anthropic::Config::new(config.anthropic.base_url.clone(), key.clone());
    settings.call_timeout = PATIENCE;
    let client = Client::new(settings).map_err(|error| error.to_string())?;
    match client.batches(1, None, None).await {
        Ok(_) => Ok(format!(
            "{} answers and takes the key",
            config.anthropic.base_url
        )),
        Err(error) => Err(format!("{}: {error}", config.anthropic.base_url)),
    }
}
