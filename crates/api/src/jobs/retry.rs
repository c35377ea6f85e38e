use axum::extract::State as Extract;
use offpeak_domain::job::{Outcome, State as JobState};
use offpeak_store::{Error as Store, estimates, job, point, retry};
use offpeak_wire::{Job, Problem};

use super::get::parse_id;
use super::view;
use crate::State;
use crate::caller::{JobsWrite, May};
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Run a job once more
///
/// Only a job that has ended can be retried. Its result is set aside and the
/// job is queued again, with the same prompt.
///
/// A completed job is retried only with `completed=true`: the new attempt is
/// paid for as well, and the answer so far is no longer shown, whatever becomes
/// of the new attempt.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job",
    params(
        ("id" = String, Path, description = "`job_…`"),
        ("completed" = Option<bool>, Query, description = "True retries a completed job too"),
    ),
    responses(
        (status = 200, description = "The job, queued again", body = Job),
        (status = 402, description = "A hard budget has no room", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "What it was asked is deleted: its retention is over", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not ended, has completed, or is still at Anthropic", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A limit is reached, which `limit` names; a retry counts as a job", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    Segment(id): Segment,
    mut query: Query,
) -> Result<axum::Json<Job>> {
    let completed_too = query.flag("completed", false);
    query.end()?;
    let id = parse_id(&id)?;
    let outlook = state.outlook(caller.tenant()).await;
    let taken = state.allowance.jobs(caller.tenant(), 1)?;
    let mut tx = caller.begin().await?;
    // A staged one is not there.
    job::get(&mut tx, id).await?;
    let outcomes = if completed_too {
        Outcome::ALL
    } else {
        retry::TROUBLED
    };
    let expected = estimates::of_ended(&mut tx, &[id], outcomes, &state.prices).await?;
    let retried = retry::jobs(&mut tx, &[id], outcomes, &expected).await?;
    // After the attempt: it may have ended since it was looked for.
    let found = job::get(&mut tx, id).await?;
    if retried.retried.is_empty() {
        if found.state.is_final() {
            job::params(&mut tx, id).await?;
        }
        return Err(if !retried.in_flight.is_empty() {
            Store::StillInFlight(id).into()
        } else if found.state == JobState::Completed {
            already_completed()
        } else {
            Store::NotEnded(id).into()
        });
    }
    let shown = view::job(found, tx.now(), &outlook);
    point!("api.retry_open");
    tx.commit().await?;
    taken.keep();
    point!("api.retried");
    state.hint.ready();
    Ok(axum::Json(shown))
}

/// Its answer would be lost.
pub(super) fn already_completed() -> Error {
    Error::new(
        Code::AlreadyCompleted,
        "the job has an answer that is paid for; to run it once more, pay again and lose this \
         answer, retry it with `?completed=true`",
    )
}
