//! Writes docs/performance.md from the lines that the benches kept: each goal
//! beside its figure, and a bench that has not run as such.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use offpeak_bench::cluster::folder;
use offpeak_bench::print;
use serde_json::Value;

/// Bench, key, goal, and whether the figure is to be at least that.
const GOALS: &[(&str, &str, f64, bool)] = &[
    ("bulk", "bulk_over_copy", 0.5, true),
    ("bulk", "single_over_insert_1", 3.0, false),
    ("bulk", "single_over_insert_50", 3.0, false),
    ("submit", "extra_rss_mb", 64.0, false),
    ("ingest", "ingest_over_copy", 0.4, true),
    ("ingest", "extra_rss_mb", 64.0, false),
    ("claim", "full_over_empty", 1.5, false),
    ("life", "pg_cpu_ms_per_job", 0.25, false),
    ("life", "wal_bytes_per_job", 6_000.0, false),
    ("life", "updates_per_job", 0.1, false),
    ("list", "first_page_worst_ms", 20.0, false),
    ("list", "counts_ms", 20.0, false),
    ("idle", "queries_per_second", 2.0, false),
    ("idle", "mb", 60.0, false),
    ("idle", "list_calls_per_hour", 120.0, false),
];

fn main() -> Result<()> {
    let mut text = String::from(
        "# Performance\n\nWritten by `make bench-report` from the lines that `make bench-NAME` \
         ended with. Medians; the spread is from the smallest to the largest sample.\n\n",
    );
    writeln!(text, "Machine: {}.\n", machine())?;
    text.push_str("| bench | key | figure | goal | reached | samples | spread |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let mut lines = String::new();
    for (bench, key, goal, at_least) in GOALS {
        let file = folder()?.join(format!("{bench}.json"));
        let line: Value = match std::fs::read_to_string(&file) {
            Ok(line) => serde_json::from_str(&line)?,
            Err(_) => Value::Null,
        };
        let sign = if *at_least { "≥" } else { "≤" };
        match line[key].as_f64() {
            None => writeln!(
                text,
                "| {bench} | `{key}` | not measured | {sign} {goal} | | | |"
            )?,
            Some(figure) => {
                let reached = if *at_least {
                    figure >= *goal
                } else {
                    figure <= *goal
                };
                let reached = if reached { "yes" } else { "no" };
                let (count, spread) = (&line["samples"][key], &line["spread"][key]);
                let (least, most) = (&spread[0], &spread[1]);
                writeln!(
                    text,
                    "| {bench} | `{key}` | {figure} | {sign} {goal} | {reached} | {count} | \
                     {least} to {most} |"
                )?;
            }
        }
        let whole = line.to_string();
        if !line.is_null() && !lines.contains(&whole) {
            writeln!(lines, "{whole}")?;
        }
    }
    write!(text, "\n## The lines\n\n```json\n{lines}```\n")?;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    std::fs::write(&page, &text)?;
    print(text);
    Ok(())
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
    format!(
        "{cores} cores, {}, {} of memory",
        field(&cpu, "model name"),
        field(&memory, "MemTotal")
    )
}
