//! `offpeak tenant`.

use clap::Subcommand;
use offpeak_domain::tenant::is_name;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{database, erase, limits, system, tenant_named};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};
use crate::seed;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a tenant
    Create {
        /// Lowercase letters, digits, `_` and `-`
        name: String,
    },
    /// List all tenants
    List,
    /// Erase all that a tenant has, here and at Anthropic; nobody can take it back
    Erase {
        /// The tenant's name
        name: String,
        /// Say that you mean it
        #[arg(long)]
        yes_erase_everything: bool,
        /// Leave what its own upstream holds where it is: only once its key is gone, so
        /// that nobody can end or delete it there; also for an erasure that was begun
        #[arg(long)]
        leave_upstream: bool,
    },
    /// Show a tenant's limits, or give it others than the configuration's
    Limits(limits::Args),
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    match command {
        Command::Create { name } => {
            if !is_name(&name) {
                return Err(Failure::usage(anyhow::anyhow!(
                    "a tenant's name has 1 to 63 lowercase letters, digits, `_` and `-`, and \
                     begins with a letter or a digit; {name:?} does not fit"
                )));
            }
            let made = seed::new_tenant(&system, &name).await.map_err(database)?;
            let Some(id) = made else {
                return Err(Failure::usage(anyhow::anyhow!(
                    "there is a tenant {name:?} already"
                )));
            };
            if output.json {
                output.value(&json!({ "id": id, "name": name }))?;
            } else {
                output.line(&id.to_string())?;
                output.talk(&format!("`offpeak key create {name}` makes a key for it"));
            }
        }
        Command::Erase {
            name,
            yes_erase_everything,
            leave_upstream,
        } => {
            let tenant = tenant_named(&system, &name).await?.id;
            if !yes_erase_everything {
                return Err(Failure::usage(anyhow::anyhow!(
                    "this erases every job, result, key and person of {name}, here and at \
                     Anthropic, and nobody can take it back: if you mean it, add \
                     --yes-erase-everything"
                )));
            }
            erase::run(&system, tenant, &name, leave_upstream, output).await?;
        }
        Command::Limits(args) => return limits::run(args, &system, config, output).await,
        Command::List => {
            let mut tx = system.begin().await.map_err(database)?;
            let tenants = offpeak_store::tenant::list(&mut tx)
                .await
                .map_err(database)?;
            if output.json {
                let rows: Vec<_> = tenants
                    .iter()
                    .map(|one| {
                        json!({
                            "id": one.id,
                            "name": one.name,
                            "weight": one.weight,
                            "created_at": one.created_at.format(&Rfc3339).unwrap_or_default(),
                        })
                    })
                    .collect();
                output.value(&rows)?;
            } else {
                let rows: Vec<Vec<String>> = tenants
                    .iter()
                    .map(|one| {
                        vec![
                            one.id.to_string(),
                            one.name.clone(),
                            one.weight.to_string(),
                            moment(one.created_at),
                        ]
                    })
                    .collect();
                output.table(&["TENANT", "NAME", ">WEIGHT", "CREATED (UTC)"], &rows)?;
            }
        }
    }
    Ok(Exit::Ok)
}
