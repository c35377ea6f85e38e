use std::collections::BTreeSet;

use axum::extract::State as Extract;
use offpeak_domain::id::JobId;
use offpeak_domain::job::{Outcome, State as JobState};
use offpeak_store::{Error as Store, estimates, retry};
use offpeak_wire::{ManyRetried, Problem, RetryRequest};

use super::{Asked, not_done, states};
use crate::State;
use crate::body::Json;
use crate::caller::{JobsWrite, May};
use crate::error::{Error, Result};
use crate::jobs::retry::already_completed;
use crate::query::Query;

/// Run many jobs once more
///
/// All that have ended, in one transaction, each as if it were retried alone:
/// completed ones only with `completed`. A hard budget that has no room for all of
/// them refuses all.
#[utoipa::path(
    post, path = "/v1/jobs/retry", tag = "jobs", operation_id = "retry_jobs",
    request_body = RetryRequest,
    responses(
        (status = 200, description = "How many are queued again, and why the others are not", body = ManyRetried),
        (status = 402, description = "A hard budget has no room", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A limit is reached, which `limit` names; each counts as a job", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<ManyRetried>> {
    query.end()?;
    let mut asked = Asked::to_retry(&body)?;
    let outcomes = if asked.completed_too {
        Outcome::ALL
    } else {
        retry::TROUBLED
    };
    let taken = state
        .allowance
        .jobs(caller.tenant(), asked.jobs.len() as u64)?;
    let mut tx = caller.begin().await?;
    asked.find(&mut tx).await?;
    let expected = estimates::of_ended(&mut tx, &asked.jobs, outcomes, &state.prices).await?;
    let done = retry::jobs(&mut tx, &asked.jobs, outcomes, &expected).await?;
    let retried: BTreeSet<_> = done.retried.iter().copied().collect();
    let in_flight: BTreeSet<_> = done.in_flight.iter().copied().collect();
    let left: Vec<JobId> = asked
        .jobs
        .into_iter()
        .filter(|id| !retried.contains(id))
        .collect();
    // After the attempt: one may have ended since it was looked for.
    let found = states(&mut tx, &left).await?;
    tx.commit().await?;
    if !retried.is_empty() {
        taken.keep();
        state.hint.ready();
    }
    let mut not_done = asked.not_done;
    not_done.extend(left.into_iter().map(|id| {
        let why = match found.get(&id) {
            _ if in_flight.contains(&id) => Store::StillInFlight(id).into(),
            Some(JobState::Completed) => already_completed(),
            Some(_) => Store::NotEnded(id).into(),
            None => Error::not_found("job"),
        };
        self::not_done(id.to_string(), &why)
    }));
    Ok(axum::Json(ManyRetried {
        retried: retried.len() as u64,
        not_done,
    }))
}
