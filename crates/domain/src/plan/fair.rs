//! Whose turn it is: weighted fair order between tenants.
//!
//! Start-time fair queueing. Each tenant has a virtual time, which grows by
//! what it takes divided by its weight; the least goes first. Virtual times
//! are kept relative to the tenant that is furthest behind among those who
//! wait. So a tenant that comes back after a pause, or comes for the first
//! time, starts level with that one: it has saved up nothing, and owes nothing
//! but what it took last. When nobody is left waiting, all are level again.

use std::collections::{BTreeMap, BTreeSet};

use super::Limits;
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
}

/// The virtual times while a plan is made.
#[derive(Debug)]
pub(super) struct Turns {
    tenants: BTreeMap<TenantId, Standing>,
    waiting: BTreeSet<TenantId>,
    /// The price of a create, in items.
    create: u32,
}

#[derive(Debug)]
struct Standing {
    weight: i64,
    vtime: i64,
}

impl Turns {
    pub(super) fn new(shares: &[TenantShare], limits: &Limits) -> Self {
        let tenants = shares
            .iter()
            .map(|share| (share.tenant, Standing::new(share)))
            .collect();
        Self {
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
        };
        let standing = self
            .tenants
            .entry(tenant)
            .or_insert_with(|| Standing::new(&fresh));
        let cost = i64::from(items) + i64::from(self.create);
        standing.vtime = standing.vtime.saturating_add(cost * ITEM / standing.weight);
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

impl Standing {
    fn new(share: &TenantShare) -> Self {
        let weight = i64::from(share.weight.max(1));
        Self {
            weight,
            vtime: share.vtime.max(0),
        }
    }
}
