//! `offpeak reconcile`.

use std::time::Duration;

use clap::Args as Arguments;
use offpeak_domain::comparison::{Cause, Database};
use offpeak_store::comparison::{self, Shown};
use offpeak_store::hold::{self, Hold};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{database, system};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};

/// Shown at most.
const MOST: i64 = 1000;
/// Anthropic keeps results so long: what is older cannot be told any more.
const KEPT: Duration = Duration::from_hours(29 * 24);

#[derive(Debug, Arguments)]
pub struct Args {
    /// Send nothing before everything that Anthropic lists was compared anew: after the database
    /// was set back to an older state in a way that it cannot see itself, such as a disk snapshot
    #[arg(long)]
    again: bool,
    /// Let go of the jobs that this message batch holds back, after you have made sure that it
    /// holds none of them
    #[arg(long, value_name = "MESSAGE BATCH", conflicts_with = "again")]
    release: Option<String>,
}

pub(super) async fn run(args: Args, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    if let Some(id) = args.release {
        if !hold::release(&system, &id).await.map_err(database)? {
            return Err(Failure::usage(anyhow::anyhow!(
                "no message batch {id} holds anything back"
            )));
        }
        if output.json {
            output.value(&json!({ "message_batch": id, "released": true }))?;
        } else {
            output.line(&format!("{id} holds nothing back any more"))?;
        }
        return Ok(Exit::Ok);
    }
    if args.again {
        let now = system.now().await.map_err(database)?;
        let upstreams = comparison::again(&system, now - KEPT)
            .await
            .map_err(database)?;
        if !output.json {
            output.talk(&format!(
                "upstreams that are compared anew before anything is sent: {upstreams}"
            ));
        }
    }
    let present = comparison::present(&system).await.map_err(database)?;
    let upstreams = comparison::all(&system).await.map_err(database)?;
    let holds = hold::all(&system, MOST).await.map_err(database)?;
    if output.json {
        output.value(&json!({
            "incarnation": present.incarnation,
            "server_started_at": text(present.started_at),
            "upstreams": upstreams.iter().map(|one| as_json(one, &present)).collect::<Vec<_>>(),
            "holds": holds.iter().map(hold_as_json).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = upstreams
        .iter()
        .map(|one| {
            let last = one.compared_at.map(moment).unwrap_or_default();
            vec![one.name.clone(), state(one, &present), last]
        })
        .collect();
    output.table(&["UPSTREAM", "STATE", "LAST COMPARED (UTC)"], &rows)?;
    if !holds.is_empty() {
        let rows: Vec<Vec<String>> = holds
            .iter()
            .map(|hold| {
                vec![
                    hold.upstream_batch_id.clone(),
                    moment(hold.created_at),
                    moment(hold.first_free.minted_at()),
                ]
            })
            .collect();
        output.table(
            &["HELD FOR", "CREATED (UTC)", "JOBS FROM BEFORE (UTC)"],
            &rows,
        )?;
        output.talk(
            "These message batches are not known here and may hold jobs from before them, which \
             wait until they have ended. `offpeak reconcile --release ID` lets go of one that you \
             know to hold none.",
        );
    }
    Ok(Exit::Ok)
}

/// How far an upstream is, for a person.
pub(super) fn state(one: &Shown, present: &Database) -> String {
    let Some(standing) = &one.standing else {
        return "no worker has begun yet".to_owned();
    };
    if standing.compared.as_ref() == Some(present) {
        return "compared".to_owned();
    }
    let Some(under_way) = &standing.under_way else {
        return "to be compared: nothing is sent before; does a worker run?".to_owned();
    };
    let why = match under_way.cause {
        Cause::Changed => "the database is another one",
        Cause::Asked => "you asked for it",
        Cause::Restarted => "the database's server was restarted",
    };
    format!(
        "being compared since {}, listings {}: {why}; nothing is sent before",
        moment(under_way.noticed_at),
        under_way.listings
    )
}

/// Whether something keeps this upstream's list from counting as compared.
pub(super) fn is_compared(one: &Shown, present: &Database) -> bool {
    one.standing
        .as_ref()
        .is_none_or(|standing| standing.compared.as_ref() == Some(present))
}

fn as_json(one: &Shown, present: &Database) -> Value {
    let under_way = one
        .standing
        .as_ref()
        .and_then(|standing| standing.under_way.as_ref());
    json!({
        "upstream": one.upstream,
        "name": one.name,
        "compared": is_compared(one, present),
        "compared_at": one.compared_at.map(text),
        "alive_at": one.standing.as_ref().map(|standing| text(standing.alive_at)),
        "cause": under_way.map(|under_way| under_way.cause),
        "since": under_way.map(|under_way| text(under_way.noticed_at)),
        "listings": under_way.map(|under_way| under_way.listings),
    })
}

fn hold_as_json(hold: &Hold) -> Value {
    json!({
        "upstream": hold.upstream,
        "message_batch": hold.upstream_batch_id,
        "created_at": text(hold.created_at),
        "holds_jobs_before": text(hold.first_free.minted_at()),
    })
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
