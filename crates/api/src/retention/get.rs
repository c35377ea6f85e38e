use axum::extract::State as Extract;
use offpeak_store::retention;
use offpeak_wire::{Problem, Retention};

use super::view;
use crate::State;
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;

/// How long requests and results are kept
///
/// What is over is deleted within an hour. Then `GET /v1/jobs/{id}/request` and
/// `/result` answer 410, and a job cannot be retried; the job itself, its state, its
/// times and what it cost stay.
#[utoipa::path(
    get, path = "/v1/retention", tag = "retention", operation_id = "get_retention",
    responses(
        (status = 200, description = "What holds for you", body = Retention),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    query: Query,
) -> Result<axum::Json<Retention>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let own = retention::get(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(view(&own, state.retention)))
}
