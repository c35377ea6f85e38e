use offpeak_store::operator;
use offpeak_wire::{Problem, TenantDay, TenantDays};

use crate::caller::Operator;
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// Days that are shown.
const DAYS: i32 = 31;

/// What a tenant was billed in the last 31 days
#[utoipa::path(
    get, path = "/v1/operator/tenants/{id}/spend", tag = "operator", operation_id = "get_tenant_spend",
    params(("id" = String, Path, description = "`ten_…`")),
    responses(
        (status = 200, description = "By day", body = TenantDays),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<TenantDays>> {
    query.end()?;
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    let days = operator::spend(&mut tx, id, DAYS).await?;
    tx.commit().await?;
    Ok(axum::Json(TenantDays {
        data: days
            .into_iter()
            .map(|one| TenantDay {
                day: one.day.to_string(),
                cost: one.cost.to_usd_string(),
                cost_sync: one.sync.to_usd_string(),
            })
            .collect(),
    }))
}
