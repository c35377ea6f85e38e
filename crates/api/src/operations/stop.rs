use offpeak_store::operation;
use offpeak_wire::{Operation, Problem};

use super::{missing, parse_id, view};
use crate::caller::{JobsWrite, May};
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// Stop an operation
///
/// What it has done stays done; no other job is looked at. One that has ended stays as
/// it is.
#[utoipa::path(
    post, path = "/v1/operations/{id}/stop", tag = "operations", operation_id = "stop_operation",
    params(("id" = String, Path, description = "`op_…`")),
    responses(
        (status = 200, description = "The operation, which has ended now", body = Operation),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsWrite>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Operation>> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    operation::stop(&mut tx, id, None).await?;
    let found = operation::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(axum::Json(view(found.ok_or_else(missing)?)))
}
