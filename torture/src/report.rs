//! Writes docs/reliability.md from what a long run came to. What stands from the
//! heading about limits on is written by hand, and stays.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use offpeak_store::torture::{MUTANTS, POINTS};

use crate::behavior;
use crate::ground::world_seed;
use crate::image::BLANKED;
use crate::judge::Verdict;
use crate::outcome::{self, Outcome, percentile};
use crate::part::kills;
use crate::part::mutants::By;
use crate::part::points::FORGOTTEN;
use crate::part::recovery::WORLDS as RECOVERY;
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

Beside every zero stands 3/n: with no failure in n independent tries the rate is below it (95 %). n is
the number of jobs for what was lost or paid twice, and that of tries for violations. Pairs, frozen
processes and broken links are not tries of one thing: their bound is that of a case drawn from the
list, not of a rate in operation.
";

/// Runs of the simulator in `make test`, with the seeds from 0 on.
const SIMULATIONS: u64 = 100_000;

/// From here on the page is somebody's own.
const BY_HAND: &str = "## What this does not show";

/// Writes the page.
pub fn write(outcome: &Outcome, json: &str, seed: u64, machine: &str) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    let by_hand = before
        .find(BY_HAND)
        .map_or_else(|| format!("{BY_HAND}\n"), |at| before[at..].to_owned());
    let text = format!(
        "{BEGINNING}\n```json\n{json}\n```\n\nMachine: {machine}.\n\n{}\n\n{}\n{}\n{}\n{}\n{}\n{by_hand}",
        seeds(seed),
        parts(outcome)?,
        crashes(outcome)?,
        times(outcome)?,
        mutants(outcome)?,
        compared()?,
    );
    std::fs::write(page, text)?;
    Ok(())
}

/// Which seed everything followed from.
fn seeds(seed: u64) -> String {
    let recovery = seed..seed + RECOVERY as u64;
    format!(
        "Seeds: `--seed {seed}` (`make torture ARGS='--seed {seed}'`), and from it {}, {} for the worlds \
         of the random kills, {} to {} for those of the recovery, and {} for all others, so that \
         their outcomes can be compared. What random kills hit depends on the machine's speed, too. \
         The simulator's are 0 to {}.",
        kills::world_seed(seed, 0),
        kills::world_seed(seed, 1),
        recovery.start,
        recovery.end - 1,
        world_seed(seed),
        SIMULATIONS - 1,
    )
}

/// A count of failures; beside a zero, the bound of the rate.
fn failures(count: u64, tries: u64) -> String {
    if count > 0 || tries == 0 {
        return count.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of tries")]
    let percent = 300.0 / tries as f64;
    match percent {
        100.0.. => "0 (no bound)".to_owned(),
        10.0.. => format!("0 (< {percent:.0} %)"),
        1.0.. => format!("0 (< {percent:.1} %)"),
        0.01.. => format!("0 (< {percent:.2} %)"),
        _ => format!("0 (< {percent:.4} %)"),
    }
}

fn parts(outcome: &Outcome) -> Result<String> {
    let mut text = String::from(
        "## What was done\n\n\
         | part | tries | jobs | lost | paid twice | violations | absorbed | took |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut all = 0;
    for row in &outcome.rows {
        all += row.tries;
        let took = format!("{:.0} s", row.seconds);
        line(&mut text, row.what, row.tries, &row.verdict, &took)?;
    }
    line(&mut text, "all", all, &outcome.sum(), "side by side")?;
    writeln!(
        text,
        "\nTries are pairs of a point and a behaviour in which a process died, kills, databases that went, \
         links that broke while the work went on ({} of them a download that came so slowly that it was \
         given up), recoveries, frozen processes, scenes.\n\n\
         Beside it, `make test` runs {SIMULATIONS} seeded worlds over the pure rules \
         (`crates/domain/tests/simulation/main.rs`), of which it accepts no wrong one: {}. `make \
         frozen` freezes every loop at each of its calls, `make test` at every fifth of them.",
        outcome.given_up,
        failures(0, SIMULATIONS),
    )?;
    Ok(text)
}

fn line(text: &mut String, what: &str, tries: u64, verdict: &Verdict, took: &str) -> Result<()> {
    let jobs = verdict.promised;
    writeln!(
        text,
        "| {what} | {tries} | {jobs} | {} | {} | {} | {} | {took} |",
        failures(verdict.lost, jobs),
        failures(verdict.paid_twice, jobs),
        failures(verdict.wrong() as u64, tries),
        verdict.absorbed,
    )?;
    Ok(())
}

fn crashes(outcome: &Outcome) -> Result<String> {
    let counted = &outcome.points;
    let mut text = format!(
        "## Where processes died\n\n\
         {} crash points and {} behaviours of the stand-in make {} pairs in which the behaviour can \
         make a difference at the point (`torture/src/behavior.rs` says which), with each point at its \
         second pass under one behaviour. In {} of them the process came by the point and died there, \
         {} times at the second pass; only these count as pairs. Each was started again, and each came \
         to the result of an undisturbed run, as did those that were passed by.\n\n\
         `reconcile.listed` is met there by `offpeak reconcile --again`, and where a database went. \
         `{FORGOTTEN}` is met only by a database that has forgotten a batch, which no behaviour of the \
         stand-in brings about: a worker dies at it after a backup was restored.\n\n\
         | crash point | died or frozen there | random kills right after it |\n| --- | --- | --: |\n",
        POINTS.len(),
        behavior::ALL.len(),
        counted.tried,
        counted.died,
        counted.later,
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
         PostgreSQL. The last point of each process at each kill stands in `target/torture/kills.log`.\n\n\
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
        "## How long it takes\n\nWith the program's own default times of `[reliability]` (a lease of 15 s, \
         a look at the database every 5 s, a list every 15 s at first, a settle time of 15 min) in a \
         workspace that may be shared. Batches are closed and looked at as fast as everywhere else, so \
         this is the time of the recovery alone.\n\n\
         | what | n | p50 | p99 | goal | above the goal |\n| --- | --: | --: | --: | --- | --: |\n",
    );
    let shown = |times: &[f64], part| {
        percentile(times, part).map_or_else(|| "–".to_owned(), |seconds| format!("{seconds} s"))
    };
    for (what, times, goal, part) in [
        (
            "a worker is killed → another one sends the next batch",
            &outcome.times.recovered,
            outcome::RECOVERY,
            "p99",
        ),
        (
            "a create's answer is lost → its batch is found (list at once, or 8 s late)",
            &outcome.times.adopted,
            outcome::ADOPTION,
            "p50",
        ),
    ] {
        let above = times.iter().filter(|seconds| **seconds > goal).count();
        writeln!(
            text,
            "| {what} | {} | {} | {} | {goal} s at {part} | {} |",
            times.len(),
            shown(times, 50),
            shown(times, 99),
            failures(above as u64, times.len() as u64),
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
        "\nEverywhere else times are scaled down, so that the machine does not wait: {}. The settle time \
         is a 150th of the default, the lease a 7th, what a send may last a 100th. A batch of the stand-in \
         takes 50 to 200 ms unless a behaviour says otherwise.",
        scaled.join(", ")
    )?;
    Ok(text)
}

fn mutants(outcome: &Outcome) -> Result<String> {
    let mut text = format!(
        "## Bugs put in on purpose\n\n{} of {} were noticed, each by the worst that the judge has to say \
         of a scene that is clean without the bug. That something does not come to rest counts only \
         where the same scene does without the bug, in the same time and the same run. A harness that \
         misses one proves nothing about what it breaks.\n\n\
         | bug | what it does | noticed by |\n| --- | --- | --- |\n",
        outcome.caught(),
        MUTANTS.len(),
    );
    for (name, what) in MUTANTS {
        let found = outcome.mutants.iter().find(|one| one.mutant == *name);
        let by = found
            .and_then(|one| one.by.as_ref())
            .map_or("**not noticed**", kind);
        writeln!(text, "| `{name}` | {what} | {by} |")?;
    }
    Ok(text)
}

/// By which of the judge's means a mutant was noticed, without ids and figures.
fn kind(by: &By) -> &'static str {
    const KINDS: &[(&str, &str)] = &[
        ("doctor --invariants", "an invariant"),
        ("billed and not booked", "the journal against the ledger"),
        ("and wrote", "a write after its lease was over"),
        ("expected", "another result than the undisturbed run's"),
        ("is 2 jobs", "two jobs under one key"),
        ("was promised as", "two jobs under one key"),
        ("is told of as", "an event that nobody was told of"),
    ];
    match by {
        By::PaidTwice(_) => "a job paid twice",
        By::Lost(_) => "a lost job",
        By::NotAtRest(_) => "it does not come to rest",
        By::Violation(what) => {
            let kind = KINDS.iter().find(|(sign, _)| what.contains(sign));
            kind.map_or("a violation", |(_, kind)| kind)
        }
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

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn a_bound_stands_beside_every_zero() {
        for (count, tries, shown) in [
            (2, 100, "2"),
            (0, 0, "0"),
            (0, 2, "0 (no bound)"),
            (0, 15, "0 (< 20 %)"),
            (0, 80, "0 (< 3.8 %)"),
            (0, 1000, "0 (< 0.30 %)"),
            (0, 100_000, "0 (< 0.0030 %)"),
        ] {
            assert_eq!(failures(count, tries), shown);
        }
    }
}
