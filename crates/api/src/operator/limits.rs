use axum::extract::State as Extract;
use offpeak_store::{limits, room};
use offpeak_wire::{Problem, TenantLimits};

use crate::State;
use crate::caller::Operator;
use crate::error::Result;
use crate::limits::view;
use crate::query::Query;
use crate::segment::Segment;

/// A tenant's limits, and what it uses of them
#[utoipa::path(
    get, path = "/v1/operator/tenants/{id}/limits", tag = "operator", operation_id = "get_tenant_limits",
    params(("id" = String, Path, description = "`ten_…`")),
    responses(
        (status = 200, description = "All of them", body = TenantLimits),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    operator: Operator,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<TenantLimits>> {
    query.end()?;
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    let own = limits::of(&mut tx, id).await?;
    let taken = room::taken_of(&mut tx, id).await?;
    tx.commit().await?;
    Ok(axum::Json(view(state.allowance.standard(), &own, taken)))
}
