//! `offpeak key`.

use clap::Subcommand;
use offpeak_domain::id::KeyId;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{database, system, tenant_named};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};
use crate::seed;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key; it is shown once
    Create {
        /// The tenant's name
        tenant: String,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
    },
    /// List a tenant's keys
    List {
        /// The tenant's name
        tenant: String,
    },
    /// Make a key useless
    Revoke {
        /// The tenant's name
        tenant: String,
        /// `key_…`
        id: KeyId,
    },
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    match command {
        Command::Create { tenant, name } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let (id, key) = seed::new_key(&system, tenant.id, &name)
                .await
                .map_err(database)?;
            if output.json {
                output.value(&json!({ "id": id, "key": key.expose() }))?;
            } else {
                output.line(key.expose())?;
                output.talk(&format!("{id} for {}; it is not shown again", tenant.name));
            }
        }
        Command::List { tenant } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let mut tx = system.begin().await.map_err(database)?;
            let keys = offpeak_store::api_key::list(&mut tx, tenant.id)
                .await
                .map_err(database)?;
            if output.json {
                let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
                let rows: Vec<_> = keys
                    .iter()
                    .map(|one| {
                        json!({
                            "id": one.id,
                            "name": one.name,
                            "hint": one.hint,
                            "created_at": text(one.created_at),
                            "last_used_at": one.last_used_at.map(text),
                            "revoked_at": one.revoked_at.map(text),
                        })
                    })
                    .collect();
                output.value(&rows)?;
            } else {
                let shown = |at: Option<OffsetDateTime>| at.map(moment).unwrap_or_default();
                let rows: Vec<Vec<String>> = keys
                    .iter()
                    .map(|one| {
                        vec![
                            one.id.to_string(),
                            one.hint.clone(),
                            one.name.clone(),
                            moment(one.created_at),
                            shown(one.last_used_at),
                            shown(one.revoked_at),
                        ]
                    })
                    .collect();
                output.table(
                    &["KEY", "HINT", "NAME", "CREATED", "LAST USED", "REVOKED"],
                    &rows,
                )?;
            }
        }
        Command::Revoke { tenant, id } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let mut tx = system.begin().await.map_err(database)?;
            let done = offpeak_store::api_key::revoke(&mut tx, tenant.id, id)
                .await
                .map_err(database)?;
            tx.commit().await.map_err(database)?;
            if !done {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{} has no key {id} that is in force",
                    tenant.name
                )));
            }
            if output.json {
                output.value(&json!({ "id": id, "revoked": true }))?;
            } else {
                output.line(&format!("{id} opens nothing any more"))?;
            }
        }
    }
    Ok(Exit::Ok)
}
