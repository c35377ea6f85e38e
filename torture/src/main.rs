//! The parts of the torture in turn, and the line of JSON that they end with.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use offpeak_torture::ground::Ground;
use offpeak_torture::outcome::Outcome;
use offpeak_torture::{machine, part, report, say};

/// What is to be done.
#[derive(Debug, Parser)]
struct Args {
    /// The binary, built with the feature `torture`
    #[arg(long)]
    binary: PathBuf,
    /// All pairs, a thousand kills, and the page; otherwise what fits into four minutes
    #[arg(long)]
    long: bool,
    /// Parts to run: points, freezes, mutants, kills, links, failover, recovery; all by default
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only crash points, or bugs, whose name begins so, each point under every
    /// behaviour that the form has
    #[arg(long, default_value = "")]
    point: String,
    /// Leave the folders of the scenarios, and say where they are
    #[arg(long)]
    keep: bool,
    /// Random kills, other than the form's own number
    #[arg(long)]
    kills: Option<u32>,
    /// What all chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Worlds side by side within a part.
const AT_ONCE: usize = 8;

impl Args {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == part)
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the last line is what the harness is for"
)]
fn print(line: &str) {
    println!("{line}");
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let ground = Ground::new(&args.binary, args.keep, args.seed).await?;
    let outcome = run(&ground, &args).await?;
    let machine = machine::in_words(&ground).await?;
    ground.end().await?;
    let json = outcome.json(args.seed).to_string();
    let sum = outcome.sum();
    for wrong in sum.violations.iter().chain(&sum.unrest) {
        say(wrong);
    }
    let whole = args.only.is_empty() && args.point.is_empty();
    if args.long && whole {
        report::write(&outcome, &json, args.seed, &machine)?;
    }
    let short = if whole {
        outcome.shortcomings()
    } else {
        Vec::new()
    };
    for what in &short {
        say(&format!("FAIL {what}"));
    }
    print(&json);
    let well = short.is_empty() && sum.is_clean();
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the parts that are asked for, in three rows side by side: most of the time
/// each waits for something.
async fn run(ground: &Arc<Ground>, args: &Args) -> Result<Outcome> {
    let rows = tokio::try_join!(
        Box::pin(deaths(ground, args)),
        Box::pin(databases(ground, args)),
        Box::pin(times(ground, args)),
    )?;
    let mut outcome = rows.0;
    outcome.add(rows.1);
    outcome.add(rows.2);
    Ok(outcome)
}

/// Crash points under every behaviour.
async fn deaths(ground: &Arc<Ground>, args: &Args) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if args.wants("points") {
        let begun = Instant::now();
        let (verdict, counted) = part::points::run(ground, args.long, &args.point, AT_ONCE).await?;
        let what = "death at a crash point, × behaviour";
        outcome.note(what, counted.died, verdict, begun);
        outcome.points = counted;
    }
    Ok(outcome)
}

/// Random kills, databases that go, processes that freeze, links that break.
async fn databases(ground: &Arc<Ground>, args: &Args) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if args.wants("kills") {
        let begun = Instant::now();
        let kills = args.kills.unwrap_or(if args.long { 1000 } else { 60 });
        let (verdict, counted) = part::kills::run(ground, kills, 2, args.seed).await?;
        let tries = counted.ours + counted.postgres;
        outcome.note(
            "kill -9 at random moments under load",
            tries,
            verdict,
            begun,
        );
        outcome.kills = counted;
    }
    if args.wants("failover") {
        let begun = Instant::now();
        let times = if args.long { 5 } else { 1 };
        let (verdict, counted) = Box::pin(part::failover::run(ground, times)).await?;
        let what = "standby promoted under load, or backup restored";
        outcome.note(what, counted.tries, verdict, begun);
        outcome.points.hit.extend(counted.hit);
    }
    if args.wants("links") {
        let begun = Instant::now();
        let (verdict, counted) = part::links::run(ground, AT_ONCE).await?;
        let what = "a link broken while work goes on";
        outcome.note(what, counted.strikes, verdict, begun);
        outcome.given_up = counted.given_up;
    }
    Ok(outcome)
}

/// What mostly waits: recovery at the program's own times, and bugs put in.
async fn times(ground: &Arc<Ground>, args: &Args) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if args.wants("recovery") {
        let begun = Instant::now();
        let deaths = if args.long { 10 } else { 1 };
        let (verdict, times) = part::recovery::run(ground, deaths).await?;
        let tries = times.recovered.len() as u64;
        outcome.note(
            "recovery at default times of `[reliability]`",
            tries,
            verdict,
            begun,
        );
        outcome.times = times;
    }
    if args.wants("freezes") {
        let begun = Instant::now();
        let points = part::freezes::POINTS;
        let (verdict, hit) = part::freezes::run(ground, points, AT_ONCE).await?;
        outcome.note("freeze beyond the lease", hit.len() as u64, verdict, begun);
        outcome.points.hit.extend(hit);
    }
    if args.wants("mutants") {
        let begun = Instant::now();
        let (caught, verdict) = tokio::join!(
            part::mutants::run(ground, &args.point, AT_ONCE),
            part::mutants::clean(ground)
        );
        outcome.mutants = caught?;
        let what = "the mutants' own scenes without a bug";
        outcome.note(what, part::mutants::OWN.len() as u64, verdict?, begun);
    }
    Ok(outcome)
}
