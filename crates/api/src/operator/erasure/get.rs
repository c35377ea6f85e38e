use offpeak_store::erasure;
use offpeak_wire::{Problem, TenantErasure};

use super::view;
use crate::caller::Operator;
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// How far the erasure of a tenant is
#[utoipa::path(
    get, path = "/v1/operator/tenants/{id}/erasure", tag = "operator",
    operation_id = "get_tenant_erasure",
    params(("id" = String, Path, description = "`ten_…`")),
    responses(
        (status = 200, description = "Its state, and what is gone", body = TenantErasure),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant, or nobody asked for it", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<TenantErasure>> {
    query.end()?;
    let mut tx = operator.begin().await?;
    let id = super::super::tenant(&mut tx, &id).await?;
    let found = erasure::get(&mut tx, id).await?;
    tx.commit().await?;
    let found = found.ok_or_else(|| Error::not_found("erasure of a tenant"))?;
    Ok(axum::Json(view(found)))
}
