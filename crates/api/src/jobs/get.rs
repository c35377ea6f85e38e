use axum::extract::State as Extract;
use offpeak_domain::id::JobId;
use offpeak_store::job;
use offpeak_wire::{Job, Problem};

use super::view;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// One job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = String, Path, description = "`job_…`")),
    responses(
        (status = 200, description = "The job", body = Job),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<crate::State>,
    caller: Caller,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Job>> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    let found = job::get(&mut tx, id).await?;
    Ok(axum::Json(view::job(found, tx.now(), state.flush_after())))
}

/// What is no id names nothing: the same answer as for an id of nobody.
pub(super) fn parse_id(text: &str) -> Result<JobId> {
    text.parse().map_err(|_| Error::not_found("job"))
}
