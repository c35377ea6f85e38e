//! Forms batches: reads what waits, lets the planner decide, stores the plan.
//!
//! It never sends anything. If the process dies here, a batch is either stored
//! with its jobs or not at all, and the next tick plans anew.

use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::breaker::Call;
use offpeak_domain::cache::{self, Facts};
use offpeak_domain::id::{BatchId, JobId, Minter, TenantId};
use offpeak_domain::plan::{
    self, BucketFacts, Budget, Close, Held, Limits, Pace, Shared, TenantShare,
};
use offpeak_store::ready::{self, Claim, Claimed, Spent, Waiting};
use offpeak_store::upstream::{self, Upstream};
use offpeak_store::{comparison, hold, lease, point, uncertain};
use time::OffsetDateTime;

use crate::outcome::{Outcome, Queue, Wait};
use crate::worker::{Loop, Setting};
use crate::{Error, Result, caching};

/// After the end of another process's lease, until it is taken over.
const AFTER_LEASE: Duration = Duration::from_millis(100);

/// Of so many batches, the latest, it is seen how long they take.
const PACED_BY: i64 = 200;

pub(crate) struct Form(pub(crate) Arc<Setting>);

impl Form {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let now = self.0.clock.now().await?;
        let mut outcome = Outcome::default();
        let mut next: Option<OffsetDateTime> = None;
        for upstream in upstream::all(&self.0.system, now).await? {
            // Before: every process shows it, also one that does not plan.
            let held = self.held(&upstream, now, &mut outcome).await?;
            // Two planners at once would each spend the whole budget.
            let name = format!("form/{}", upstream.id);
            let Some(led) = self.0.lead(&name).await? else {
                // Whoever leads may have died: that shows when its lease is over.
                let over = now + lease::left(&self.0.system, &name).await? + AFTER_LEASE;
                next = Some(next.map_or(over, |next| next.min(over)));
                continue;
            };
            point!("form.led");
            let wake = Self(led.setting())
                .plan(&upstream, held, now, &mut outcome)
                .await?;
            next = [next, wake].into_iter().flatten().min();
        }
        if outcome.done > 0 {
            outcome.wakes.push(Loop::Submit);
        }
        outcome.wait = next.map_or(Wait::Idle, |next| {
            // A plan that holds something for a budget has no moment of its own.
            match Wait::until(now, next) {
                Wait::Now => Wait::For(Duration::from_millis(100)),
                wait => wait,
            }
        });
        Ok(outcome)
    }

    /// Plans for one upstream and stores what the plan closes. Gives when to
    /// look again.
    async fn plan(
        &self,
        upstream: &Upstream,
        held: Option<OffsetDateTime>,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<Option<OffsetDateTime>> {
        let first_free = hold::first_free(&self.0.system, upstream.id).await?;
        let mut waiting = ready::waiting(&self.0.system, now, first_free).await?;
        waiting.retain(|bucket| bucket.upstream == upstream.id);
        let (before, here) = (outcome.queue.unwrap_or_default(), queue(&waiting, now));
        outcome.queue = Some(Queue {
            jobs: before.jobs + here.jobs,
            oldest: before.oldest.max(here.oldest),
        });
        if held.is_some() {
            return Ok(held);
        }
        let here: Vec<&Waiting> = waiting.iter().collect();
        let spent = ready::spent(&self.0.system, upstream.id, now).await?;
        let (facts, shares) = facts(&here, &spent);
        let budget = budget(upstream, &spent, &shares);
        let limits = Limits {
            pace: self.pace(upstream, !here.is_empty(), now).await?,
            ..self.0.options.limits
        };
        let plan = plan::plan(now, &facts, &shares, &limits, &budget);
        for hold in &plan.hold {
            tracing::debug!(bucket = %hold.bucket, reason = ?hold.reason, "held");
        }
        for close in &plan.close {
            outcome.done += u64::from(self.store(&here, close, first_free, now).await?);
        }
        ready::set_shares(&self.0.system, upstream.id, &plan.shares).await?;
        Ok(plan.next_wake)
    }

    /// Until when no batch is made, because none may be sent: a batch that waits
    /// as jobs may still fill.
    async fn held(
        &self,
        upstream: &Upstream,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<Option<OffsetDateTime>> {
        let (paused, upstream) = (upstream.paused_until, upstream.id);
        let upstreams = self.0.upstreams();
        let Some(ours) = upstreams.iter().find(|one| one.id == upstream) else {
            // Whoever has its key may plan for it.
            return Ok(Some(paused.unwrap_or(now + self.0.options.idle)));
        };
        ours.show_held("paused", paused.is_some());
        let outage = ours.held(Call::Create);
        ours.show_held("outage", outage.is_some());
        let compared = comparison::is_compared(&self.0.system, upstream).await?;
        ours.show_held("reconcile", !compared);
        if !compared {
            outcome.wakes.push(Loop::Reconcile);
        }
        let uncertain = uncertain::count(&self.0.system, upstream).await?;
        let doubtful = uncertain >= u64::from(self.0.options.max_uncertain);
        ours.show_held("uncertain", doubtful);
        if doubtful {
            tracing::debug!(
                %upstream, uncertain,
                "too many sends are uncertain: none begins before some are settled"
            );
        }
        let doubt = (doubtful || !compared).then_some(self.0.options.list_every);
        Ok(paused.or(outage.or(doubt).map(|wait| now + wait)))
    }

    /// How long batches take by their size, as far as that shows; asked only where
    /// one may be made.
    async fn pace(
        &self,
        upstream: &Upstream,
        asked: bool,
        now: OffsetDateTime,
    ) -> Result<Option<Pace>> {
        if !asked {
            return Ok(None);
        }
        let took = ready::took(&self.0.system, upstream.id, now, PACED_BY).await?;
        Ok(Pace::of(&took))
    }

    /// Stores one planned batch with its jobs, in one transaction. False when
    /// another process was faster.
    async fn store(
        &self,
        here: &[&Waiting],
        close: &Close,
        first_free: JobId,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let Some(bucket) = here
            .iter()
            .find(|bucket| bucket.tenant == close.tenant && bucket.bucket == close.bucket)
        else {
            return Ok(false);
        };
        let facts = caching::facts(&self.0, bucket, now).await?;
        let mut tx = self.0.system.begin().await?;
        let batch: BatchId = Minter::new(tx.now(), self.0.random()).mint();
        let claim = Claim {
            batch,
            tenant: close.tenant,
            bucket: close.bucket,
            upstream: bucket.upstream,
            model: &bucket.model,
            since: bucket.oldest,
            max_items: close.max_items,
            // The claim counts a comma with every item; the body has one fewer.
            max_bytes: (close.max_bytes + 1).saturating_sub(plan::body_len(0, 0)),
            item_overhead: plan::ITEM_OVERHEAD,
            reason: close.reason,
            first_free,
            prefix_tokens: bucket.prefix_tokens,
            prefix_hash: bucket.prefix_hash.as_deref(),
        };
        let body_len =
            |claimed: Claimed| plan::body_len(u64::from(claimed.items), claimed.params_bytes);
        let decision = |claimed: Claimed| {
            let items = claimed.items;
            cache::decide(&Facts { items, ..facts })
        };
        let claimed = ready::claim(&mut tx, now, &claim, body_len, decision).await?;
        let Some(claimed) = claimed else {
            return Ok(false);
        };
        point!("form.claimed");
        tx.commit().await?;
        point!("form.planned");
        tracing::info!(
            batch = %batch, tenant = %close.tenant, items = claimed.items,
            reason = close.reason.as_str(), "batch closed"
        );
        Ok::<_, Error>(true)
    }
}

/// What is left of an upstream's budgets, of which those with `shares` want more.
fn budget(upstream: &Upstream, spent: &Spent, shares: &[TenantShare]) -> Budget {
    let sum = spent.sum();
    let waits = |tenant: TenantId| {
        shares
            .binary_search_by_key(&tenant, |share| share.tenant)
            .is_ok()
    };
    let rest = spent.by.iter().filter(|(tenant, _)| !waits(**tenant));
    let holding = rest.map(|(_, (_, weight))| u64::from(*weight)).sum();
    Budget {
        creates_left: upstream.creates_per_minute.saturating_sub(sum.creates),
        creates_per_minute: upstream.creates_per_minute,
        queue_left: upstream.max_queued_items.saturating_sub(sum.items),
        shared: spent.shared.then_some(Shared {
            queue: upstream.max_queued_items,
            holding,
        }),
    }
}

/// What the planner reads: a bucket's facts, and one share per tenant.
fn facts(here: &[&Waiting], spent: &Spent) -> (Vec<BucketFacts>, Vec<TenantShare>) {
    let buckets = here
        .iter()
        .map(|bucket| BucketFacts {
            tenant: bucket.tenant,
            bucket: bucket.bucket,
            items: bucket.items,
            bytes: bucket.bytes,
            oldest: bucket.oldest,
            newest: bucket.newest,
            earliest_deadline: bucket.deadline,
            item_cap: bucket.max_items,
        })
        .collect();
    let mut shares: Vec<TenantShare> = here
        .iter()
        .map(|bucket| TenantShare {
            tenant: bucket.tenant,
            weight: bucket.weight,
            vtime: bucket.vtime.unwrap_or(0),
            held: spent
                .by
                .get(&bucket.tenant)
                .map_or_else(Held::default, |(held, _)| *held),
        })
        .collect();
    // The buckets come by age, so a tenant's need not stand together.
    shares.sort_by_key(|share| share.tenant);
    shares.dedup_by_key(|share| share.tenant);
    (buckets, shares)
}

fn queue(waiting: &[Waiting], now: OffsetDateTime) -> Queue {
    let oldest = waiting.iter().map(|bucket| bucket.oldest).min();
    Queue {
        jobs: waiting.iter().map(|bucket| bucket.items).sum(),
        oldest: oldest
            .and_then(|oldest| Duration::try_from(now - oldest).ok())
            .unwrap_or_default(),
    }
}
