//! Writes docs/reliability.md from what a long run came to. What stands from the
//! heading about limits on is written by hand, and stays.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use offpeak_store::torture::{MUTANTS, POINTS};

use crate::behavior;
use crate::image::BLANKED;
use crate::outcome::{Outcome, percentile};
use crate::world::SCALED;

const BEGINNING: &str = "\
# Reliability

Written by `make torture`, which ends with the line of JSON below; `make torture-short`, a part of
`make test`, does the same in about four minutes. Real binary (built with the feature `torture`, which
no other build has), real PostgreSQL, real processes, and the stand-in, whose journal says what was
billed. A judge of its own (`torture/src/judge.rs`) compares that with what clients were promised and
with the tables; it shares no code with the worker.

- **Lost**: answered by a 2xx, and not there, or without a result.
- **Paid twice**: billed for a job beyond its recorded attempts. What a late twin billed that the
  stand-in had hidden for longer than the settle time is **absorbed**: the deployment's cost, no
  tenant's, each with its incident. Any other twin counts as paid twice.
- **Violations**: an invariant broken (`offpeak doctor --invariants`), an item billed and not booked,
  a result that differs from the undisturbed run's, a scenario that does not come to rest.

No failure in n independent tries bounds the rate at 3/n (95 %). Pairs and frozen processes are not
tries of one thing, so no rate follows from their zero: each is a proof for its own case.
";

/// From here on the page is somebody's own.
const BY_HAND: &str = "## What this does not show";

/// Writes the page.
pub fn write(outcome: &Outcome, json: &str, seed: u64) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    let by_hand = before
        .find(BY_HAND)
        .map_or_else(|| format!("{BY_HAND}\n"), |at| before[at..].to_owned());
    let text = format!(
        "{BEGINNING}\n```json\n{json}\n```\n\nMachine: {}. Seed: {seed} (`make torture ARGS='--seed {seed}'`); what the random kills hit \
         depends on the machine's speed, too.\n\n{}\n{}\n{}\n{}\n{}\n{by_hand}",
        machine(),
        parts(outcome)?,
        crashes(outcome)?,
        times(outcome)?,
        mutants(outcome)?,
        compared()?,
    );
    std::fs::write(page, text)?;
    Ok(())
}

fn parts(outcome: &Outcome) -> Result<String> {
    let mut text = String::from(
        "## What was done\n\n\
         | part | tries | jobs | lost | paid twice | absorbed | violations | bound | took |\n\
         | --- | --: | --: | --: | --: | --: | --: | --- | --: |\n",
    );
    for row in &outcome.rows {
        let verdict = &row.verdict;
        let bound = if row.what.contains("kill -9 at random") {
            #[expect(clippy::cast_precision_loss, reason = "a count of kills")]
            let percent = 300.0 / row.tries.max(1) as f64;
            format!("under {percent:.2} % a kill")
        } else {
            "–".to_owned()
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {bound} | {:.0} s |",
            row.what,
            row.tries,
            verdict.promised,
            verdict.lost,
            verdict.paid_twice,
            verdict.absorbed,
            verdict.violations.len(),
            row.seconds,
        )?;
    }
    text.push_str(
        "\nBeside it, `make test` runs 100,000 seeded worlds over the pure rules \
         (`crates/domain/tests/simulation/main.rs`) and freezes every loop at each of its calls \
         (`crates/offpeak/tests/it/frozen.rs`).\n",
    );
    Ok(text)
}

fn crashes(outcome: &Outcome) -> Result<String> {
    let counted = &outcome.points;
    let mut text = format!(
        "## Where processes died\n\n\
         {} crash points and {} behaviours of the stand-in make {} pairs in which the behaviour can \
         make a difference at the point (`torture/src/behavior.rs` says which). In {} of them the \
         process came by the point and died there. Each was started again, and each pair came to the \
         result of an undisturbed run.\n\n\
         | crash point | died on purpose | random kills right after it |\n| --- | --- | --: |\n",
        POINTS.len(),
        behavior::ALL.len(),
        counted.pairs,
        counted.died,
    );
    for point in POINTS {
        let by_chance = outcome.kills.after.get(*point).copied().unwrap_or(0);
        let on_purpose = if counted.hit.contains(point) {
            "yes"
        } else {
            "no"
        };
        writeln!(text, "| `{point}` | {on_purpose} | {by_chance} |")?;
    }
    let before = outcome.kills.after.get("").copied().unwrap_or(0);
    writeln!(
        text,
        "\n{before} random kills fell on a process that had not passed any point yet, {} on \
         PostgreSQL. The point before each kill stands in `target/torture/kills.log`.\n\n\
         Behaviours: {}.",
        outcome.kills.postgres,
        behavior::ALL
            .iter()
            .map(|one| one.name)
            .collect::<Vec<_>>()
            .join("; "),
    )?;
    Ok(text)
}

fn times(outcome: &Outcome) -> Result<String> {
    let mut text = String::from(
        "## How long it takes\n\nWith the program's own default times (a lease of 15 s).\n\n\
         | what | n | p50 | p99 | goal |\n| --- | --: | --: | --: | --- |\n",
    );
    let shown = |times: &[f64], part| {
        percentile(times, part).map_or_else(|| "–".to_owned(), |seconds| format!("{seconds} s"))
    };
    for (what, times, goal) in [
        (
            "a worker is killed → another one sends the next batch",
            &outcome.times.recovered,
            "20 s at p99",
        ),
        (
            "a create's answer is lost → its batch is found (list at once, or 8 s late)",
            &outcome.times.adopted,
            "60 s at p50",
        ),
    ] {
        writeln!(
            text,
            "| {what} | {} | {} | {} | {goal} |",
            times.len(),
            shown(times, 50),
            shown(times, 99),
        )?;
    }
    let scaled: Vec<String> = SCALED
        .iter()
        .map(|(name, value)| {
            let name = name.trim_start_matches("OFFPEAK_").to_lowercase();
            format!("`{name}` {value}")
        })
        .collect();
    writeln!(
        text,
        "\nEverywhere else times are scaled down, so that the machine does not wait: {}. A batch of \
         the stand-in takes 50 to 200 ms unless a behaviour says otherwise.",
        scaled.join(", ")
    )?;
    Ok(text)
}

fn mutants(outcome: &Outcome) -> Result<String> {
    let mut text = format!(
        "## Bugs put in on purpose\n\n{} of {} were noticed. A harness that misses one proves \
         nothing about what it breaks.\n\n| bug | what it does | noticed by |\n| --- | --- | --- |\n",
        outcome.caught(),
        MUTANTS.len(),
    );
    for (name, what) in MUTANTS {
        let found = outcome.mutants.iter().find(|one| one.mutant == *name);
        let by = found
            .and_then(|one| one.by.as_deref())
            .map_or("**not noticed**", kind);
        writeln!(text, "| `{name}` | {what} | {by} |")?;
    }
    Ok(text)
}

/// By which of the judge's means a mutant was noticed, without ids and figures.
fn kind(by: &str) -> &'static str {
    const KINDS: &[(&str, &str)] = &[
        ("doctor --invariants", "an invariant"),
        ("billed and not booked", "the journal against the ledger"),
        ("and wrote", "a write after its lease was over"),
        ("expected", "another result than the undisturbed run's"),
        ("is 2 jobs", "two jobs under one key"),
        ("not at rest", "it does not come to rest"),
        ("stays in flight", "it does not come to rest"),
        ("in vain", "it does not come to rest"),
        ("was promised", "a promised job that is not there"),
    ];
    let lost = by.starts_with("lost") && !by.starts_with("lost 0");
    let paid = by.contains("paid twice") && !by.contains("paid twice 0");
    let other = KINDS.iter().find(|(sign, _)| by.contains(sign));
    match (lost, paid) {
        (true, _) => "a lost job",
        (false, true) => "a job paid twice",
        (false, false) => other.map_or("a violation", |(_, kind)| kind),
    }
}

fn compared() -> Result<String> {
    let mut text = String::from(
        "## What is compared\n\nAfter each crash: jobs, payloads, results, answers, ledger sums, \
         group counts and sums, keyed by the client's reference, against an undisturbed run under \
         the same behaviour. Not compared:\n\n",
    );
    for (columns, why) in BLANKED {
        writeln!(text, "- {columns}: {why}.")?;
    }
    text.push_str(
        "- jobs that are canceled and retried while all goes on: how they end depends on who was \
         faster. That they end once, and that what they cost is booked, is checked.\n",
    );
    Ok(text)
}

/// Cores, memory, PostgreSQL's and the kernel's kind.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    format!(
        "{cores} cores, {} GiB, {}",
        kilobytes >> 20,
        std::env::consts::OS
    )
}
