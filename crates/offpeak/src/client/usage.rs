//! `offpeak usage`: tokens and money by day, model, type, user and lane, and what
//! saved it.

use offpeak_wire::{UsageReport, UsageTotal};

use super::http::{Client, encode};
use super::pretend;
use crate::exit::{Ended, Exit};
use crate::output::{Output, count, shares, sums, word};

/// Arguments of `usage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First day (UTC), as 2026-02-03
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day, included
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// What makes a row: day, model, type, user, lane; several with commas
    #[arg(long, value_name = "COLUMNS")]
    by: Option<String>,
    /// Print CSV: every row, exact amounts, without the total
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let mut query = Vec::new();
    query.extend(args.from.map(|day| ("from", day)));
    query.extend(args.to.map(|day| ("to", day)));
    query.extend(args.by.map(|by| ("by", by)));
    if args.csv {
        query.push(("format", "csv".to_owned()));
        let path = format!("/v1/usage?{}", encode(&query));
        client.copy(&path, output).await?;
        return Ok(Exit::Ok);
    }
    let report: UsageReport = client.get(&format!("/v1/usage?{}", encode(&query))).await?;
    if output.json {
        output.value(&report)?;
        return Ok(Exit::Ok);
    }
    let mut rows: Vec<Vec<String>> = report
        .rows
        .iter()
        .map(|row| {
            let mut cells = vec![
                row.day.map(|day| day.to_string()).unwrap_or_default(),
                row.model.clone().unwrap_or_default(),
                row.r#type.clone().unwrap_or_default(),
                row.user.clone().unwrap_or_default(),
            ];
            cells.extend(row.lane.as_ref().map(word));
            cells.extend(numbers(&row.total));
            cells
        })
        .collect();
    let mut headings = vec!["DAY", "MODEL", "TYPE", "USER"];
    headings.extend(
        report
            .rows
            .iter()
            .any(|row| row.lane.is_some())
            .then_some("LANE"),
    );
    let mut last = vec![String::new(); headings.len()];
    "total".clone_into(&mut last[0]);
    last.extend(numbers(&report.total));
    rows.push(last);
    headings.extend([">ATTEMPTS", ">INPUT", ">OUTPUT", ">COST", ">SYNC", ">SAVED"]);
    output.talk(&format!("{} to {}", report.from, report.to));
    output.table(&headings, &rows)?;
    if report.total.attempts > 0 {
        output.line("")?;
        sources(&report.total, output)?;
        pretend::ask(client, output).await?;
    }
    Ok(Exit::Ok)
}

/// What the saving in all came from.
fn sources(total: &UsageTotal, output: Output) -> std::io::Result<()> {
    let parts = [&total.saved_batch, &total.saved_cache, &total.saved_reuse];
    let [batch, cache, reuse] = shares(&total.cost, &total.cost_sync, parts.map(String::as_str));
    let mut rows = vec![
        ("saved by", String::new()),
        ("  batches", batch),
        ("  caching", cache),
        ("  reuse", reuse),
    ];
    if total.unpriced > 0 {
        let of_all = format!("{} of {}", count(total.unpriced), count(total.attempts));
        rows.push((
            "no price",
            format!("{of_all} attempts; no amount has them in it"),
        ));
    }
    for (name, value) in rows {
        output.line(format!("{name:<14} {value}").trim_end())?;
    }
    Ok(())
}

fn numbers(total: &UsageTotal) -> [String; 6] {
    let input = total.input_tokens + total.cache_write_tokens + total.cache_read_tokens;
    let [cost, sync, saved] = sums(&total.cost, &total.cost_sync, &total.saved);
    [
        count(total.attempts),
        count(input),
        count(total.output_tokens),
        cost,
        sync,
        saved,
    ]
}
