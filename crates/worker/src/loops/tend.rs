//! Upkeep: partitions ahead of time, statistics, uploads that nobody finished,
//! idempotency keys that expired, leases of processes that are gone, a look at
//! the disk; and a look for batches that are late, which become incidents. If the
//! process dies here, the next tick does the rest.

use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::results;
use offpeak_domain::room::Level;
use offpeak_store::incident::{self, Patience};
use offpeak_store::{budget, operation, pace, point, room, share, tend, took, turnaround};
use time::OffsetDateTime;

use crate::Result;
use crate::outcome::{Outcome, Seen, Wait};
use crate::worker::Setting;

/// Days for which partitions stand ready.
const AHEAD: i32 = 7;
/// Days for which events stay.
const EVENTS: i32 = 7;
/// Rows removed in one transaction.
const CHUNK: i64 = 1000;
/// Between two looks for jobs that ended without a word to their budgets.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// How long it stays known how much of a budget was used, from the begin of its
/// period: beyond the month after a month.
const BUDGETS: Duration = Duration::from_hours(70 * 24);
/// How long it stays known what was done with all jobs that matched.
const OPERATIONS: Duration = Duration::from_hours(90 * 24);
/// Between two rounds with nothing left to remove.
const ROUND: Duration = Duration::from_mins(1);
/// Between two refreshes of the parents' statistics, which read a sample of every
/// partition; the partitions' own are autovacuum's affair.
const ANALYSE: Duration = Duration::from_hours(6);

/// Between two looks for leaders that a process of the version before has ended.
const MEND: Duration = Duration::from_mins(10);

/// After the time at which a batch must have ended, until it is an incident.
const OVERDUE: Duration = Duration::from_hours(1);
/// After its end, until results that are not read are worth a warning …
const RESULTS_LATE: Duration = Duration::from_hours(1);
/// … and an incident.
const RESULTS_WAITING: Duration = Duration::from_hours(24);
/// How long Anthropic keeps results, from a batch's creation.
pub(super) const RESULTS_KEPT: Duration = results::KEPT;
/// From then on those that are not read are about to be lost: half a day before.
const RESULTS_NEAR: Duration = RESULTS_KEPT.saturating_sub(Duration::from_hours(12));
/// After a send, until its unknown outcome is an incident: a batch has ended by
/// then, and says itself whose it is.
const UNCERTAIN: Duration = Duration::from_hours(25);
/// After a batch was planned, until it is an incident that it is not stored …
const UNSENT: Duration = Duration::from_hours(1);
/// … if that was tried more often than so.
const SENDS: u32 = 5;

pub(crate) struct Tend(pub(crate) Arc<Setting>);

impl Tend {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let system = &self.0.system;
        let now = self.0.clock.now().await?;
        // Every process says it, so that no gauge stays as its last leader left it.
        let seen = Seen {
            incidents: Some(incident::open_count(system).await?),
            waiting: Some(incident::waiting(system, now, RESULTS_LATE).await?),
            ..Seen::default()
        };
        let Some(led) = self.0.lead("tend").await? else {
            return Ok(Outcome {
                seen,
                wait: Wait::For(ROUND),
                ..Outcome::default()
            });
        };
        point!("tend.led");
        Self(led.setting()).keep(seen, now).await
    }

    /// What one process does for all.
    async fn keep(&self, seen: Seen, now: OffsetDateTime) -> Result<Outcome> {
        let (system, options) = (&self.0.system, &self.0.options);
        self.watch(&seen, now).await?;
        let made = tend::partitions_ahead(system, AHEAD).await?
            + tend::turn_events(system, AHEAD, EVENTS).await?;
        if made > 0 {
            tracing::info!(made, "partitions made, or dropped");
        }
        let folder = options.data_folder.as_deref();
        let level = room::measure(system, options.storage, folder).await?;
        if level != Level::Ok {
            tracing::error!(
                level = level.as_str(),
                "the database's disk is full: jobs are refused until there is room"
            );
        }
        // A lease that nobody renews says when it was done last, to all processes.
        if self.0.once_in(ANALYSE, "analyse").await? {
            tend::analyse(system).await?;
        }
        if self.0.once_in(MEND, "mend sharing").await? {
            share::mend(system, now).await?;
        }
        let patience = options.upload_patience;
        let staged = tend::purge_unopened(system, now, patience, CHUNK).await?;
        let keys = tend::purge_keys(system, now, options.key_age, CHUNK).await?;
        let leases = tend::purge_leases(system, CHUNK).await?;
        let tickets =
            tend::purge_tickets(system, CHUNK).await? + tend::purge_attempts(system, CHUNK).await?;
        let measured = turnaround::purge(system, now).await?
            + took::purge(system, now).await?
            + pace::purge(system, now).await?;
        let results = share::purge(system, now, CHUNK).await?;
        if self.0.once_in(FORGOTTEN, "settle budgets").await? {
            let settled = budget::settle_forgotten(system, now, CHUNK).await?;
            if settled > 0 {
                tracing::warn!(
                    settled,
                    "jobs were ended by a version that knows no budgets"
                );
            }
        }
        let used = budget::purge(system, now, BUDGETS, CHUNK).await?;
        let operations = operation::purge(system, now, OPERATIONS, CHUNK).await?;
        let gone = staged + keys + leases + tickets + measured + results + used + operations;
        let wait = if gone > 0 {
            Wait::Now
        } else {
            Wait::For(ROUND)
        };
        Ok(Outcome {
            done: u64::from(made) + gone,
            wait,
            seen,
            ..Outcome::default()
        })
    }

    /// Tells the operator about batches that are late.
    async fn watch(&self, seen: &Seen, now: OffsetDateTime) -> Result<()> {
        let patience = Patience {
            overdue: OVERDUE,
            waiting: RESULTS_WAITING,
            near_expiry: RESULTS_NEAR,
            uncertain: UNCERTAIN,
            unsent: UNSENT,
            sends: SENDS,
        };
        for noted in incident::watch(&self.0.system, now, patience).await? {
            tracing::error!(
                kind = noted.kind, batch = ?noted.batch, upstream_batch = noted.upstream_batch_id,
                "incident"
            );
        }
        if seen.waiting > Some(0) && self.0.once_in(RESULTS_LATE, "say results wait").await? {
            tracing::warn!(
                batches = seen.waiting,
                "batches ended over an hour ago and their results are not all read"
            );
        }
        Ok(())
    }
}
