//! `offpeak person`, and what `offpeak operator` does the same way.

use std::time::Duration;

use clap::Subcommand;
use offpeak_domain::audit::Action;
use offpeak_domain::id::{LinkId, Minter, PersonId, TenantId};
use offpeak_domain::person::is_name;
use offpeak_domain::scope::Role;
use offpeak_domain::secret::LinkSecret;
use offpeak_store::System;
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::person::{self, Link, New, Standing};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{database, system, tenant_named};
use crate::client::Target;
use crate::config::Config;
use crate::entropy;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};

/// How long a link holds, unless said.
pub(super) const LINK_HOLDS: &str = "24h";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let somebody sign in, by a link that opens once; again for another link or role
    Invite {
        /// The tenant's name
        tenant: String,
        /// How they are called, mostly by an address
        name: String,
        /// What they may do: viewer, member or admin
        #[arg(long, default_value = "member")]
        role: Role,
        /// How long the link holds
        #[arg(long, value_name = "TIME", default_value = LINK_HOLDS,
              value_parser = crate::config::length)]
        expires_in: Duration,
    },
    /// List a tenant's people
    List {
        /// The tenant's name
        tenant: String,
    },
    /// End what somebody has open, and let them in no more
    Remove {
        /// The tenant's name
        tenant: String,
        /// `per_…`
        id: PersonId,
    },
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    match command {
        Command::Invite {
            tenant,
            name,
            role,
            expires_in,
        } => {
            let tenant = tenant_named(&system, &tenant).await?;
            let who = (name.as_str(), Standing::Of(role));
            invite(&system, tenant.id, who, expires_in, config, output).await
        }
        Command::List { tenant } => {
            let tenant = tenant_named(&system, &tenant).await?;
            list(&system, tenant.id, output).await
        }
        Command::Remove { tenant, id } => {
            let tenant = tenant_named(&system, &tenant).await?;
            remove(&system, tenant.id, id, output).await
        }
    }
}

/// Makes a link for somebody and shows it, once.
pub(super) async fn invite(
    system: &System,
    tenant: TenantId,
    (name, standing): (&str, Standing),
    lifetime: Duration,
    config: &Config,
    output: Output,
) -> Ended {
    if !is_name(name) {
        return Err(Failure::usage(anyhow::anyhow!(
            "a name is one line of 1 to 256 characters, without blanks at its ends"
        )));
    }
    let secret = LinkSecret::generate(entropy::source().map_err(Failure::usage)?);
    let mut tx = system.begin().await.map_err(database)?;
    let mut minter = Minter::new(tx.now(), entropy::source().map_err(Failure::usage)?);
    let (person, link): (PersonId, LinkId) = (minter.mint(), minter.mint());
    let new = New {
        id: person,
        name,
        standing,
    };
    let link = Link {
        id: link,
        digest: &secret.digest(),
        lifetime,
    };
    let (id, expires_at) = person::invite(&mut tx, tenant, &new, &link)
        .await
        .map_err(database)?;
    let act = Act {
        action: Action::PersonInvite,
        target: &id.to_string(),
        detail: role(standing),
    };
    audit::note_of(&mut tx, tenant, &Actor::command(), &act)
        .await
        .map_err(database)?;
    tx.commit().await.map_err(database)?;
    let url = format!("{}/sign-in#{}", pages(config), secret.expose());
    if output.json {
        let expires_at = expires_at.format(&Rfc3339).unwrap_or_default();
        output.value(&json!({ "id": id, "link": url, "expires_at": expires_at }))?;
    } else {
        output.line(&url)?;
        output.talk(&format!(
            "{id} signs in by it, once, until {} UTC; it is not shown again",
            moment(expires_at)
        ));
    }
    Ok(Exit::Ok)
}

fn role(standing: Standing) -> &'static str {
    match standing {
        Standing::Of(role) => role.as_str(),
        Standing::Operator => "operator",
    }
}

/// Where browsers reach the server, as far as this machine knows.
fn pages(config: &Config) -> String {
    match &config.server.public_url {
        Some(origin) => origin.as_str().to_owned(),
        None => Target::running(&config.dev.data).map_or_else(
            || format!("http://{}", config.server.listen),
            |target| target.url,
        ),
    }
}

pub(super) async fn list(system: &System, tenant: TenantId, output: Output) -> Ended {
    let mut tx = system.begin().await.map_err(database)?;
    let people = person::list(&mut tx, tenant).await.map_err(database)?;
    if output.json {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let rows: Vec<_> = people
            .iter()
            .map(|one| {
                json!({
                    "id": one.id,
                    "name": one.name,
                    "role": role(one.standing),
                    "created_at": text(one.created_at),
                    "last_seen_at": one.last_seen_at.map(text),
                })
            })
            .collect();
        output.value(&rows)?;
    } else {
        let rows: Vec<Vec<String>> = people
            .iter()
            .map(|one| {
                vec![
                    one.id.to_string(),
                    one.name.clone(),
                    role(one.standing).to_owned(),
                    moment(one.created_at),
                    one.last_seen_at.map(moment).unwrap_or_default(),
                ]
            })
            .collect();
        output.table(&["PERSON", "NAME", "ROLE", "CREATED", "LAST SEEN"], &rows)?;
    }
    Ok(Exit::Ok)
}

pub(super) async fn remove(
    system: &System,
    tenant: TenantId,
    id: PersonId,
    output: Output,
) -> Ended {
    let mut tx = system.begin().await.map_err(database)?;
    let done = person::remove(&mut tx, tenant, id)
        .await
        .map_err(database)?;
    if done {
        let act = Act {
            action: Action::PersonRemove,
            target: &id.to_string(),
            detail: "",
        };
        audit::note_of(&mut tx, tenant, &Actor::command(), &act)
            .await
            .map_err(database)?;
    }
    tx.commit().await.map_err(database)?;
    if !done {
        return Err(Failure::usage(anyhow::anyhow!("there is nobody {id} here")));
    }
    if output.json {
        output.value(&json!({ "id": id, "removed": true }))?;
    } else {
        output.line(&format!("nothing opens for {id} any more"))?;
    }
    Ok(Exit::Ok)
}
