//! Cancels or retries every job that a filter finds, a chunk at a time, within the
//! walls of the tenant that asked for it. Each tenant has one chunk in turn, and each
//! of its operations. Any number of processes may be at it: one that is worked on is
//! passed by. If the process dies here, the chunk under way was done with the note of
//! how far it came, or not at all.

use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::job::Outcome as JobOutcome;
use offpeak_domain::operation::Action;
use offpeak_store::list::{self, Bounds};
use offpeak_store::operation::{self, Chunk, Due, Operation};
use offpeak_store::{Error as Store, TenantTx, cancel, estimates, retry};

use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::worker::{Loop, Setting};

/// Tenants that have a chunk done in one tick.
const TENANTS: i64 = 20;
/// Jobs of a chunk.
const JOBS: usize = 1_000;
/// The same of a retry, for which prompts may have to be read.
const JOBS_TO_RETRY: usize = 200;
/// What a chunk looks at to find them.
const BOUNDS: Bounds = Bounds {
    rows: 10_000,
    probes: 5_000,
    time: Duration::from_millis(200),
};
/// Until one whose chunk failed has its turn again.
const PUT_OFF: Duration = Duration::from_secs(10);
/// Until one that somebody else works on is looked at again.
const HELD: Duration = Duration::from_secs(1);

pub(crate) struct Operate(pub(crate) Arc<Setting>);

/// What came of one turn.
enum Turn {
    /// Somebody else is at it, or has ended it.
    Held,
    /// Jobs were moving while they were looked for: nothing was done.
    Moving,
    /// So many jobs were changed.
    Done { action: Action, jobs: u64 },
    /// No more of it will be done.
    Stopped,
}

impl Operate {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let (mut done, mut queued) = (0, false);
        let due = operation::due(&self.0.system, TENANTS).await?;
        let wait = if due.is_empty() {
            Wait::Idle
        } else {
            Wait::For(HELD)
        };
        for due in due {
            match self.turn(due).await {
                Ok(Turn::Held | Turn::Moving) => {}
                Ok(Turn::Done { action, jobs }) => {
                    // A look that found nothing has come further all the same.
                    done += jobs.max(1);
                    queued |= action == Action::Retry && jobs > 0;
                }
                Ok(Turn::Stopped) => done += 1,
                // One in trouble does not keep the others waiting.
                Err(error) => {
                    tracing::warn!(operation = %due.id, %error, "a chunk failed");
                    let problem = "a part of it failed, and is tried again";
                    operation::put_off(&self.0.system, due, PUT_OFF, problem).await?;
                }
            }
        }
        Ok(Outcome {
            done,
            wait: if done > 0 { Wait::Now } else { wait },
            wakes: if queued {
                vec![Loop::Form, Loop::Direct]
            } else {
                Vec::new()
            },
            ..Outcome::default()
        })
    }

    /// Does one chunk.
    async fn turn(&self, due: Due) -> Result<Turn> {
        let mut tx = self.0.system.begin_for(due.tenant).await?;
        let Some(of) = operation::take(&mut tx, due.id).await? else {
            return Ok(Turn::Held);
        };
        let limit = match of.action {
            Action::Cancel => JOBS,
            Action::Retry => JOBS_TO_RETRY,
        };
        let page = list::page_within(&mut tx, &of.filter, limit, BOUNDS).await?;
        let jobs = operation::there(&mut tx, &of, &page.jobs).await?;
        let changed = match of.action {
            Action::Cancel => {
                let done = cancel::jobs(&mut tx, &jobs).await?;
                if !done.moving.is_empty() {
                    return Ok(Turn::Moving);
                }
                done.canceled.len()
            }
            Action::Retry => match self.retry(&mut tx, &of, &jobs).await {
                Ok(changed) => changed,
                Err(Store::OverBudget(refusal)) => {
                    drop(tx);
                    return self.stop(due, &refusal.to_string()).await;
                }
                Err(error) => return Err(error.into()),
            },
        };
        let chunk = Chunk {
            done: changed as u64,
            left: jobs.len().saturating_sub(changed) as u64,
            next: page.next,
        };
        let over = operation::chunk(&mut tx, &of, chunk).await?;
        tx.commit().await?;
        if over {
            tracing::info!(operation = %of.id, "every job that matched was looked at");
        }
        Ok(Turn::Done {
            action: of.action,
            jobs: chunk.done,
        })
    }

    async fn retry(
        &self,
        tx: &mut TenantTx,
        of: &Operation,
        jobs: &[offpeak_domain::id::JobId],
    ) -> offpeak_store::Result<usize> {
        let outcomes: Vec<JobOutcome> = JobOutcome::ALL
            .iter()
            .copied()
            .filter(|outcome| of.filter.states.contains(&(*outcome).into()))
            .collect();
        let expected = estimates::of_ended(tx, jobs, &outcomes, &self.0.prices).await?;
        let done = retry::jobs(tx, jobs, &outcomes, &expected).await?;
        Ok(done.retried.len())
    }

    /// A budget has no room: nothing of this chunk was done, and what was done before
    /// goes on.
    async fn stop(&self, due: Due, why: &str) -> Result<Turn> {
        let mut tx = self.0.system.begin_for(due.tenant).await?;
        let stopped = operation::stop(&mut tx, due.id, Some(why)).await?;
        tx.commit().await?;
        tracing::info!(operation = %due.id, "a budget has no room: stopped");
        Ok(if stopped { Turn::Stopped } else { Turn::Held })
    }
}
