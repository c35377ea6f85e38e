//! Whose turn it is: weighted fair order between tenants.
//!
//! Start-time fair queueing. Each tenant has a virtual time, which grows by
//! what it takes divided by its weight; the least goes first. Virtual times
//! are kept relative to the tenant that is furthest behind among those who
//! wait. So a tenant that comes back after a pause, or comes for the first
//! time, starts level with that one: it has saved up nothing, and owes nothing
//! but what it took last. When nobody is left waiting, all are level again.
//!
//! Whose turn it is decides only between those who are there. For whoever comes later
//! there has to be room left: what one tenant may hold is bounded by what is free
//! ([`Turns::room`]), as switches share a buffer (dynamic thresholds, Choudhury and
//! Hahne 1998).

use std::collections::{BTreeMap, BTreeSet};

use super::{Budget, Limits};
use crate::id::TenantId;

/// The virtual time of one item at weight 1: fixed point with 20 bits.
const ITEM: i64 = 1 << 20;

/// The weight of a tenant that has none.
pub const DEFAULT_WEIGHT: u32 = 100;

/// A tenant's share of one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantShare {
    /// Whose.
    pub tenant: TenantId,
    /// Its part, relative to the weights of the others; 0 counts as 1.
    pub weight: u32,
    /// Its virtual time after the last plan.
    pub vtime: i64,
    /// What it has taken of the upstream that is not free again.
    pub held: Held,
}

/// What one tenant holds of an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Items of its batches that are open there, or about to be.
    pub items: u64,
    /// Creates of the last minute, and those about to be made.
    pub creates: u32,
}

/// So many times what is free one tenant may hold: alone it gets nine tenths.
const OVER_FREE: u128 = 9;
/// A part of the whole that is left for newcomers even by those who take what is theirs.
const KEPT: u128 = 50;

/// The virtual times while a plan is made.
#[derive(Debug)]
pub(super) struct Turns {
    tenants: BTreeMap<TenantId, Standing>,
    waiting: BTreeSet<TenantId>,
    /// Of all that were given.
    weights: i64,
    /// The price of a create, in items.
    create: u32,
}

#[derive(Debug)]
struct Standing {
    weight: i64,
    vtime: i64,
    held: Held,
}

impl Turns {
    pub(super) fn new(shares: &[TenantShare], limits: &Limits) -> Self {
        let tenants: BTreeMap<_, _> = shares
            .iter()
            .map(|share| (share.tenant, Standing::new(share)))
            .collect();
        Self {
            weights: tenants.values().map(|standing| standing.weight).sum(),
            tenants,
            waiting: BTreeSet::new(),
            create: limits.max_items,
        }
    }

    /// Where the tenant stands; the least is next.
    pub(super) fn of(&self, tenant: TenantId) -> i64 {
        self.tenants
            .get(&tenant)
            .map_or(0, |standing| standing.vtime)
    }

    /// The tenant takes one create and so many items.
    ///
    /// A create is scarce as well, and costs what the items of a full batch
    /// do. Without a price on it, many tenants with one job each would keep
    /// one with large batches waiting until they had taken as many items; with
    /// this one, large batches get at least half as many creates as small.
    pub(super) fn take(&mut self, tenant: TenantId, items: u32) {
        let fresh = TenantShare {
            tenant,
            weight: DEFAULT_WEIGHT,
            vtime: 0,
            held: Held::default(),
        };
        let standing = self
            .tenants
            .entry(tenant)
            .or_insert_with(|| Standing::new(&fresh));
        let cost = i64::from(items) + i64::from(self.create);
        standing.vtime = standing.vtime.saturating_add(cost * ITEM / standing.weight);
        standing.held.items = standing.held.items.saturating_add(u64::from(items));
        standing.held.creates = standing.held.creates.saturating_add(1);
    }

    /// What of `left` the tenant may take: whether one more create, and how many items.
    ///
    /// Its part of the whole, by weight among those who wait or hold something, is its
    /// own. Beyond that it may hold the more the more is free. Where others may come,
    /// nobody takes the last of it either way: whoever holds nothing finds a place.
    pub(super) fn room(&self, tenant: TenantId, left: &Budget) -> (bool, u64) {
        let Some(shared) = left.shared else {
            return (left.creates_left > 0, left.queue_left);
        };
        let (weight, held) = self
            .tenants
            .get(&tenant)
            .map_or((i64::from(DEFAULT_WEIGHT), Held::default()), |standing| {
                (standing.weight, standing.held)
            });
        let weight = u128::from(weight.unsigned_abs());
        let all = u128::from(self.weights.unsigned_abs()) + u128::from(shared.holding);
        let part = Part {
            weight,
            all: all.max(weight),
        };
        let items = part.room(left.queue_left, shared.queue, held.items);
        let (creates, a_minute) = (left.creates_left.into(), left.creates_per_minute.into());
        let creates = part.room(creates, a_minute, held.creates.into());
        (creates > 0, items)
    }

    /// Of a tenant with so many buckets, how many creates in a row they and what the
    /// others are entitled to stand for.
    pub(super) fn crowd(&self, tenant: TenantId, buckets: usize) -> u32 {
        let weight = self
            .tenants
            .get(&tenant)
            .map_or(i64::from(DEFAULT_WEIGHT), |standing| standing.weight);
        let all = self.weights.max(weight).unsigned_abs();
        let crowd = (buckets as u128 * u128::from(all)).div_ceil(u128::from(weight.unsigned_abs()));
        u32::try_from(crowd).unwrap_or(u32::MAX)
    }

    /// The tenant would have taken more.
    pub(super) fn wait(&mut self, tenant: TenantId) {
        self.waiting.insert(tenant);
    }

    /// The virtual times to store, of every tenant that was given: relative to
    /// the furthest behind of those who wait, and all zero when nobody does.
    pub(super) fn finish(self) -> Vec<(TenantId, i64)> {
        let behind = self
            .waiting
            .iter()
            .map(|tenant| self.of(*tenant))
            .min()
            .unwrap_or(i64::MAX);
        self.tenants
            .into_iter()
            .map(|(tenant, standing)| (tenant, standing.vtime.saturating_sub(behind).max(0)))
            .collect()
    }
}

/// A tenant's weight among those of all who take part.
struct Part {
    weight: u128,
    all: u128,
}

impl Part {
    /// How much of what is `free` the tenant may take that has `held` of the `whole`.
    fn room(&self, free: u64, whole: u64, held: u64) -> u64 {
        let (free, whole, held) = (u128::from(free), u128::from(whole), u128::from(held));
        let own = if self.all > self.weight {
            (whole * self.weight / self.all)
                .saturating_sub(held)
                .min(free.saturating_sub(whole / KEPT))
        } else {
            0
        };
        // Held and this are at most so many times what is free without this.
        let times = OVER_FREE * self.weight;
        let beyond = (times * free).saturating_sub(self.all * held) / (times + self.all);
        // However small a part is: who holds nothing may begin.
        let begin = u128::from(held == 0).min(free);
        u64::try_from(own.max(beyond).max(begin)).unwrap_or(u64::MAX)
    }
}

impl Standing {
    fn new(share: &TenantShare) -> Self {
        let weight = i64::from(share.weight.max(1));
        Self {
            weight,
            vtime: share.vtime.max(0),
            held: share.held,
        }
    }
}
