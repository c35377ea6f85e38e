//! What one bucket wants: a batch now, and why; or company, and until when.

use std::time::Duration;

use time::OffsetDateTime;

use super::body::{COMMA, ITEM_OVERHEAD, body_len};
use super::{BucketFacts, Limits};
use crate::batch::CloseReason;

/// A bucket of which batch after batch is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    facts: BucketFacts,
    /// What is left of its items and bytes.
    items: u64,
    bytes: u64,
    /// Batches that were cut already.
    batches: u32,
}

/// What a bucket wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A batch of so many items (at least 1), for this reason.
    Batch(u32, CloseReason),
    /// To fill up; at this time it wants a batch even if nothing is added.
    Wait(OffsetDateTime),
}

impl Demand {
    pub(super) fn new(facts: BucketFacts) -> Self {
        Self {
            facts,
            items: facts.items,
            bytes: facts.bytes,
            batches: 0,
        }
    }

    pub(super) fn facts(&self) -> &BucketFacts {
        &self.facts
    }

    pub(super) fn batches(&self) -> u32 {
        self.batches
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Whether a deadline is near. The job that has it may stand anywhere in
    /// the bucket, so it hurries all of it.
    pub(super) fn is_urgent(&self, now: OffsetDateTime, limits: &Limits) -> bool {
        self.facts
            .earliest_deadline
            .is_some_and(|at| at <= now + self.urgent_within(limits))
    }

    /// How near a deadline has to be: never nearer than what is left takes.
    fn urgent_within(&self, limits: &Limits) -> Duration {
        let items = u32::try_from(self.items).unwrap_or(u32::MAX);
        limits.pace.map_or(limits.urgent_within, |pace| {
            let takes = pace.time(items.min(limits.max_items));
            limits.urgent_within.max(takes).min(Limits::HARD_DELAY)
        })
    }

    /// What a batch may hold so that it does not take too long: for a deadline
    /// that can be kept, or, with creates to spare, for those who wait in it.
    fn in_time(&self, now: OffsetDateTime, limits: &Limits, spare: bool) -> Option<u32> {
        let pace = limits.pace?;
        let before_deadline = self
            .facts
            .earliest_deadline
            .and_then(|at| Duration::try_from(at - now).ok())
            .and_then(|left| pace.most_within(left));
        let turning_point = spare.then(|| pace.turning_point());
        [before_deadline, turning_point].into_iter().flatten().min()
    }

    /// What is due, the strongest reason first. In a crowd, being idle is none;
    /// with creates to `spare`, batches may be small.
    pub(super) fn want(
        &self,
        now: OffsetDateTime,
        limits: &Limits,
        crowded: bool,
        spare: bool,
    ) -> Want {
        let cap = self
            .facts
            .item_cap
            .unwrap_or(u32::MAX)
            .clamp(1, limits.max_items);
        let (cap, full) = match self.in_time(now, limits, spare) {
            Some(items) if items < cap => (items, CloseReason::Turnaround),
            _ => (cap, CloseReason::ItemLimit),
        };
        let fitting = self.fitting(limits.max_bytes);
        if self.items >= u64::from(cap) && fitting >= cap {
            return Want::Batch(cap, full);
        }
        if body_len(self.items, self.bytes) >= limits.max_bytes {
            return Want::Batch(fitting, CloseReason::ByteLimit);
        }
        // Fewer than the cap, or one of the two would have been true.
        let items = u32::try_from(self.items).unwrap_or(cap);
        let age_at = self.oldest_left() + limits.flush_after;
        let idle_at = self.facts.newest + limits.idle_after;
        if self.is_urgent(now, limits) {
            return Want::Batch(items, CloseReason::Urgency);
        }
        if age_at <= now {
            let reason = if crowded {
                CloseReason::CreateRate
            } else {
                CloseReason::Age
            };
            return Want::Batch(items, reason);
        }
        if idle_at <= now && !crowded {
            return Want::Batch(items, CloseReason::Idle);
        }
        let urgent_at = self
            .facts
            .earliest_deadline
            .map(|at| at - self.urgent_within(limits));
        let idle_at = (!crowded).then_some(idle_at);
        let until = [idle_at, urgent_at]
            .into_iter()
            .flatten()
            .fold(age_at, Ord::min);
        Want::Wait(until)
    }

    /// Since when the oldest job that is left is ready. Once a batch was cut,
    /// the oldest went with it; the newest is a safe bound, and the next plan,
    /// from new facts, will know.
    fn oldest_left(&self) -> OffsetDateTime {
        if self.batches == 0 {
            self.facts.oldest
        } else {
            self.facts.newest
        }
    }

    /// How many items of average size fit into a body; at least 1, at most all.
    fn fitting(&self, max_bytes: u64) -> u32 {
        let average = self
            .bytes
            .div_ceil(self.items.max(1))
            .saturating_add(ITEM_OVERHEAD);
        // Between n items stand n - 1 commas.
        let room = (max_bytes + COMMA.len() as u64).saturating_sub(body_len(0, 0));
        let fitting = (room / average).clamp(1, self.items.max(1));
        u32::try_from(fitting).unwrap_or(u32::MAX)
    }

    /// Takes so many items of average size away.
    pub(super) fn cut(&mut self, items: u32) {
        let taken = u64::from(items).min(self.items);
        let share = u128::from(self.bytes) * u128::from(taken) / u128::from(self.items.max(1));
        self.bytes -= u64::try_from(share).unwrap_or(self.bytes);
        self.items -= taken;
        self.batches += 1;
    }
}
