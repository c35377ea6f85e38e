use axum::extract::State as Extract;
use offpeak_domain::job::Outcome;
use offpeak_store::{Error as Store, job, retry};
use offpeak_wire::{Job, Problem};

use super::get::parse_id;
use super::view;
use crate::State;
use crate::caller::Caller;
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// Run a job once more
///
/// Only a job that has ended can be retried. Its result is set aside and the
/// job is queued again, with the same prompt.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job",
    params(("id" = String, Path, description = "`job_…`")),
    responses(
        (status = 200, description = "The job, queued again", body = Job),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not ended, or is still at Anthropic", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: Caller,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Job>> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    job::get(&mut tx, id).await?;
    let retried = retry::jobs(&mut tx, &[id], Outcome::ALL).await?;
    if retried.retried.is_empty() {
        let why = if retried.in_flight.is_empty() {
            Store::NotEnded(id)
        } else {
            Store::StillInFlight(id)
        };
        return Err(why.into());
    }
    let now = tx.now();
    let shown = view::job(job::get(&mut tx, id).await?, now);
    tx.commit().await?;
    state.hint.ready();
    Ok(axum::Json(shown))
}
