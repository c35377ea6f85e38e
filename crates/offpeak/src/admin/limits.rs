//! `offpeak tenant limits`.

use anyhow::Context as _;
use clap::Args as Arguments;
use offpeak_domain::audit::Action;
use offpeak_domain::limits::{Limit, MAX_VALUE, told};
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::person::OPERATORS;
use offpeak_store::{System, limits};
use serde_json::{Value, json};

use super::{database, tenant_named};
use crate::config::Config;
use crate::exit::{Ended, Exit};
use crate::output::{Output, count};

#[derive(Debug, Arguments)]
pub struct Args {
    /// The tenant's name
    name: String,
    /// Another value: `requests_per_second=200`; 0 is no limit, `default` the configuration's
    #[arg(long = "set", value_name = "LIMIT=VALUE", value_parser = change)]
    changes: Vec<(Limit, Option<u64>)>,
}

fn change(text: &str) -> anyhow::Result<(Limit, Option<u64>)> {
    let (name, value) = text.split_once('=').context("write LIMIT=VALUE")?;
    let limit = name.parse()?;
    if value == "default" {
        return Ok((limit, None));
    }
    let value = value
        .parse()
        .ok()
        .filter(|value| *value <= MAX_VALUE)
        .with_context(|| format!("{value:?} is no whole number up to {MAX_VALUE}"))?;
    Ok((limit, Some(value)))
}

pub(super) async fn run(args: Args, system: &System, config: &Config, output: Output) -> Ended {
    let tenant = tenant_named(system, &args.name).await?.id;
    let mut tx = system.begin().await.map_err(database)?;
    let mut own = limits::of_tenant(&mut tx, tenant).await.map_err(database)?;
    if !args.changes.is_empty() {
        for (limit, value) in args.changes {
            own.retain(|(one, _)| *one != limit);
            own.extend(value.map(|value| (limit, value)));
        }
        own.sort_unstable();
        limits::set_of_tenant(&mut tx, tenant, &own)
            .await
            .map_err(database)?;
        let act = Act {
            action: Action::TenantLimits,
            target: &tenant.to_string(),
            detail: &told(&own),
        };
        // The deployment's log has it, as when an operator does it.
        audit::note_of(&mut tx, OPERATORS, &Actor::command(), &act)
            .await
            .map_err(database)?;
        tx.commit().await.map_err(database)?;
    }
    show(&own, config, output)?;
    Ok(Exit::Ok)
}

fn show(own: &[(Limit, u64)], config: &Config, output: Output) -> std::io::Result<()> {
    let standard = config.tenant_limits();
    let limits = standard.with_all(own);
    let is_own = |limit: &Limit| own.iter().any(|(one, _)| one == limit);
    if output.json {
        let rows: Vec<Value> = Limit::ALL
            .iter()
            .map(|limit| {
                json!({
                    "name": limit,
                    "value": limits.get(*limit),
                    "default": standard.get(*limit),
                    "own": is_own(limit),
                })
            })
            .collect();
        return output.value(&rows);
    }
    let shown = |value| match value {
        0 => "none".to_owned(),
        value => count(value),
    };
    let rows: Vec<Vec<String>> = Limit::ALL
        .iter()
        .map(|limit| {
            vec![
                limit.to_string(),
                shown(limits.get(*limit)),
                shown(standard.get(*limit)),
                if is_own(limit) { "own" } else { "" }.to_owned(),
            ]
        })
        .collect();
    output.table(&["LIMIT", ">VALUE", ">CONFIGURED", "WHOSE"], &rows)
}
