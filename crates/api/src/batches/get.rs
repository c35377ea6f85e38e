use axum::extract::State as Extract;
use offpeak_store::batches;
use offpeak_wire::{Batch, Problem};

use super::view;
use crate::State;
use crate::caller::{JobsRead, May};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// One batch
#[utoipa::path(
    get, path = "/v1/batches/{id}", tag = "batches", operation_id = "get_batch",
    params(("id" = String, Path, description = "`bat_…`")),
    responses(
        (status = 200, description = "The batch", body = Batch),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Batch>> {
    query.end()?;
    let none = || Error::not_found("batch");
    let id = id.parse().map_err(|_| none())?;
    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    let found = batches::get(&mut tx, id).await?.ok_or_else(none)?;
    tx.commit().await?;
    Ok(axum::Json(view(found, &outlook)))
}
