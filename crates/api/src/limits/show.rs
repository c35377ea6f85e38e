use axum::extract::State as Extract;
use offpeak_store::{limits, room};
use offpeak_wire::{Problem, TenantLimits};

use crate::State;
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;

/// Your limits, and what is used of them
///
/// What exceeds one is answered by 429, with `retry-after` and the limit's name. Only
/// the operator of the deployment can change them.
#[utoipa::path(
    get, path = "/v1/limits", tag = "me", operation_id = "get_limits",
    responses(
        (status = 200, description = "All of them", body = TenantLimits),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    query: Query,
) -> Result<axum::Json<TenantLimits>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let own = limits::own(&mut tx).await?;
    let taken = room::taken(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(super::view(
        state.allowance.standard(),
        &own,
        taken,
    )))
}
