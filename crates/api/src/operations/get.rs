use offpeak_store::operation;
use offpeak_wire::{Operation, Problem};

use super::{missing, parse_id, view};
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// One operation, and how far it is
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "operations", operation_id = "get_operation",
    params(("id" = String, Path, description = "`op_…`")),
    responses(
        (status = 200, description = "The operation", body = Operation),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Operation>> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    let found = operation::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(axum::Json(view(found.ok_or_else(missing)?)))
}
