use axum::http::header;
use axum::response::{IntoResponse, Response};
use offpeak_store::job;
use offpeak_wire::Problem;

use super::get::parse_id;
use crate::caller::{May, ResultsRead};
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// What a job asks Anthropic
///
/// The Messages params as they are sent, byte for byte: those of a job type are
/// rendered already. The mark for the prompt cache, which is put in on the way, is
/// not in them.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/request", tag = "jobs", operation_id = "get_job_request",
    params(("id" = String, Path, description = "`job_…`")),
    responses(
        (status = 200, description = "The params", body = Object, content_type = "application/json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its retention is over, and it was deleted", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<ResultsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<Response> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    // A staged one is not there.
    job::get(&mut tx, id).await?;
    let params = job::params(&mut tx, id).await?;
    tx.commit().await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], params).into_response())
}
