use offpeak_store::context;
use offpeak_wire::{Context, Problem};

use super::view;
use crate::caller::{JobsRead, May};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// One context, without its text
#[utoipa::path(
    get, path = "/v1/contexts/{id}", tag = "contexts", operation_id = "get_context",
    params(("id" = String, Path, description = "`ctx_…`")),
    responses(
        (status = 200, description = "The context", body = Context),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Context>> {
    query.end()?;
    let none = || Error::not_found("context");
    let id = id.parse().map_err(|_| none())?;
    let mut tx = caller.begin().await?;
    let found = context::get(&mut tx, id).await?.ok_or_else(none)?;
    tx.commit().await?;
    Ok(axum::Json(view(found)))
}
