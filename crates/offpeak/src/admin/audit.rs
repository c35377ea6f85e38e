//! `offpeak audit`.

use anyhow::Context as _;
use clap::Subcommand;
use offpeak_domain::audit::hex;
use offpeak_domain::id::TenantId;
use offpeak_store::System;
use offpeak_store::audit::{self, Chain};
use offpeak_store::person::OPERATORS;
use serde_json::json;

use super::{database, system, tenant_named};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Walk along the chain of hashes, and say whether an entry was changed or is missing
    Verify {
        /// The tenant's name; every chain, the operators' own too, unless said
        tenant: Option<String>,
        /// An entry that was written down elsewhere, as `NUMBER:HASH`: what was cut off at
        /// the end of a chain shows in no other way
        #[arg(long, value_name = "NUMBER:HASH", requires = "tenant")]
        expect: Option<String>,
    },
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let Command::Verify { tenant, expect } = command;
    let system = system(config)?;
    if let Some(name) = tenant {
        let tenant = tenant_named(&system, &name).await?;
        let whole = verify(&system, (&name, tenant.id), output).await?;
        let kept = match expect {
            Some(expect) => is_there(&system, tenant.id, &expect, output).await?,
            None => true,
        };
        return Ok(ended(whole && kept));
    }
    let mut tx = system.begin().await.map_err(database)?;
    let tenants = offpeak_store::tenant::list(&mut tx)
        .await
        .map_err(database)?;
    drop(tx);
    let mut whole = verify(&system, ("(operators)", OPERATORS), output).await?;
    for one in tenants {
        whole &= verify(&system, (&one.name, one.id), output).await?;
    }
    Ok(ended(whole))
}

fn ended(whole: bool) -> Exit {
    if whole { Exit::Ok } else { Exit::SomeFailed }
}

/// Whether a chain is whole; says so.
async fn verify(
    system: &System,
    (name, tenant): (&str, TenantId),
    output: Output,
) -> Result<bool, Failure> {
    let chain = audit::verify(system, tenant).await.map_err(database)?;
    let (whole, shown, text) = match &chain {
        Chain::Whole { entries, hash } => (
            true,
            json!({ "tenant": name, "whole": true, "entries": entries, "hash": hex(hash) }),
            format!(
                "{name}: whole, entries: {entries}, the last is {entries}:{}",
                hex(hash)
            ),
        ),
        Chain::Broken { at } => (
            false,
            json!({ "tenant": name, "whole": false, "broken_at": at }),
            format!(
                "{name}: BROKEN at entry {at}: it was changed, or the one that belongs there is \
                 missing. Compare with a backup to see what it said."
            ),
        ),
    };
    if output.json {
        output.value(&shown)?;
    } else {
        output.line(&text)?;
    }
    Ok(whole)
}

/// Whether an entry is still the one that was written down; says if not.
async fn is_there(
    system: &System,
    tenant: TenantId,
    expect: &str,
    output: Output,
) -> Result<bool, Failure> {
    let (seq, hash) = expect
        .split_once(':')
        .and_then(|(seq, hash)| Some((seq.parse::<i64>().ok()?, hash)))
        .context("--expect is the number of an entry, a colon and its hash, as verify prints it")
        .map_err(Failure::usage)?;
    let found = audit::hash_at(system, tenant, seq)
        .await
        .map_err(database)?;
    let same = found.is_some_and(|found| hex(&found) == hash.to_ascii_lowercase());
    if !same {
        output.talk(&format!(
            "entry {seq} is not the one that you wrote down: the log was cut off and written anew"
        ));
    }
    Ok(same)
}
