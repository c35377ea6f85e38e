//! Deletes what its retention is over for, at Anthropic what its tenants do not want kept
//! there, and everything of tenants that are being erased.
//!
//! What is open keeps what it needs. At Anthropic goes only what was read to its last
//! line, three days ago: a database that was restored from a backup may have to read it
//! again. Never what is not surely ours. A delete that fails is repeated until it succeeded or Anthropic has deleted the results itself; if
//! the process dies here, it is made again, which changes nothing.

use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::incident::Kind;
use offpeak_domain::results;
use offpeak_store::incident::{self, Note};
use offpeak_store::upstream_copy::{self, Copy};
use offpeak_store::{retained, twin};
use time::OffsetDateTime;

use super::workspace;
use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::Setting;

/// After the last line of a batch was read, until it is deleted at Anthropic.
const AFTER: Duration = Duration::from_hours(72);
/// Until a delete that failed is tried again.
const AGAIN: Duration = Duration::from_hours(1);
/// After it might have been deleted, until it is an incident that it is not.
const LONG: Duration = Duration::from_hours(24);
/// How often Anthropic has to say that it does not know a batch: known ones are "not
/// found" for minutes now and then.
const ABSENT: u32 = 3;
/// Batches that are deleted in one tick, of one upstream.
const BATCHES: i64 = 50;
/// Rows that one step of retention looks at, in a transaction of its own.
const CHUNK: i64 = 500;
/// Such steps in one tick, after which it rests.
const STEPS: usize = 2;
/// Partitions dropped in one tick.
const PARTITIONS: i64 = 4;
/// Between two looks while nothing is to be done.
const ROUND: Duration = Duration::from_mins(1);

pub(crate) struct Purge(pub(crate) Arc<Setting>);

impl Purge {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let mut outcome = Outcome {
            wait: Wait::For(ROUND),
            ..Outcome::default()
        };
        let Some(led) = self.0.lead("purge").await? else {
            return Ok(outcome);
        };
        let led = Self(led.setting());
        let now = led.0.clock.now().await?;
        let mut failed = None;
        // Neither keeps the other waiting, nor what is due at Anthropic.
        let mut done = |came: Result<u64>| {
            came.unwrap_or_else(|error| {
                failed = Some(error);
                0
            })
        };
        let retained = done(led.retain(now).await);
        let erased = done(led.erase(now).await);
        outcome.done += retained + erased;
        for upstream in led.0.upstreams().iter() {
            match led.at(upstream, now).await {
                Ok(done) => outcome.done += done,
                // One upstream in trouble does not keep the others waiting.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if outcome.done > 0 {
            // Who is being erased has asked for it; what is merely over can wait.
            outcome.wait = if erased > 0 { Wait::Now } else { Wait::Rested };
        }
        Ok(outcome)
    }

    /// Deletes what its retention is over for, up to [`STEPS`] steps of it. Returns at
    /// how many rows it looked: while it finds some, there may be more.
    async fn retain(&self, now: OffsetDateTime) -> Result<u64> {
        let system = &self.0.system;
        retained::advance(system, now, self.0.options.retention).await?;
        // Before the rows: what goes with its partition need not be deleted.
        let dropped = retained::drop_partitions(system, now, PARTITIONS).await?;
        if dropped > 0 {
            tracing::info!(dropped, "partitions of inputs or results are over");
        }
        let mut looked = retained::quarantined(system, CHUNK).await?;
        for _ in 0..STEPS {
            let gone = retained::walk(system, now, CHUNK).await?;
            looked += gone.looked;
            if gone.looked == 0 {
                break;
            }
        }
        let again = retained::look_again(system, now, CHUNK).await?;
        Ok(dropped + looked + again.looked)
    }

    /// Does what is due at one upstream. Returns how much.
    async fn at(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<u64> {
        let twins = self.twins(upstream, now).await?;
        Ok(twins + self.erase_at(upstream, now).await? + self.copies(upstream, now).await?)
    }

    /// Deletes late twins whose tenants want that. Returns how many went.
    async fn twins(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<u64> {
        let system = &self.0.system;
        let mut done = 0;
        for id in twin::to_delete(system, upstream.id, now, results::KEPT, BATCHES).await? {
            match upstream.delete_batch(&id).await {
                Ok(()) => {
                    twin::deleted(system, upstream.id, &id, now).await?;
                    done += 1;
                }
                // Whether it is gone or not seen at the moment, the next try says as well:
                // until Anthropic keeps it no longer.
                Err(error) => {
                    twin::put_off(system, upstream.id, &id, now + AGAIN).await?;
                    tracing::warn!(
                        upstream_batch = id, %error,
                        "a late twin could not be deleted at Anthropic: it is tried again in an hour"
                    );
                }
            }
        }
        Ok(done)
    }

    /// Deletes what is due at one upstream. Returns how many went.
    async fn copies(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<u64> {
        let system = &self.0.system;
        let kept = results::KEPT;
        let due = upstream_copy::due(system, upstream.id, now, AFTER, kept, BATCHES).await?;
        let mut done = 0;
        for copy in due {
            done += u64::from(self.delete(upstream, &copy, now).await?);
        }
        Ok(done)
    }

    pub(super) async fn delete(
        &self,
        upstream: &Upstream,
        copy: &Copy,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let system = &self.0.system;
        let error = match upstream.delete_batch(&copy.upstream_batch_id).await {
            Ok(()) => {
                upstream_copy::deleted(system, copy.key, now).await?;
                return Ok(true);
            }
            Err(error) => error,
        };
        if of_read(&error) == Reading::Missing
            && copy.tries + 1 >= ABSENT
            && workspace::is_same(&self.0, upstream, copy.key, copy.created_at, now).await?
        {
            upstream_copy::deleted(system, copy.key, now).await?;
            return Ok(true);
        }
        upstream_copy::put_off(system, copy.key, now + AGAIN).await?;
        tracing::warn!(
            batch = %copy.key.batch, upstream_batch = copy.upstream_batch_id, %error,
            "a batch could not be deleted at Anthropic: it is tried again in an hour"
        );
        if now > copy.since + LONG {
            let note = Note {
                kind: Kind::CopyKept,
                at: now,
                upstream: Some(upstream.id),
                tenant: Some(copy.key.tenant),
                batch: Some(copy.key.batch),
                upstream_batch_id: Some(&copy.upstream_batch_id),
                detail: "its tenant wants it deleted at Anthropic, and that has failed for a day",
            };
            incident::note(system, &note).await?;
        }
        Ok(false)
    }
}
