//! Writes docs/performance.md from the lines that the benches kept: each goal
//! beside its figure, and a bench that has not run as such. What stands from the
//! heading about limits on is written by hand, and stays.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use offpeak_bench::cluster::folder;
use offpeak_bench::print;
use serde_json::Value;
use time::OffsetDateTime;

/// Bench, key, goal, and whether the figure is to be at least that.
const GOALS: &[(&str, &str, f64, bool)] = &[
    ("bulk", "bulk_over_copy", 0.5, true),
    ("bulk", "server_rss_growth_mb", 8.0, false),
    ("bulk", "single_over_insert_1", 3.0, false),
    ("bulk", "single_over_insert_50", 3.0, false),
    ("submit", "extra_rss_mb", 64.0, false),
    ("ingest", "ingest_over_copy", 0.4, true),
    ("ingest", "extra_rss_mb", 64.0, false),
    ("claim", "full_over_empty", 1.5, false),
    ("claim", "full_over_empty_with_read", 1.5, false),
    ("life", "pg_cpu_ms_per_job", 0.25, false),
    ("life", "wal_bytes_per_job", 6_000.0, false),
    ("life", "updates_per_job", 0.1, false),
    ("list", "first_page_worst_ms", 20.0, false),
    ("list", "counts_ms", 20.0, false),
    ("bill", "offpeak_over_sync_low", 0.50, false),
    ("bill", "offpeak_over_sync_mid", 0.42, false),
    ("bill", "deadlines_missed", 0.0, false),
    ("idle", "queries_per_second", 2.0, false),
    ("idle", "mb", 60.0, false),
    ("idle", "list_calls_per_hour", 120.0, false),
    ("live", "p99_ms", 250.0, false),
    ("live", "enqueue_loss", 0.05, false),
    ("live", "kb_per_socket", 40.0, false),
    ("live", "abuse_p99_ms", 250.0, false),
    ("live", "abuse_connects_per_s", 5_000.0, true),
    ("slow", "p99_ratio", 2.0, false),
    ("plan", "deadlines_missed", 0.0, false),
    ("plan", "mean_over_best", 1.1, false),
    ("vault", "overhead_percent", 10.0, false),
    ("fair", "p99_beside_over_alone", 1.2, false),
    ("fair", "real_over_flush_s", 5.0, false),
    ("fair", "real_p99_beside_over_alone", 1.2, false),
];

const BEGINNING: &str = "\
# Performance

The tables are written by `make bench-report`, from the line that each bench ends with: run
`make bench` for all of them, or `make bench-list` and so on for one, on a machine that does nothing
else. What limits a figure stands below them, by hand.

A figure is the median of its samples, unless its name says otherwise (a worst, a mean) or it is a
ratio of two medians (`full_over_empty`); the spread goes from the smallest sample to the largest.
Both sides of a ratio were measured in one run, on one cluster (`bench-claim` has two: a full one and
a fresh one); a ratio says more than a rate, which belongs to the machine. PostgreSQL is a private
one with all its safety on. What is uploaded, sent and read is cut from real texts, no two pieces the
same within a round; `bench-claim`, `bench-list`, `bench-idle` and `bench-live`
measure rows, not texts. A job's life
(`bench-life`) begins with uploads of a thousand lines. Reading results (`bench-ingest`) means result,
output, ledger, counts, events and the row in flight; COPY, beside it, writes the first three.
";

/// From here on the page is somebody's own.
const BY_HAND: &str = "## What limits them";

fn main() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    let by_hand = before
        .find(BY_HAND)
        .map_or_else(|| format!("{BY_HAND}\n"), |at| before[at..].to_owned());
    let mut kept: Vec<Kept> = Vec::new();
    for (bench, ..) in GOALS {
        if kept.iter().all(|one| one.bench != *bench) {
            kept.push(Kept::read(bench)?);
        }
    }
    let text = format!(
        "{BEGINNING}\nMachine: {}.\n\n{}\n## What else they say\n\n{}\n{by_hand}",
        machine(),
        goals(&kept, &before)?,
        rest(&kept, &before)?
    );
    std::fs::write(&page, &text)?;
    print(text);
    Ok(())
}

/// What a bench kept.
struct Kept {
    bench: &'static str,
    /// Nothing, if it has not run.
    line: Value,
    day: String,
}

impl Kept {
    fn read(bench: &'static str) -> Result<Self> {
        let file = folder()?.join(format!("{bench}.json"));
        let (line, day) = match std::fs::read_to_string(&file) {
            Ok(line) => {
                let written = OffsetDateTime::from(file.metadata()?.modified()?);
                (serde_json::from_str(&line)?, written.date().to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                (Value::Null, String::new())
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { bench, line, day })
    }

    fn spread(&self, key: &str) -> String {
        match (&self.line["samples"][key], &self.line["spread"][key]) {
            (Value::Null, _) => "1 | ".to_owned(),
            (count, spread) => format!("{count} | {} to {}", spread[0], spread[1]),
        }
    }
}

/// What the page said before of a figure whose bench was not run here.
fn said<'a>(before: &'a str, begin: &str) -> Option<&'a str> {
    before.lines().find(|row| row.starts_with(begin))
}

fn goals(kept: &[Kept], before: &str) -> Result<String> {
    let mut text = String::from(
        "| command | figure | measured | goal | reached | samples | spread | day |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (bench, key, goal, at_least) in GOALS {
        let sign = if *at_least { "≥" } else { "≤" };
        let begin = format!("| `make bench-{bench}` | `{key}` |");
        let found = kept.iter().find(|one| one.bench == *bench);
        let figure = found.and_then(|one| Some((one, one.line[key].as_f64()?)));
        let Some((one, figure)) = figure else {
            if let Some(row) = said(before, &begin) {
                writeln!(text, "{row}")?;
                continue;
            }
            writeln!(text, "{begin} not yet | {sign} {goal} | | | | |")?;
            continue;
        };
        let reached = if *at_least {
            figure >= *goal
        } else {
            figure <= *goal
        };
        let reached = if reached { "yes" } else { "no" };
        writeln!(
            text,
            "{begin} {figure} | {sign} {goal} | {reached} | {} | {} |",
            one.spread(key),
            one.day
        )?;
    }
    Ok(text)
}

/// Rates, sizes, and what a ratio was made of.
fn rest(kept: &[Kept], before: &str) -> Result<String> {
    let mut text = String::from(
        "| command | value | measured | samples | spread |\n| --- | --- | --- | --- | --- |\n",
    );
    let old = before.split("## What else they say").nth(1).unwrap_or("");
    for one in kept {
        if one.line.is_null() {
            let begin = format!("| `make bench-{}` |", one.bench);
            for row in old.lines().filter(|row| row.starts_with(&begin)) {
                writeln!(text, "{row}")?;
            }
        }
        for (key, value) in one.line.as_object().into_iter().flatten() {
            let is_goal = GOALS
                .iter()
                .any(|goal| (goal.0, goal.1) == (one.bench, key));
            if value.is_number() && !is_goal {
                let (bench, spread) = (one.bench, one.spread(key));
                writeln!(
                    text,
                    "| `make bench-{bench}` | `{key}` | {value} | {spread} |"
                )?;
            }
        }
    }
    Ok(text)
}

/// The processor, its cores, the memory.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|rest| {
                rest.trim_matches(|c: char| c == ':' || c.is_whitespace())
                    .to_owned()
            })
            .unwrap_or_default()
    };
    let cores = cpu.matches("processor\t").count();
    let kilobytes = field(&memory, "MemTotal");
    let gigabytes = kilobytes
        .split(' ')
        .next()
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes >> 20);
    format!(
        "{cores} cores, {}, {gigabytes} GB of memory",
        field(&cpu, "model name"),
    )
}

#[cfg(test)]
mod tests {
    use super::GOALS;

    #[test]
    fn every_goal_is_a_key_that_its_bench_writes() {
        let source = |bench| match bench {
            "bulk" => include_str!("bulk.rs"),
            "submit" => include_str!("submit.rs"),
            "ingest" => include_str!("ingest.rs"),
            "claim" => include_str!("claim.rs"),
            "life" => include_str!("life.rs"),
            "list" => include_str!("list.rs"),
            "idle" => include_str!("idle.rs"),
            "live" => include_str!("live.rs"),
            "slow" => include_str!("slow.rs"),
            "plan" => include_str!("plan.rs"),
            "bill" => include_str!("bill.rs"),
            "fair" => include_str!("fair.rs"),
            "vault" => include_str!("vault.rs"),
            _ => "",
        };
        for (bench, key, ..) in GOALS {
            // Some keys end in a number that the bench puts in.
            let key = key.trim_end_matches(|c: char| c.is_ascii_digit());
            assert!(
                source(*bench).contains(&format!("\"{key}")),
                "{bench} {key}"
            );
        }
    }
}
