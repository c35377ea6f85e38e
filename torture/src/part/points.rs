//! The real binary dies at each named point, under each behaviour of the
//! stand-in, is started again, and what comes out is what comes out undisturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use offpeak_store::torture::POINTS;

use crate::behavior::{self, Behavior};
use crate::ground::Ground;
use crate::judge::Verdict;
use crate::say;
use crate::scenario::{self, Came, REST};

/// Behaviours under which a point is met that no plain run meets; for the short
/// form, which tries each point once.
const MET_UNDER: &[(&str, Behavior)] = &[
    ("rescue.lost_call", behavior::PLAIN),
    ("rescue.abandoned", behavior::PLAIN),
    ("rescue.listed", behavior::LOST_LATE),
    ("rescue.adopted", behavior::LOST),
    ("rescue.refuted", behavior::UNSTORED_500),
    ("rescue.freeing", behavior::TOO_LARGE),
    ("rescue.freed", behavior::UNSTORED_500),
    ("ingest.quarantined", behavior::STRAY),
    ("sweep.listed", behavior::UNSTORED_500),
    ("sweep.found", behavior::HIDDEN),
    ("sweep.booked", behavior::HIDDEN),
    ("sweep.read", behavior::HIDDEN),
];

/// Met only by a database that has forgotten a batch, which is another part's affair.
pub const FORGOTTEN: &str = "reconcile.recovered";

/// What somebody was sending when he died, which one who comes after finds.
const ABANDONED: &str = "rescue.abandoned";
/// The same of whom somebody was calling for.
const LOST_CALL: &str = "rescue.lost_call";

/// How often the short form plays a death that did not come.
const TRIES: u32 = 4;

/// A death that is tried.
#[derive(Clone, Copy, Debug)]
struct Pair {
    point: &'static str,
    /// At which pass.
    pass: u32,
    behavior: Behavior,
}

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Pairs of point and behaviour that were tried.
    pub tried: u64,
    /// Those in which the process came by the point and died there.
    pub died: u64,
    /// Of those, at the second pass.
    pub later: u64,
    /// Points at which a process died, or froze.
    pub hit: BTreeSet<&'static str>,
}

/// Runs the pairs: all of them, each point at its second pass too; or, in the short
/// form, each point once.
pub async fn run(
    ground: &Arc<Ground>,
    all: bool,
    named: &str,
    at_once: usize,
) -> Result<(Verdict, Counted)> {
    let pairs = pairs(all, named);
    let mut undisturbed: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut verdict = Verdict::default();
    let behaviors: BTreeMap<&str, Behavior> = pairs
        .iter()
        .map(|pair| (pair.behavior.name, pair.behavior))
        .collect();
    let plain_runs: Vec<_> = stream::iter(behaviors.into_values())
        .map(|one| async move {
            let came = scenario::run(ground, &one, &[], &[], REST).await;
            (one, came)
        })
        .buffer_unordered(at_once)
        .collect()
        .await;
    for (one, came) in plain_runs {
        let came = came.with_context(|| format!("undisturbed, {}", one.name))?;
        let name = format!("undisturbed × {}", one.name);
        verdict.add(Verdict::of(&name, Ok(came.verdict)));
        undisturbed.insert(one.name, came.image);
    }
    let mut counted = Counted::default();
    let total = pairs.len();
    // Whether a process comes by some points is up to chance, and the short form
    // tries each but once.
    let tries = if all { 1 } else { TRIES };
    let mut runs = stream::iter(pairs)
        .map(|pair| async move { (pair, until_it_dies(ground, pair, tries).await) })
        .buffer_unordered(at_once);
    while let Some((pair, played)) = runs.next().await {
        let Pair {
            point,
            pass,
            behavior,
        } = pair;
        counted.tried += 1;
        for came in played {
            let judged = came.map(|came| {
                if came.died_at(point) {
                    counted.died += 1;
                    counted.later += u64::from(pass > 1);
                    counted.hit.insert(point);
                }
                let plain = undisturbed.get(behavior.name).map(Vec::as_slice);
                came.compared_with(plain.unwrap_or_default())
            });
            let name = format!("{point}:{pass} × {}", behavior.name);
            verdict.add(Verdict::of(&name, judged));
        }
        if counted.tried.is_multiple_of(50) {
            say(&format!("{} of {total} pairs", counted.tried));
        }
    }
    Ok((verdict, counted))
}

fn pairs(all: bool, named: &str) -> Vec<Pair> {
    let points = POINTS
        .iter()
        .filter(|point| point.starts_with(named) && **point != FORGOTTEN);
    let once = |point: &&'static str, behavior| Pair {
        point,
        pass: 1,
        behavior,
    };
    if !all {
        return points.map(|point| once(point, met_under(point))).collect();
    }
    let mut pairs = Vec::new();
    for point in points {
        let met = behavior::ALL.iter().filter(|one| one.meets(point));
        pairs.extend(met.map(|behavior| once(point, *behavior)));
        if ![ABANDONED, LOST_CALL].contains(point) {
            let behavior = met_under(point);
            pairs.push(Pair {
                point,
                pass: 2,
                behavior,
            });
        }
    }
    pairs
}

/// Each time that it was played: the last one is that in which it died, if it did.
async fn until_it_dies(ground: &Arc<Ground>, pair: Pair, tries: u32) -> Vec<Result<Came>> {
    let mut played = Vec::new();
    for _ in 0..tries {
        let came = die(ground, pair).await;
        let again = came.as_ref().is_ok_and(|came| !came.died_at(pair.point));
        played.push(came);
        if !again {
            break;
        }
    }
    played
}

async fn die(ground: &Arc<Ground>, pair: Pair) -> Result<Came> {
    let at = format!("{}:{}", pair.point, pair.pass);
    // Abandoned is what somebody was sending when he died.
    let (first, later) = match pair.point {
        ABANDONED => ("submit.intent", vec![("TORTURE_AT", at.as_str())]),
        LOST_CALL => ("direct.intent", vec![("TORTURE_AT", at.as_str())]),
        _ => (at.as_str(), vec![]),
    };
    let orders = [("TORTURE_AT", first)];
    scenario::run(ground, &pair.behavior, &orders, &later, REST).await
}

fn met_under(point: &str) -> Behavior {
    let found = MET_UNDER.iter().find(|(met, _)| *met == point);
    found.map_or(behavior::PLAIN, |(_, behavior)| *behavior)
}
