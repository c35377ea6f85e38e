//! Sees to jobs whose deadline nears: those that escalate are put into the line of
//! direct calls in time to make it, those that fail end at their deadline.
//!
//! It calls nobody itself. If the process dies here, a job is in the line or it is
//! not, and the next tick looks again.

use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::route::{self, Pace};
use offpeak_store::{deadline, turnaround};
use time::OffsetDateTime;

use crate::Result;
use crate::outcome::{Outcome, Seen, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};

/// Jobs ended in one transaction.
const CHUNK: i64 = 1000;
/// Jobs whose deadlines are looked at together; those behind them have time.
const LINE: i64 = 10_000;
/// What a direct call is taken to last before enough were measured.
const CALL: Duration = Duration::from_secs(10);

pub(crate) struct Escalate(pub(crate) Arc<Setting>);

impl Escalate {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("escalate").await? else {
            return Ok(Outcome::default());
        };
        let system = &led.setting().system;
        let now = self.0.clock.now().await?;
        let failed = deadline::fail(system, now, CHUNK).await?;
        if failed > 0 {
            tracing::warn!(
                jobs = failed,
                "deadlines passed: jobs that were to fail then did"
            );
        }
        let mut seen = Seen {
            missed: failed,
            ..Seen::default()
        };
        let mut next = deadline::next_failing(system).await?;
        for upstream in self.0.upstreams().iter() {
            let line = deadline::line(system, upstream.id, LINE).await?;
            if line.is_empty() {
                continue;
            }
            let deadlines: Vec<OffsetDateTime> = line.iter().map(|late| late.deadline).collect();
            let pace = self.pace(upstream, now).await?;
            let (due, wake) = route::due(now, &deadlines, &pace);
            next = [next, wake].into_iter().flatten().min();
            let late: Vec<_> = line[..due]
                .iter()
                .filter(|late| !late.called)
                .copied()
                .collect();
            if late.is_empty() {
                continue;
            }
            let moved = deadline::escalate(system, &late, now).await?;
            tracing::info!(
                queued = moved.queued,
                in_batch = moved.in_batch,
                "deadlines near: called for directly"
            );
            seen.escalated.0 += moved.queued;
            seen.escalated.1 += moved.in_batch;
        }
        let escalated = seen.escalated.0 + seen.escalated.1;
        Ok(Outcome {
            done: failed + escalated,
            wait: match next {
                _ if failed > 0 => Wait::Now,
                Some(next) => Wait::until(now, next),
                None => Wait::Idle,
            },
            wakes: [(Loop::Direct, escalated), (Loop::Share, failed)]
                .into_iter()
                .filter_map(|(which, jobs)| (jobs > 0).then_some(which))
                .collect(),
            seen,
            ..Outcome::default()
        })
    }

    /// How fast late jobs can be called for, going by the calls of late.
    async fn pace(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<Pace> {
        let options = &self.0.options;
        let lately = turnaround::lately(&self.0.system, upstream.id, now).await?;
        let calls = lately.direct.of(now.hour(), None);
        Ok(Pace {
            parallel: options.parallel_calls,
            call: calls.map_or(CALL, |calls| calls.half),
            before: options
                .escalate_before
                .max(calls.map_or(Duration::ZERO, |calls| calls.most)),
        })
    }
}
