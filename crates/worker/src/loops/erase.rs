//! One step after the other of the erasure of tenants; a part of the loop `purge`.
//!
//! A tenant's jobs are ended and its batches at Anthropic asked to end; the other loops
//! bring those to their end, which is how what they cost is booked. What is not needed
//! for that is deleted at once, in every state, until nothing is found any more.

use std::time::Duration;

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::results;
use offpeak_store::erasure::{self, Erasure, leave};
use time::OffsetDateTime;

use super::purge::Purge;
use crate::Result;
use crate::upstream::Upstream;

/// Rows of a table, or jobs, in one transaction.
const CHUNK: i32 = 1000;
/// Transactions of one kind for one tenant in one tick.
const STEPS: usize = 50;
/// Message batches that are asked to end in one tick.
const BATCHES: i64 = 50;
/// How long Anthropic keeps what is not deleted there.
const KEPT: Duration = results::KEPT;

impl Purge {
    /// Does some of what is to be done. Returns how much that was.
    pub(super) async fn erase(&self, now: OffsetDateTime) -> Result<u64> {
        let mut done = 0;
        for erasure in erasure::open(&self.0.system).await? {
            done += self.of(&erasure, now).await?;
        }
        Ok(done)
    }

    async fn of(&self, erasure: &Erasure, now: OffsetDateTime) -> Result<u64> {
        let (system, tenant) = (&self.0.system, erasure.tenant);
        let mut done = 0;
        // In every state: what was begun before the row may commit after it.
        for _ in 0..STEPS {
            let canceled = erasure::cancel_some(system, tenant, CHUNK.into()).await?;
            done += canceled;
            if canceled == 0 {
                break;
            }
        }
        for _ in 0..STEPS {
            if erasure::sweep_jobs(system, tenant, CHUNK.into()).await? {
                break;
            }
            done += 1;
        }
        for _ in 0..STEPS {
            if !erasure.leaves {
                break;
            }
            let gone = leave::some(system, tenant, now, KEPT, CHUNK.into()).await?;
            done += gone;
            if gone == 0 {
                break;
            }
        }
        let left = erasure::left(system, erasure, now, KEPT).await?;
        // With them goes the tenant's own key, which deletes what is at Anthropic.
        let last = !left.open && !left.twins;
        let mut swept = 0;
        for _ in 0..STEPS {
            swept = erasure::sweep_rest(system, tenant, now, KEPT, last, CHUNK).await?;
            done += swept;
            if swept == 0 {
                break;
            }
        }
        let state = match () {
            () if left.open => "canceling",
            () if left.known || left.twins || erasure.is_young(now) || swept > 0 || done > 0 => {
                "deleting"
            }
            () => "done",
        };
        if state != erasure.state {
            erasure::moved(system, tenant, state).await?;
            tracing::info!(%tenant, state, "the erasure of a tenant goes on");
            done += 1;
        }
        Ok(done)
    }

    /// Has what is being erased end, and go, at one upstream. Returns how much.
    pub(super) async fn erase_at(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<u64> {
        let system = &self.0.system;
        let mut done = 0;
        for (key, id) in erasure::to_cancel(system, upstream.id, BATCHES).await? {
            match upstream.cancel_batch(&id).await {
                Ok(_) => {
                    erasure::cancel_asked(system, key, now).await?;
                    done += 1;
                }
                // It has ended meanwhile, or is not known at this moment: the next look
                // at it says so.
                Err(error) if of_read(&error) == Reading::Invalid => {
                    erasure::cancel_asked(system, key, now).await?;
                }
                Err(error) if of_read(&error) == Reading::Missing => {}
                Err(error) => return Err(error.into()),
            }
        }
        for copy in erasure::copies(system, upstream.id, now, KEPT, BATCHES).await? {
            done += u64::from(self.delete(upstream, &copy, now).await?);
        }
        Ok(done)
    }
}
