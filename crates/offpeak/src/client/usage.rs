//! `offpeak usage`: tokens and money by day, model and type.

use offpeak_wire::{UsageReport, UsageTotal};

use super::http::{Client, encode};
use super::pretend;
use crate::exit::{Ended, Exit};
use crate::output::{Output, count, sums};

/// Arguments of `usage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First day (UTC), as 2026-02-03
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day, included
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// What makes a row: day, model, type, user; several with commas
    #[arg(long, value_name = "COLUMNS")]
    by: Option<String>,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let mut query = Vec::new();
    query.extend(args.from.map(|day| ("from", day)));
    query.extend(args.to.map(|day| ("to", day)));
    query.extend(args.by.map(|by| ("by", by)));
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
            cells.extend(numbers(&row.total));
            cells
        })
        .collect();
    let mut last = vec![
        "total".to_owned(),
        String::new(),
        String::new(),
        String::new(),
    ];
    last.extend(numbers(&report.total));
    rows.push(last);
    output.talk(&format!("{} to {}", report.from, report.to));
    output.table(
        &[
            "DAY",
            "MODEL",
            "TYPE",
            "USER",
            ">ATTEMPTS",
            ">INPUT",
            ">OUTPUT",
            ">COST",
            ">SYNC",
            ">SAVED",
        ],
        &rows,
    )?;
    if report.total.attempts > 0 {
        pretend::ask(client, output).await?;
    }
    Ok(Exit::Ok)
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
