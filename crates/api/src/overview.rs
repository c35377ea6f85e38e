//! A tenant's work at a glance.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::get;
use offpeak_domain::id::TenantId;
use offpeak_store::pace::{self, Step};
use offpeak_store::stream::{self, counts};
use offpeak_store::took::{self, OfType};
use offpeak_store::{TenantTx, overview, usage};
use offpeak_wire::{
    OpenBatches, OpenIncident, Overview, Pace, Problem, TimeToResult, UpstreamPause, UsageTotal,
};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::State;
use crate::batches;
use crate::caller::{Caller, JobsRead, May};
use crate::error::Result;
use crate::groups;
use crate::live_cursor::LiveCursor;
use crate::query::Query;
use crate::routes::Routes;
use crate::usage::total;

/// How long today's sum is good for others, at least: it reads every entry of the day …
const GOOD: Duration = Duration::from_secs(5);
/// … and so many times as long as reading it took, so that it is read for a twentieth
/// of the time at most.
const TIMES: u32 = 20;
/// Tenants whose sum is remembered, at most.
const TENANTS: usize = 10_000;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/overview", get(handle))
}

/// Over how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
enum Window {
    #[schema(rename = "1h")]
    Hour,
    #[schema(rename = "24h")]
    Day,
    #[schema(rename = "7d")]
    Week,
}

impl Window {
    fn steps(self) -> usize {
        match self {
            Self::Hour => 60,
            Self::Day => 96,
            Self::Week => 84,
        }
    }

    fn step(self) -> Duration {
        match self {
            Self::Hour => Duration::from_mins(1),
            Self::Day => Duration::from_mins(15),
            Self::Week => Duration::from_hours(2),
        }
    }

    /// When its first step begins, if it ends with the step of `now`.
    fn from(self, now: OffsetDateTime) -> OffsetDateTime {
        let step = i64::try_from(self.step().as_secs()).unwrap_or(1);
        let begun = now.unix_timestamp().div_euclid(step) * step;
        let before = step * (i64::try_from(self.steps()).unwrap_or(1) - 1);
        OffsetDateTime::from_unix_timestamp(begun - before).unwrap_or(now)
    }
}

/// A tenant's work at a glance
///
/// As cheap as one job, whatever was done: jobs by state, how many came and ended,
/// batches under way, what today cost, how long results took, what went wrong.
#[utoipa::path(
    get, path = "/v1/overview", tag = "overview", operation_id = "get_overview",
    params(("window" = inline(Option<Window>), Query, description = "Of `pace`: 1h (60 steps of a minute), 24h (96 of 15 minutes) or 7d (84 of two hours); 1h unless said")),
    responses(
        (status = 200, description = "As of now", body = Overview,
            headers(("offpeak-cursor" = String, description = "The answer holds at least every event up to there"))),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    mut query: Query,
) -> Result<([(HeaderName, HeaderValue); 1], axum::Json<Overview>)> {
    let window = query.parsed("window", "1h, 24h or 7d", |word| match word {
        "1h" => Some(Window::Hour),
        "24h" => Some(Window::Day),
        "7d" => Some(Window::Week),
        _ => None,
    });
    query.end()?;
    let window = window.unwrap_or(Window::Hour);

    let mut tx = caller.begin().await?;
    let now = tx.now();
    let cursor = LiveCursor::from(stream::head(&mut tx).await?);
    let jobs = counts::of(&mut tx, &[]).await?.jobs;
    let from = window.from(now);
    let steps = pace::since(&mut tx, from, window.step()).await?;
    let batches = overview::open_batches(&mut tx).await?;
    let incidents = overview::incidents(&mut tx).await?;
    let shown = Overview {
        as_of: now,
        jobs: groups::counts(&jobs),
        waiting_since: overview::waiting_since(&mut tx).await?,
        pace: series(window, from, &steps),
        batches: batches
            .into_iter()
            .map(|open| OpenBatches {
                state: batches::state(open.state),
                batches: open.batches,
                items: open.items,
            })
            .collect(),
        spend_today: state.spent.today(&caller, &mut tx).await?,
        time_to_result: took::lately(&mut tx).await?.iter().map(times).collect(),
        incidents: incidents
            .into_iter()
            .map(|one| OpenIncident {
                id: one.id.to_string(),
                kind: one.kind,
                at: one.at,
                batch: one.batch.map(|batch| batch.to_string()),
                detail: one.detail,
            })
            .collect(),
        pause: overview::pause(&mut tx).await?.map(|pause| UpstreamPause {
            reason: pause.reason,
            until: pause.until,
        }),
    };
    tx.commit().await?;
    Ok((cursor.header(), axum::Json(shown)))
}

/// Every step of a window, those in which nothing happened too.
fn series(window: Window, from: OffsetDateTime, steps: &[Step]) -> Pace {
    let empty = vec![0; window.steps()];
    let mut pace = Pace {
        from,
        step_seconds: window.step().as_secs(),
        accepted: empty.clone(),
        completed: empty.clone(),
        failed: empty.clone(),
        canceled: empty,
    };
    for step in steps {
        let after = Duration::try_from(step.at - from).unwrap_or_default();
        // What a clock ahead of ours has noted is of this moment.
        let number = usize::try_from(after.as_secs() / window.step().as_secs()).unwrap_or(0);
        let number = number.min(window.steps() - 1);
        pace.accepted[number] += step.accepted;
        pace.completed[number] += step.completed;
        pace.failed[number] += step.failed;
        pace.canceled[number] += step.canceled;
    }
    pace
}

fn times(of: &OfType) -> TimeToResult {
    let measured = of.times.of_size(0);
    TimeToResult {
        r#type: of.job_type.clone(),
        results: of.n,
        p50_seconds: measured.map(|times| batches::seconds(times.half)),
        p95_seconds: measured.map(|times| batches::seconds(times.most)),
    }
}

/// What today cost each tenant, as it was read not long ago.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<HashMap<TenantId, Known>>);

/// Until when it is good.
type Known = (Instant, UsageTotal);

impl Spent {
    async fn today(&self, caller: &Caller, tx: &mut TenantTx) -> Result<UsageTotal> {
        if let Some((good_until, sum)) = self.lock().get(&caller.tenant())
            && Instant::now() < *good_until
        {
            return Ok(sum.clone());
        }
        let begun = Instant::now();
        let today = tx.now().date();
        let row = usage::report(tx, today, today, &[], 1).await?.pop();
        let sum = total(row.as_ref());
        let mut known = self.lock();
        if known.len() >= TENANTS {
            known.clear();
        }
        let good_for = GOOD.max(begun.elapsed() * TIMES);
        known.insert(caller.tenant(), (begun + good_for, sum.clone()));
        Ok(sum)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, Window, series};
    use time::macros::datetime;

    #[test]
    fn a_window_ends_with_the_step_of_now() {
        let now = datetime!(2026-11-28 05:17:42.5 UTC);
        assert_eq!(Window::Hour.from(now), datetime!(2026-11-28 04:18 UTC));
        assert_eq!(Window::Day.from(now), datetime!(2026-11-27 05:30 UTC));
        assert_eq!(Window::Week.from(now), datetime!(2026-11-21 06:00 UTC));
    }

    #[test]
    fn steps_stand_at_their_time() {
        let from = datetime!(2026-11-28 04:18 UTC);
        let step = |at| Step {
            at,
            accepted: 3,
            completed: 2,
            failed: 1,
            canceled: 0,
        };
        let pace = series(
            Window::Hour,
            from,
            &[
                step(from),
                step(datetime!(2026-11-28 05:17 UTC)),
                step(datetime!(2026-11-28 05:19 UTC)),
            ],
        );
        assert_eq!((pace.accepted.len(), pace.step_seconds), (60, 60));
        assert_eq!((pace.accepted[0], pace.accepted[1]), (3, 0));
        assert_eq!((pace.accepted[59], pace.completed[59]), (6, 4));
    }
}
