//! What the same calls cost in each lane, and what each saving comes from.

use std::iter::Sum;

use super::tally::{Cached, Model, Plain};
use crate::money::Pico;

/// What nobody can know before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// Percent of the calls that cannot wait, and go at once.
    pub urgent: u8,
    /// Percent of the reads that find their prefix in the cache: few, as a rule, many.
    pub hits: [u8; 3],
}

impl Default for Assumed {
    /// Nothing urgent. Users of batches see 30 % to 98 % of hits.
    fn default() -> Self {
        Self {
            urgent: 0,
            hits: [30, 64, 98],
        }
    }
}

/// Costs, exact for what was assumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lanes {
    /// As the calls were made; those that were not, at once and uncached.
    pub logged: Pico,
    /// All at once, nothing cached.
    pub sync: Pico,
    /// All at once, shared prefixes cached where that pays, and found again
    /// whenever the times of the calls allow it: the best that caching alone can do.
    pub sync_cached: Pico,
    /// What can wait in message batches, nothing cached.
    pub batch: Pico,
    /// Through offpeak, for each rate of cache hits.
    pub offpeak: [Through; 3],
}

/// The cost through offpeak, and what is saved against [`Lanes::sync`]: the
/// four of them make it, to the last unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Through {
    /// What it costs.
    pub cost: Pico,
    /// Saved by paying for equal requests once.
    pub duplicates: Pico,
    /// Saved by the batch price.
    pub batch: Pico,
    /// Saved by caching shared prefixes.
    pub cache: Pico,
}

impl Lanes {
    pub(super) fn of(model: &Model, assumed: Assumed) -> Self {
        let urgent = assumed.urgent.min(100);
        let mut plain = model.alone;
        let mut sync_cached = model.alone.direct;
        for shared in model.shared.values() {
            plain.direct += shared.plain.direct;
            plain.batch += shared.plain.batch;
            plain.once_direct += shared.plain.once_direct;
            plain.once_batch += shared.plain.once_batch;
            sync_cached += shared.timed.min(shared.plain.direct);
        }
        Self {
            logged: model.logged,
            sync: plain.direct,
            sync_cached,
            batch: mixed(plain.direct, plain.batch, urgent),
            offpeak: assumed
                .hits
                .map(|hits| through(model, &plain, urgent, hits.min(100))),
        }
    }
}

/// In the order in which the ledger has it: what is not run saves its whole
/// price, the cache counts at the price of at once, and the batch takes its part
/// of what is left.
fn through(model: &Model, plain: &Plain, urgent: u8, hits: u8) -> Through {
    let once = mixed(plain.direct, plain.once_direct, urgent);
    let mut cost = mixed(model.alone.direct, model.alone.once_batch, urgent);
    let mut at_once = mixed(model.alone.direct, model.alone.once_direct, urgent);
    for shared in model.shared.values() {
        let (plain, patient) = (&shared.plain, 100 - urgent);
        let direct = cached(
            plain.direct,
            &shared.direct,
            [shared.calls, shared.near],
            urgent,
            hits,
        );
        let of_batch = |plain, all| {
            cached(
                plain,
                all,
                [shared.distinct, shared.distinct_near],
                patient,
                hits,
            )
        };
        cost += mixed(direct, of_batch(plain.once_batch, &shared.batch), urgent);
        at_once += mixed(direct, of_batch(plain.once_direct, &shared.once), urgent);
    }
    Through {
        cost,
        duplicates: plain.direct - once,
        batch: at_once - cost,
        cache: once - at_once,
    }
}

/// What so many calls, and so many of them near others, cost when `share` percent
/// of them pass one cache: the first writes the prefix, and so do those that miss
/// it. Nothing is cached that does not pay.
fn cached(plain: Pico, all: &Cached, [calls, near]: [u64; 2], share: u8, hits: u8) -> Pico {
    let [passing, near] = [calls, near].map(|calls| i128::from(calls) * i128::from(share));
    let others = near.min(passing - 100);
    if others <= 0 {
        return plain;
    }
    let saved = (all.write - all.read).0 * others / passing * i128::from(hits) / 100;
    Pico(all.write.0 - saved).min(plain)
}

/// `urgent` percent of the one and the rest of the other.
fn mixed(direct: Pico, batch: Pico, urgent: u8) -> Pico {
    let urgent = i128::from(urgent);
    Pico((direct.0 * urgent + batch.0 * (100 - urgent)) / 100)
}

impl Sum for Lanes {
    fn sum<I: Iterator<Item = Self>>(lanes: I) -> Self {
        lanes.fold(Self::default(), |mut sum, one| {
            sum.logged += one.logged;
            sum.sync += one.sync;
            sum.sync_cached += one.sync_cached;
            sum.batch += one.batch;
            for (sum, one) in sum.offpeak.iter_mut().zip(one.offpeak) {
                sum.cost += one.cost;
                sum.duplicates += one.duplicates;
                sum.batch += one.batch;
                sum.cache += one.cache;
            }
            sum
        })
    }
}
