//! `offpeak vault`: the master keys.

use std::time::Instant;

use clap::Subcommand;
use offpeak_domain::vault;
use offpeak_store::data_key;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{database, system};
use crate::config::Config;
use crate::entropy;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, count};

/// Data keys of one transaction.
const CHUNK: i64 = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a master key and print it as `id:key`, for the file or the value of [vault]
    Key {
        /// By which it is told from others: lowercase letters, digits, `-` and `_`
        id: String,
    },
    /// Show which master keys are in use, and which may be taken away
    Status,
    /// Wrap every tenant's data key with the current master key, which is the first one in
    /// [vault]; the others stay there until this has ended. Work goes on meanwhile
    Rotate,
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    match command {
        Command::Key { id } => key(&id, output),
        Command::Status => status(config, output).await,
        Command::Rotate => rotate(config, output).await,
    }
}

fn key(id: &str, output: Output) -> Ended {
    let random = entropy::source().map_err(Failure::server)?;
    let Some(key) = vault::generate(id, random) else {
        return Err(Failure::usage(anyhow::anyhow!(
            "a master key's id has 1 to 40 lowercase letters, digits, `-` and `_`; {id:?} does \
             not fit"
        )));
    };
    if output.json {
        output.value(&json!({ "id": id, "key": key.expose_secret() }))?;
    } else {
        output.line(key.expose_secret())?;
        output.talk(
            "keep a copy where backups of the database are not: without it nothing that it \
             encrypts can be read",
        );
    }
    Ok(Exit::Ok)
}

async fn status(config: &Config, output: Output) -> Ended {
    let vault = config.vault.open().map_err(Failure::usage)?;
    let system = system(config)?;
    let uses = data_key::uses(&system).await.map_err(database)?;
    let given: Vec<&str> = vault.iter().flat_map(|vault| vault.ids()).collect();
    let mut rows: Vec<(String, u64, &str)> = Vec::new();
    for used in &uses {
        let (tenant, wrapped) = &used.sample;
        let state = match vault.as_deref().map(|vault| vault.unwrap(*tenant, wrapped)) {
            Some(Ok(_)) if given.first() == Some(&used.master.as_str()) => "current",
            Some(Ok(_)) => "in use: `offpeak vault rotate` ends that",
            None | Some(Err(vault::Error::NoMaster(_))) => "missing in [vault]",
            Some(Err(_)) => "another key than the one that it was",
        };
        rows.push((used.master.clone(), used.keys, state));
    }
    for (place, id) in given.iter().enumerate() {
        if !uses.iter().any(|used| used.master == *id) {
            let state = if place == 0 {
                "current"
            } else {
                "not in use: may be taken away"
            };
            rows.push(((*id).to_owned(), 0, state));
        }
    }
    let bad = rows.iter().any(|(_, _, state)| {
        *state == "missing in [vault]" || *state == "another key than the one that it was"
    });
    if output.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, keys, state)| json!({ "id": id, "data_keys": keys, "state": state }))
            .collect();
        output.value(&rows)?;
    } else if rows.is_empty() {
        output.talk("no master keys, and nothing is encrypted");
    } else {
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(id, keys, state)| vec![id, count(keys), state.to_owned()])
            .collect();
        output.table(&["MASTER KEY", ">DATA KEYS", "STATE"], &rows)?;
    }
    Ok(if bad { Exit::SomeFailed } else { Exit::Ok })
}

async fn rotate(config: &Config, output: Output) -> Ended {
    let vault = config.vault.open().map_err(Failure::usage)?;
    let vault = vault.ok_or_else(|| {
        Failure::usage(anyhow::anyhow!(
            "no master keys: set file or keys in [vault], the new one first and the old one \
             after it"
        ))
    })?;
    let system = system(config)?;
    let begun = Instant::now();
    let mut random = entropy::source().map_err(Failure::server)?;
    let (mut wrapped, mut after) = (0, None);
    loop {
        let step = data_key::rewrap_some(&system, &vault, after, CHUNK, &mut random)
            .await
            .map_err(database)?;
        wrapped += step.wrapped;
        match step.last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let left: u64 = data_key::uses(&system)
        .await
        .map_err(database)?
        .iter()
        .filter(|used| used.master != vault.current())
        .map(|used| used.keys)
        .sum();
    if output.json {
        output.value(&json!({
            "master": vault.current(),
            "wrapped": wrapped,
            "left": left,
            "seconds": (seconds * 1e3).round() / 1e3,
        }))?;
    } else {
        output.line(&format!(
            "{} data keys are wrapped by {:?} now, in {seconds:.2} s",
            count(wrapped),
            vault.current()
        ))?;
        if left == 0 {
            output.talk("nothing needs another master key any more: take the others away");
        } else {
            output.talk(&format!(
                "{left} were made meanwhile by another one: run this again"
            ));
        }
    }
    Ok(if left == 0 {
        Exit::Ok
    } else {
        Exit::SomeFailed
    })
}
