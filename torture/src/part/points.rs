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
use crate::scenario::{self, REST};

/// Behaviours under which a point is met that no plain run meets; for the short
/// form, which tries each point once.
const MET_UNDER: &[(&str, Behavior)] = &[
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

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Pairs of point and behaviour that were run.
    pub pairs: u64,
    /// Those in which the process died at its point.
    pub died: u64,
    /// Points at which one did.
    pub hit: BTreeSet<&'static str>,
}

/// Runs the pairs: all of them, or, in the short form, each point once.
pub async fn run(
    ground: &Arc<Ground>,
    all: bool,
    named: &str,
    at_once: usize,
) -> Result<(Verdict, Counted)> {
    // A database that changes is another part's affair, and so are its points.
    let points = POINTS
        .iter()
        .filter(|point| point.starts_with(named) && !point.starts_with("reconcile."));
    let pairs: Vec<(&'static str, Behavior)> = if all {
        let pair = |point| move |one: &Behavior| (point, *one);
        let row = |point: &&'static str| {
            let met = behavior::ALL.iter().filter(|one| one.meets(point));
            met.map(pair(*point)).collect::<Vec<_>>()
        };
        points.flat_map(row).collect()
    } else {
        points.map(|point| (*point, met_under(point))).collect()
    };
    let mut undisturbed: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut verdict = Verdict::default();
    let behaviors: BTreeMap<&str, Behavior> =
        pairs.iter().map(|(_, one)| (one.name, *one)).collect();
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
        verdict.add(came.verdict);
        undisturbed.insert(one.name, came.image);
    }
    let mut counted = Counted::default();
    let total = pairs.len();
    let mut runs = stream::iter(pairs)
        .map(|(point, one)| async move {
            // Abandoned is what somebody was sending when he died.
            let (first, later) = if point == "rescue.abandoned" {
                ("submit.intent", vec![("TORTURE_AT", point)])
            } else {
                (point, vec![])
            };
            let orders = [("TORTURE_AT", first)];
            let came = scenario::run(ground, &one, &orders, &later, REST).await;
            (point, one, came)
        })
        .buffer_unordered(at_once);
    while let Some((point, one, came)) = runs.next().await {
        counted.pairs += 1;
        let judged = came.map(|came| {
            if came.died {
                counted.died += 1;
                counted.hit.insert(point);
            }
            let plain = undisturbed.get(one.name).map(Vec::as_slice);
            came.compared_with(plain.unwrap_or_default())
        });
        verdict.add(Verdict::of(&format!("{point} × {}", one.name), judged));
        if counted.pairs.is_multiple_of(50) {
            say(&format!("{} of {total} pairs", counted.pairs));
        }
    }
    Ok((verdict, counted))
}

fn met_under(point: &str) -> Behavior {
    let found = MET_UNDER.iter().find(|(met, _)| *met == point);
    found.map_or(behavior::PLAIN, |(_, behavior)| *behavior)
}
