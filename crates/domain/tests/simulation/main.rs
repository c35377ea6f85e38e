//! Many worlds, each from one seed: processes that die and freeze between any
//! two steps, answers that are lost, late or out of order, an Anthropic that
//! hides what it stored. The decisions are the product's own (`plan`,
//! `reconcile`, `settle`, the state machine, backoff); what stands around them
//! is a model of the store's statements and of the API.
//!
//! `OFFPEAK_SIMULATIONS=1000000` runs more, `OFFPEAK_SEED=17` one, with every
//! step printed.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test takes its numbers from the environment and shows one run"
)]

mod process;
mod store;
mod time;
mod upstream;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Runs in a test without further wishes.
const RUNS: u64 = 100_000;
/// Runs within which each flaw has to show.
const UNTIL_FOUND: u64 = 100_000;

/// A bug put in on purpose: a simulator that does not notice it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A create without a clear answer is sent again.
    RetryCreate,
    /// What was only recognised counts as certain.
    TrustGuess,
    /// What is not listed after a minute was never stored.
    ShortSettle,
    /// Listings count that were made before the sender had given up.
    ListingsBefore,
    /// A line has its effect whether or not its job is in flight.
    SettleAlways,
    /// A download that ended is taken for a whole one.
    CountLines,
    /// The answer to one send is written down for whichever send there is.
    AnswerOfAnySend,
    /// A batch that took another's for its own is a stranger where it is named.
    GuessIsFinal,
    /// What one send took for its own is out of the question for another.
    GuessHides,
    /// A listing that shows a suspect counts as one without a trace.
    SeenCounts,
}

const FLAWS: [Flaw; 10] = [
    Flaw::RetryCreate,
    Flaw::TrustGuess,
    Flaw::ShortSettle,
    Flaw::ListingsBefore,
    Flaw::SettleAlways,
    Flaw::CountLines,
    Flaw::AnswerOfAnySend,
    Flaw::GuessIsFinal,
    Flaw::GuessHides,
    Flaw::SeenCounts,
];

/// The first seed below `runs` under which something goes wrong.
fn first_wrong(runs: u64, flaw: Option<Flaw>) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= runs {
                return None;
            }
            if let Err(wrong) = World::new(seed, flaw, false).run() {
                // The others need not go on.
                next.store(runs, Ordering::Relaxed);
                return Some((seed, wrong));
            }
        }
    };
    std::thread::scope(|scope| {
        let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        searches
            .into_iter()
            .filter_map(|one| one.join().expect("a run broke"))
            .min()
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_or_paid_twice_whatever_happens() {
    if let Some(seed) = number("OFFPEAK_SEED") {
        let ended = World::new(seed, None, true).run();
        assert_eq!(ended, Ok(()), "seed {seed}");
        return;
    }
    let runs = number("OFFPEAK_SIMULATIONS").unwrap_or(RUNS);
    let begun = std::time::Instant::now();
    if let Some((seed, wrong)) = first_wrong(runs, None) {
        panic!("seed {seed}: {wrong}\nsee it happen with OFFPEAK_SEED={seed}");
    }
    println!("{runs} runs in {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn every_flaw_is_found() {
    for flaw in FLAWS {
        let found = first_wrong(UNTIL_FOUND, Some(flaw));
        let (seed, wrong) = found.unwrap_or_else(|| panic!("nobody noticed {flaw:?}"));
        println!("{flaw:?}: seed {seed}: {wrong}");
    }
}
