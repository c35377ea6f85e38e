//! `offpeak batches`: what went to Anthropic together, and what its cache did.

use offpeak_wire::{Batch, BatchCache};

use super::http::Client;
use super::pretend;
use crate::exit::{Ended, Exit};
use crate::output::{Output, count, moment, word};

/// Arguments of `batches`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// At most so many, newest first
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let batches: Vec<Batch> = client.list("/v1/batches", &[], args.limit).await?;
    if output.json {
        output.value(&batches)?;
        return Ok(Exit::Ok);
    }
    if batches.is_empty() {
        output.talk("no batches");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = batches.iter().map(row).collect();
    output.table(
        &[
            "BATCH",
            "PLANNED (UTC)",
            "STATE",
            ">JOBS",
            "CLOSED BY",
            "CACHE",
            "WHY",
            ">EXPECTED",
            ">FOUND",
        ],
        &rows,
    )?;
    pretend::ask(client, output).await?;
    Ok(Exit::Ok)
}

fn row(batch: &Batch) -> Vec<String> {
    let cache = batch.cache.as_ref();
    let of = |f: fn(&BatchCache) -> String| cache.map(f).unwrap_or_default();
    vec![
        batch.id.clone(),
        moment(batch.planned_at),
        word(&batch.state),
        count(batch.items),
        word(&batch.close_reason),
        of(|cache| word(&cache.mark)),
        of(|cache| word(&cache.reason)),
        of(|cache| percent(&cache.predicted_hit_rate)),
        of(|cache| {
            cache
                .real_hit_rate
                .as_deref()
                .map(percent)
                .unwrap_or_default()
        }),
    ]
}

/// A part of 1 for a person: `0.643` is `64 %`.
fn percent(part: &str) -> String {
    let Some((whole, digits)) = part.split_once('.') else {
        return part.to_owned();
    };
    let hundredths: String = digits.chars().chain("00".chars()).take(2).collect();
    let digits = format!("{whole}{hundredths}");
    let digits = digits.trim_start_matches('0');
    format!("{} %", if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn parts_for_a_person() {
        let parts = ["0.643", "0.000", "1.000", "0.059", "0.5"].map(percent);
        assert_eq!(parts, ["64 %", "0 %", "100 %", "5 %", "50 %"]);
    }
}
