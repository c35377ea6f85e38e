use axum::extract::State as Extract;
use offpeak_domain::audit::Action;
use offpeak_store::{cancel, job, point};
use offpeak_wire::{Job, Problem};

use super::get::parse_id;
use super::view;
use crate::caller::{JobsWrite, May};
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Cancel a job
///
/// What waits never runs. What is at Anthropic already ends there and is paid
/// for, but its answer is set aside. A job that has ended stays as it is.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "`job_…`")),
    responses(
        (status = 200, description = "The job, which has ended now", body = Job),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<crate::State>,
    caller: May<JobsWrite>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Job>> {
    query.end()?;
    let id = parse_id(&id)?;
    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    job::get(&mut tx, id).await?;
    let canceled = cancel::jobs(&mut tx, &[id]).await?;
    if !canceled.moving.is_empty() {
        return Err(moving());
    }
    let now = tx.now();
    let shown = view::job(job::get(&mut tx, id).await?, now, &outlook);
    if !canceled.canceled.is_empty() {
        let target = id.to_string();
        caller
            .note(&mut tx, Action::JobsCancel, &target, "")
            .await?;
    }
    point!("api.cancel_open");
    tx.commit().await?;
    point!("api.canceled");
    Ok(axum::Json(shown))
}

/// It was looked for three times, and each time it had just moved on.
pub(crate) fn moving() -> Error {
    Error::new(
        Code::Unavailable,
        "a job moves between queue and batch at this moment; try again",
    )
}
