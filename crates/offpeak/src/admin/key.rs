//! `offpeak key`.

use std::time::Duration;

use clap::Subcommand;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::audit::Action;
use offpeak_domain::id::KeyId;
use offpeak_domain::scope::{Scope, Scopes};
use offpeak_store::audit::{self, Act, Actor};
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
        /// What it may do, several by commas: jobs:read, results:read, jobs:write,
        /// settings:manage, keys:manage; all of it unless said
        #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// After which time it opens nothing, as in 90d; never unless said
        #[arg(long, value_name = "TIME", value_parser = crate::config::length)]
        expires_in: Option<Duration>,
    },
    /// Make another key like it, and let the old one end after an overlap
    Rotate {
        /// The tenant's name
        tenant: String,
        /// `key_…`
        id: KeyId,
        /// How long both keys open the same
        #[arg(long, value_name = "TIME", default_value = "24h",
              value_parser = crate::config::length)]
        overlap: Duration,
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

/// In one word where it is all of them.
fn scopes(scopes: Scopes) -> String {
    if scopes == Scopes::all() {
        return "all".to_owned();
    }
    scopes.words().join(" ")
}

/// Shows a key, once.
fn tell(output: Output, id: KeyId, key: &ApiKey, tenant: &str) -> Result<(), Failure> {
    if output.json {
        output.value(&json!({ "id": id, "key": key.expose() }))?;
    } else {
        output.line(key.expose())?;
        output.talk(&format!("{id} for {tenant}; it is not shown again"));
    }
    Ok(())
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    match command {
        Command::Create {
            tenant,
            name,
            scopes,
            expires_in,
        } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let scopes = if scopes.is_empty() {
                Scopes::all()
            } else {
                scopes.into_iter().collect()
            };
            let (id, key) = seed::new_scoped_key(&system, tenant.id, &name, scopes, expires_in)
                .await
                .map_err(database)?;
            tell(output, id, &key, &tenant.name)?;
        }
        Command::Rotate {
            tenant,
            id,
            overlap,
        } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let (new, key) = seed::rotated_key(&system, tenant.id, id, overlap)
                .await
                .map_err(database)?
                .ok_or_else(|| {
                    Failure::usage(anyhow::anyhow!(
                        "{} has no key {id} that is in force and was not rotated before",
                        tenant.name
                    ))
                })?;
            tell(output, new, &key, &tenant.name)?;
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
                            "scopes": one.scopes.words(),
                            "expires_at": one.expires_at.map(text),
                            "rotated_to": one.rotated_to,
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
                            scopes(one.scopes),
                            shown(one.expires_at),
                            shown(one.revoked_at),
                        ]
                    })
                    .collect();
                output.table(
                    &[
                        "KEY",
                        "HINT",
                        "NAME",
                        "CREATED",
                        "LAST USED",
                        "SCOPES",
                        "EXPIRES",
                        "REVOKED",
                    ],
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
            if done {
                let act = Act {
                    action: Action::KeyRevoke,
                    target: &id.to_string(),
                    detail: "",
                };
                audit::note_of(&mut tx, tenant.id, &Actor::command(), &act)
                    .await
                    .map_err(database)?;
            }
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
