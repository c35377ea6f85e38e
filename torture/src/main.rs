//! The parts of the torture in turn, and the line of JSON that they end with.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use offpeak_torture::ground::Ground;
use offpeak_torture::outcome::Outcome;
use offpeak_torture::{part, report, say};

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
    /// Only crash points whose name begins so, each under every behaviour that
    /// the form has
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

/// Worlds side by side: most of the time each waits.
const AT_ONCE: usize = 8;

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
    let ground = Ground::new(&args.binary, args.keep).await?;
    let outcome = Box::pin(run(&ground, &args)).await?;
    ground.end().await?;
    let json = outcome.json(args.seed).to_string();
    for wrong in outcome.sum().violations {
        say(&wrong);
    }
    let whole = args.only.is_empty() && args.point.is_empty();
    if args.long && whole {
        report::write(&outcome, &json, args.seed)?;
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
    let well = short.is_empty() && outcome.sum().is_clean();
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the parts that are asked for, one after the other.
async fn run(ground: &Arc<Ground>, args: &Args) -> Result<Outcome> {
    let wants = |part: &str| args.only.is_empty() || args.only.iter().any(|one| one == part);
    let (long, mut outcome) = (args.long, Outcome::default());
    if wants("points") {
        let begun = Instant::now();
        let (verdict, counted) = part::points::run(ground, long, &args.point, AT_ONCE).await?;
        outcome.note(
            "death at a crash point, × behaviour",
            counted.pairs,
            verdict,
            begun,
        );
        outcome.points = counted;
    }
    if wants("freezes") {
        let begun = Instant::now();
        let points = part::freezes::POINTS;
        let verdict = part::freezes::run(ground, points, AT_ONCE).await?;
        outcome.note(
            "freeze beyond the lease",
            points.len() as u64,
            verdict,
            begun,
        );
    }
    if wants("links") {
        let begun = Instant::now();
        let (verdict, counted) = part::links::run(ground, AT_ONCE).await?;
        outcome.note(
            "a link broken, four times each",
            counted.strikes,
            verdict,
            begun,
        );
    }
    if wants("failover") {
        let begun = Instant::now();
        let times = if long { 5 } else { 1 };
        let (verdict, counted) = Box::pin(part::failover::run(ground, times)).await?;
        outcome.note(
            "standby promoted, or backup restored",
            counted.tries,
            verdict,
            begun,
        );
        outcome.points.hit.extend(counted.hit);
    }
    if wants("recovery") {
        let begun = Instant::now();
        let (worlds, deaths) = if long { (8, 10) } else { (8, 1) };
        let (verdict, times) = part::recovery::run(ground, worlds, deaths).await?;
        outcome.note(
            "recovery at default times",
            times.recovered.len() as u64,
            verdict,
            begun,
        );
        outcome.times = times;
    }
    if wants("mutants") {
        let begun = Instant::now();
        outcome.mutants = part::mutants::run(ground, AT_ONCE).await?;
        let verdict = part::mutants::clean(ground).await?;
        outcome.note("the mutants' own scenes without a bug", 2, verdict, begun);
    }
    if wants("kills") {
        let begun = Instant::now();
        let kills = args.kills.unwrap_or(if long { 1000 } else { 60 });
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
    Ok(outcome)
}
