//! `offpeak incidents`.

use clap::Args as Arguments;
use offpeak_domain::id::IncidentId;
use offpeak_domain::incident::Kind;
use offpeak_domain::money::Pico;
use offpeak_store::incident::{self, Incident};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{database, system};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, moment};

/// Shown at most.
const MOST: i64 = 1000;

#[derive(Debug, Arguments)]
pub struct Args {
    /// Those that are resolved, too
    #[arg(long)]
    all: bool,
    /// Say that this one is dealt with: `inc_…`
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    resolve: Option<IncidentId>,
}

pub(super) async fn run(args: Args, config: &Config, output: Output) -> Ended {
    let system = system(config)?;
    if let Some(id) = args.resolve {
        if !incident::resolve(&system, id).await.map_err(database)? {
            return Err(Failure::usage(anyhow::anyhow!(
                "there is no open incident {id}"
            )));
        }
        if output.json {
            output.value(&json!({ "id": id, "resolved": true }))?;
        } else {
            output.line(&format!("{id} is resolved"))?;
        }
        return Ok(Exit::Ok);
    }
    let incidents = incident::list(&system, args.all, MOST)
        .await
        .map_err(database)?;
    if output.json {
        let rows: Vec<_> = incidents.iter().map(as_json).collect();
        output.value(&rows)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = incidents.iter().map(as_row).collect();
    output.table(
        &[
            "INCIDENT",
            "KIND",
            "SINCE (UTC)",
            "MESSAGE BATCH",
            ">ABSORBED",
            "DETAIL",
        ],
        &rows,
    )?;
    let mut kinds: Vec<&str> = incidents.iter().map(|one| one.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds.iter().filter_map(|word| word.parse::<Kind>().ok()) {
        output.talk(&format!("{kind}: {}", kind.text()));
    }
    Ok(Exit::Ok)
}

fn as_row(one: &Incident) -> Vec<String> {
    let absorbed = if one.absorbed == Pico::ZERO {
        String::new()
    } else {
        crate::output::money(&one.absorbed.to_usd_string())
    };
    let mut detail = one.detail.clone();
    if of_lines(one) {
        let lines = one.flawed_lines;
        detail = format!("{detail} (flawed lines of the batch: {lines})");
    }
    if one.absorbed_unpriced > 0 {
        let lines = one.absorbed_unpriced;
        detail = format!("{detail} (absorbed lines without a known price: {lines})");
    }
    if let Some(at) = one.resolved_at {
        detail = format!("resolved {}; {detail}", moment(at));
    }
    vec![
        one.id.to_string(),
        one.kind.clone(),
        moment(one.at),
        one.upstream_batch_id.clone().unwrap_or_default(),
        absorbed,
        detail,
    ]
}

/// Whether it is about lines that were put aside. Their number is known once the
/// batch was read to its end.
fn of_lines(one: &Incident) -> bool {
    let kind = one.kind.parse();
    matches!(kind, Ok(Kind::QuarantinedLine | Kind::ConflictingLine)) && one.flawed_lines > 0
}

fn as_json(one: &Incident) -> Value {
    let text = |at: time::OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": one.id,
        "kind": one.kind,
        "at": text(one.at),
        "upstream": one.upstream,
        "tenant": one.tenant,
        "batch": one.batch,
        "message_batch": one.upstream_batch_id,
        "detail": one.detail,
        "meaning": one.kind.parse::<Kind>().ok().map(Kind::text),
        "absorbed": one.absorbed,
        "absorbed_sync": one.absorbed_sync,
        "absorbed_unpriced": one.absorbed_unpriced,
        "flawed_lines": one.flawed_lines,
        "resolved_at": one.resolved_at.map(text),
    })
}
