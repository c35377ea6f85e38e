//! Which batches to close now, why, and why the rest waits.
//!
//! A plan is for one upstream and made from sums: it names how much to take
//! from which bucket, never single jobs. So it costs what there are buckets,
//! however long the queue is, and every worker makes the same plan from the
//! same facts.
//!
//! A bucket is due when it fills a batch (`item_limit`, `byte_limit`), when
//! its oldest job has waited for the flush delay (`age`), when nothing new came
//! for a while (`idle`), or when a deadline is near (`urgency`). With more
//! buckets than creates in a flush delay, waiting pays: then no bucket is
//! closed for being idle, and those that age closes say `create_rate`. That is asked
//! of each tenant: many buckets of one keep nobody else waiting. A batch
//! that is cut to what the upstream's queue still takes says `queue_full`.
//!
//! Results come only when a whole batch has ended. Where it was seen that larger
//! ones take longer ([`Pace`]), a batch is closed before its size makes up most of
//! that time, as long as half of the creates are left, and in any case before it
//! would end after a deadline (`turnaround`).
//! Creates and queue places go round fairly between tenants ([`fair`]).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use time::OffsetDateTime;

use crate::batch::CloseReason;
use crate::id::{BucketId, TenantId};

pub mod body;
mod due;
pub mod fair;
mod pace;

pub use body::{ITEM_OVERHEAD, body_len};
pub use fair::{Held, TenantShare};
pub use pace::{Pace, Took};

use due::{Demand, Want};
use fair::Turns;

/// How large a batch may get, and how long a job may wait for company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items in one batch; at most [`Limits::HARD_ITEMS`].
    pub max_items: u32,
    /// Bytes of one request body; at most [`Limits::HARD_BYTES`]. A job that
    /// is larger by itself goes alone.
    pub max_bytes: u64,
    /// Flush delay: the longest that a job waits for its batch to fill.
    pub flush_after: Duration,
    /// A bucket to which nothing was added for so long is closed.
    pub idle_after: Duration,
    /// A bucket with a deadline so near is closed at once.
    pub urgent_within: Duration,
    /// How long batches have taken by their size; none while that is not known,
    /// or makes no difference.
    pub pace: Option<Pace>,
}

impl Limits {
    /// Anthropic's limit of requests in one batch.
    pub const HARD_ITEMS: u32 = 100_000;
    /// Anthropic says 256 MB, and not whether that is 10⁶ or 2²⁰ bytes each;
    /// this stays well below.
    pub const HARD_BYTES: u64 = 200_000_000;

    /// No job waits longer than this for anything.
    const HARD_DELAY: Duration = Duration::from_hours(7 * 24);

    /// These limits, inside Anthropic's and reason's.
    fn clamped(self) -> Self {
        Self {
            max_items: self.max_items.clamp(1, Self::HARD_ITEMS),
            max_bytes: self.max_bytes.min(Self::HARD_BYTES),
            flush_after: self.flush_after.min(Self::HARD_DELAY),
            idle_after: self.idle_after.min(Self::HARD_DELAY),
            urgent_within: self.urgent_within.min(Self::HARD_DELAY),
            pace: self.pace,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_items: 10_000,
            max_bytes: 64 << 20,
            flush_after: Duration::from_mins(1),
            idle_after: Duration::from_secs(5),
            urgent_within: Duration::from_hours(1),
            pace: None,
        }
    }
}

/// What the upstream still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Create calls that may be made now.
    pub creates_left: u32,
    /// Create calls that one minute brings.
    pub creates_per_minute: u32,
    /// Items that may still be queued upstream.
    pub queue_left: u64,
    /// With whom it is shared; none in a deployment of one tenant.
    pub shared: Option<Shared>,
}

/// What a budget that several tenants have is in all, and who else has a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Items that may be queued upstream in all.
    pub queue: u64,
    /// Sum of the weights of tenants who hold something and wait for nothing.
    pub holding: u64,
}

/// What is ready in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketFacts {
    /// Whose jobs.
    pub tenant: TenantId,
    /// Which bucket.
    pub bucket: BucketId,
    /// Jobs that are ready.
    pub items: u64,
    /// Sum of the lengths of their params.
    pub bytes: u64,
    /// Since when the first of them is ready.
    pub oldest: OffsetDateTime,
    /// Since when the last of them is ready.
    pub newest: OffsetDateTime,
    /// The earliest deadline of any of them.
    pub earliest_deadline: Option<OffsetDateTime>,
    /// The allowed size of a batch, where one was refused as a whole.
    pub item_cap: Option<u32>,
}

/// One batch to form: take as many jobs from the bucket as [fit](Close::takes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// Whose jobs.
    pub tenant: TenantId,
    /// From which bucket.
    pub bucket: BucketId,
    /// At most so many.
    pub max_items: u32,
    /// At most so long a body.
    pub max_bytes: u64,
    /// Why now.
    pub reason: CloseReason,
}

impl Close {
    /// How many of the jobs with params of these lengths, in the order of the
    /// queue, the batch takes. The first is always taken, or a job above the
    /// limit would wait for ever.
    pub fn takes(&self, params_bytes: impl IntoIterator<Item = u64>) -> usize {
        let mut total = 0_u64;
        let mut fits = |(index, bytes): &(u64, u64)| {
            total = total.saturating_add(*bytes);
            *index == 0 || body_len(index + 1, total) <= self.max_bytes
        };
        (0_u64..u64::from(self.max_items))
            .zip(params_bytes)
            .take_while(|item| fits(item))
            .count()
    }
}

/// Why jobs stay in a bucket for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Their batch may still fill.
    Filling,
    /// They are due, and no create call is left.
    CreateRate,
    /// They are due, and the upstream's queue takes no more.
    QueueFull,
}

/// A bucket from which jobs stay behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Whose jobs.
    pub tenant: TenantId,
    /// In which bucket.
    pub bucket: BucketId,
    /// Why they stay.
    pub reason: HoldReason,
    /// When to look again; `None` when only an event can help.
    pub until: Option<OffsetDateTime>,
}

/// What to do now, and when to look again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Batches to form, in this order.
    pub close: Vec<Close>,
    /// Buckets from which something stays behind.
    pub hold: Vec<Hold>,
    /// Virtual times that changed, to be stored for the next plan.
    pub shares: Vec<(TenantId, i64)>,
    /// The earliest time at which a hold may end by itself.
    pub next_wake: Option<OffsetDateTime>,
}

/// Waiting less for a create to come free would be spinning.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Plans for one upstream. Equal facts, in any order, give an equal plan.
///
/// `shares` may hold tenants without a bucket; a tenant that is missing there
/// has the default weight and a fresh virtual time. Buckets without items are
/// left out.
pub fn plan(
    now: OffsetDateTime,
    buckets: &[BucketFacts],
    shares: &[TenantShare],
    limits: &Limits,
    budget: &Budget,
) -> Plan {
    let limits = limits.clamped();
    let mut demands: Vec<Demand> = buckets
        .iter()
        .filter(|facts| facts.items > 0)
        .map(|facts| Demand::new(*facts))
        .collect();
    let mut left = *budget;
    let mut turns = Turns::new(shares, &limits);
    let mut buckets_of: BTreeMap<TenantId, usize> = BTreeMap::new();
    for demand in &demands {
        *buckets_of.entry(demand.facts().tenant).or_default() += 1;
    }
    let crowded: BTreeSet<TenantId> = buckets_of
        .into_iter()
        .filter(|(tenant, own)| is_crowded(turns.crowd(*tenant, *own), &limits, budget))
        .map(|(tenant, _)| tenant)
        .collect();
    let mut plan = Plan::default();

    // Whose tenant is furthest behind comes first; of one tenant's buckets the
    // urgent ones, then round and round, the oldest first.
    let place = |index: usize, demand: &Demand, turns: &Turns| {
        let facts = demand.facts();
        let calm = !demand.is_urgent(now, &limits);
        let order = (calm, demand.batches(), facts.oldest, facts.bucket);
        Reverse((turns.of(facts.tenant), facts.tenant, order, index))
    };
    let mut queue: BinaryHeap<_> = demands
        .iter()
        .enumerate()
        .map(|(index, demand)| place(index, demand, &turns))
        .collect();

    while let Some(Reverse((turn, tenant, _, index))) = queue.pop() {
        let demand = &mut demands[index];
        if turn != turns.of(tenant) {
            // Another bucket of this tenant was served since: queue up again.
            queue.push(place(index, demand, &turns));
            continue;
        }
        let bucket = demand.facts().bucket;
        let mut hold = |reason, until| {
            plan.hold.push(Hold {
                tenant,
                bucket,
                reason,
                until,
            });
        };
        let crowded = crowded.contains(&tenant);
        let (may_create, room) = turns.room(tenant, &left);
        // Small batches are for when there are creates to spare.
        let spare =
            !crowded && u64::from(left.creates_left) * 2 > u64::from(budget.creates_per_minute);
        match demand.want(now, &limits, crowded, spare) {
            Want::Wait(until) => hold(HoldReason::Filling, Some(until)),
            Want::Batch(..) if !may_create => {
                turns.wait(tenant);
                let until = now + time_for_one_create(budget).max(LEAST_WAIT);
                hold(HoldReason::CreateRate, Some(until));
            }
            Want::Batch(..) if room == 0 => {
                turns.wait(tenant);
                hold(HoldReason::QueueFull, None);
            }
            Want::Batch(items, reason) => {
                // However little: waiting for more room could be for ever.
                let room = u32::try_from(room).unwrap_or(u32::MAX);
                let reason = if room < items {
                    CloseReason::QueueFull
                } else {
                    reason
                };
                let max_items = items.min(room);
                let max_bytes = limits.max_bytes;
                plan.close.push(Close {
                    tenant,
                    bucket,
                    max_items,
                    max_bytes,
                    reason,
                });
                left.creates_left -= 1;
                left.queue_left -= u64::from(max_items);
                turns.take(tenant, max_items);
                demand.cut(max_items);
                if !demand.is_empty() {
                    queue.push(place(index, demand, &turns));
                }
            }
        }
    }
    plan.next_wake = plan.hold.iter().filter_map(|hold| hold.until).min();
    plan.shares = turns.finish();
    plan
}

/// Whether there are more buckets than creates in one flush delay.
fn is_crowded(buckets: u32, limits: &Limits, budget: &Budget) -> bool {
    time_for_one_create(budget).saturating_mul(buckets) > limits.flush_after
}

fn time_for_one_create(budget: &Budget) -> Duration {
    Duration::from_mins(1) / budget.creates_per_minute.max(1)
}

#[cfg(test)]
mod tests;
