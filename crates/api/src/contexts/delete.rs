use axum::http::StatusCode;
use offpeak_store::context;
use offpeak_wire::Problem;

use crate::caller::{JobsWrite, May};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Delete a context
///
/// Jobs that were submitted with it run with its text all the same.
#[utoipa::path(
    delete, path = "/v1/contexts/{id}", tag = "contexts", operation_id = "delete_context",
    params(("id" = String, Path, description = "`ctx_…`")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsWrite>,
    Segment(id): Segment,
    query: Query,
) -> Result<StatusCode> {
    query.end()?;
    let none = || Error::not_found("context");
    let id = id.parse().map_err(|_| none())?;
    let mut tx = caller.begin().await?;
    if !context::delete(&mut tx, id).await? {
        return Err(none());
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
