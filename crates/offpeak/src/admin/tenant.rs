//! `offpeak tenant`.

use clap::Subcommand;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{database, system};
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

/// The database's own rule, so that breaking it is told before.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(fits)
        && name.bytes().all(|byte| fits(byte) || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn knows_what_the_database_takes() {
        assert!(is_name("acme-2_b"));
        assert!(is_name(&"a".repeat(63)));
        for wrong in ["", "-a", "Acme", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
