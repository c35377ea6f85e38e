//! `offpeak upstream`: a tenant's own Anthropic key.

use std::io::Read as _;

use clap::{Subcommand, ValueEnum};
use offpeak_domain::audit::Action;
use offpeak_domain::upstream_key::{State, UpstreamKey};
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::upstream_key::{self, New, Shown, ways};
use offpeak_store::{TenantTx, Tenants, notify};
use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{database, store, system, tenant_named};
use crate::config::Config;
use crate::entropy;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};

/// Bytes that are read for a key.
const LONGEST: u64 = 4096;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the keys that a tenant has set, without what they are, and what depends on them
    Show {
        /// The tenant's name
        tenant: String,
    },
    /// Set a tenant's own Anthropic key, which is read from standard input; a worker checks
    /// it, and only a good one takes the place of the one in use
    Set {
        /// The tenant's name
        tenant: String,
        /// Batch creates that its workspace allows a minute
        #[arg(long, default_value_t = New::CREATES_PER_MINUTE,
              value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        creates_per_minute: u32,
        /// Requests in batches that may wait there at once
        #[arg(long, default_value_t = New::MAX_QUEUED_ITEMS,
              value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        max_queued_items: u64,
    },
    /// Remove a tenant's own key; says what that means unless told to go on
    Remove {
        /// The tenant's name
        tenant: String,
        /// Also while batches are open or jobs wait
        #[arg(long)]
        yes: bool,
    },
    /// Say whether a tenant's jobs may go to the deployment's own upstream once its own key
    /// is removed; they wait for another key unless allowed
    Fallback {
        /// The tenant's name
        tenant: String,
        /// Whether they may
        may: May,
    },
}

/// An answer to a question of yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum May {
    /// They may.
    Allow,
    /// They wait.
    Deny,
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    match command {
        Command::Show { tenant } => show(&tenant, config, output).await,
        Command::Set {
            tenant,
            creates_per_minute,
            max_queued_items,
        } => {
            let limits = (creates_per_minute, max_queued_items);
            set(&tenant, limits, config, output).await
        }
        Command::Remove { tenant, yes } => remove(&tenant, yes, config, output).await,
        Command::Fallback { tenant, may } => fall_back(&tenant, may, config, output).await,
    }
}

/// A transaction of the tenant of that name.
async fn begin(config: &Config, tenant: &str) -> Result<(Tenants, TenantTx), Failure> {
    let tenant = tenant_named(&system(config)?, tenant).await?;
    let options = store(config).map_err(Failure::usage)?;
    let tenants = Tenants::new(&options);
    let tx = tenants.begin(tenant.id).await.map_err(database)?;
    Ok((tenants, tx))
}

async fn note(tx: &mut TenantTx, act: &Act<'_>) -> Result<(), Failure> {
    audit::note(tx, &Actor::command(), act)
        .await
        .map_err(database)
}

async fn show(tenant: &str, config: &Config, output: Output) -> Ended {
    let (_, mut tx) = begin(config, tenant).await?;
    let keys = upstream_key::own(&mut tx).await.map_err(database)?;
    let depends = upstream_key::depends(&mut tx).await.map_err(database)?;
    if output.json {
        output.value(&json!({
            "keys": keys.iter().map(as_json).collect::<Vec<_>>(),
            "open_batches": depends.open_batches,
            "jobs_in_batches": depends.jobs_in_batches,
            "waiting_jobs": depends.waiting_jobs,
            "falls_back": depends.falls_back,
        }))?;
        return Ok(Exit::Ok);
    }
    if keys.is_empty() {
        output.talk(&format!("{tenant} has no key of its own"));
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            vec![
                key.version.to_string(),
                key.state.to_string(),
                format!("…{}", key.last_four),
                moment(key.set_at),
                key.checked_at.map(moment).unwrap_or_default(),
                key.said.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output.table(
        &[
            "KEY",
            "STATE",
            "ENDS WITH",
            "SET (UTC)",
            "CHECKED (UTC)",
            "ANTHROPIC SAID",
        ],
        &rows,
    )?;
    output.talk(&format!(
        "{} open batches with {} jobs, {} jobs that wait",
        depends.open_batches, depends.jobs_in_batches, depends.waiting_jobs
    ));
    Ok(Exit::Ok)
}

async fn set(tenant: &str, limits: (u32, u64), config: &Config, output: Output) -> Ended {
    let vault = config.vault.open().map_err(Failure::usage)?;
    let vault = vault.ok_or_else(|| {
        Failure::usage(anyhow::anyhow!(
            "no master key to keep it under: `offpeak vault key` makes one for [vault]"
        ))
    })?;
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(anyhow::Error::new(error).context("standard input")))?;
    let key = UpstreamKey::parse(&text).map_err(Failure::usage)?;
    let new = New {
        key: &key,
        creates_per_minute: limits.0,
        max_queued_items: limits.1,
    };
    let (tenants, mut tx) = begin(config, tenant).await?;
    let random = entropy::source().map_err(Failure::server)?;
    let version = upstream_key::set(&mut tx, &vault, &new, random)
        .await
        .map_err(database)?
        .ok_or_else(|| {
            Failure::usage(anyhow::anyhow!(
                "another key is being set at this moment: see which one it is, then try again"
            ))
        })?;
    let act = Act {
        action: Action::UpstreamSet,
        target: &version.to_string(),
        detail: &format!("…{}", key.last_four()),
    };
    note(&mut tx, &act).await?;
    tx.commit().await.map_err(database)?;
    // A hint: whoever misses it looks within seconds.
    let _ = notify::ready(&tenants).await;
    if output.json {
        output.value(&json!({ "version": version, "last_four": key.last_four() }))?;
    } else {
        output.line(&format!(
            "key {version} …{} is being checked",
            key.last_four()
        ))?;
        output.talk(&format!(
            "`offpeak upstream show {tenant}` says what Anthropic said"
        ));
    }
    Ok(Exit::Ok)
}

async fn remove(tenant: &str, yes: bool, config: &Config, output: Output) -> Ended {
    // Also of one that is being erased, to which nothing is opened any more.
    let system = system(config)?;
    let id = tenant_named(&system, tenant).await?.id;
    let mut tx = system.begin_for(id).await.map_err(database)?;
    let removed = upstream_key::remove(&mut tx).await.map_err(database)?;
    if removed.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "{tenant} has no key of its own that is in use or being checked"
        )));
    }
    let depends = upstream_key::depends(&mut tx).await.map_err(database)?;
    if depends.anything() && !yes {
        return Err(Failure::usage(anyhow::anyhow!("{depends} with --yes")));
    }
    let ends: Vec<String> = removed.iter().map(|four| format!("…{four}")).collect();
    let act = Act {
        action: Action::UpstreamRemove,
        target: "",
        detail: &ends.join(" "),
    };
    note(&mut tx, &act).await?;
    tx.commit().await.map_err(database)?;
    let tenants = Tenants::new(&store(config).map_err(Failure::usage)?);
    let _ = notify::ready(&tenants).await;
    if output.json {
        output.value(&json!({ "removed": removed }))?;
    } else {
        output.line(&format!("{} removed", ends.join(" ")))?;
    }
    Ok(Exit::Ok)
}

async fn fall_back(tenant: &str, may: May, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    let tenant = tenant_named(&system, tenant).await?;
    let mut tx = system.begin().await.map_err(database)?;
    ways::fall_back(&mut tx, tenant.id, may == May::Allow)
        .await
        .map_err(database)?;
    let act = Act {
        action: Action::UpstreamFallback,
        target: "",
        detail: if may == May::Allow {
            "allowed"
        } else {
            "denied"
        },
    };
    audit::note_of(&mut tx, tenant.id, &Actor::command(), &act)
        .await
        .map_err(database)?;
    tx.commit().await.map_err(database)?;
    if output.json {
        output.value(&json!({ "tenant": tenant.id, "falls_back": may == May::Allow }))?;
    } else {
        output.line(&format!(
            "without a key of its own, jobs of {} {}",
            tenant.name,
            if may == May::Allow {
                "go to the deployment's own upstream"
            } else {
                "wait for another key"
            }
        ))?;
    }
    Ok(Exit::Ok)
}

fn as_json(key: &Shown) -> Value {
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    json!({
        "version": key.version,
        "state": key.state,
        "in_use": key.state == State::Current,
        "last_four": key.last_four,
        "creates_per_minute": key.creates_per_minute,
        "max_queued_items": key.max_queued_items,
        "set_at": text(key.set_at),
        "checked_at": key.checked_at.map(text),
        "workspace": key.workspace,
        "said": key.said,
        "ended_at": key.ended_at.map(text),
    })
}
