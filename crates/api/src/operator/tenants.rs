use std::time::Duration;

use offpeak_store::operator::{self, All, Tenant};
use offpeak_wire::{Problem, TenantRow, TenantRows};

use crate::caller::Operator;
use crate::error::Result;
use crate::query::Query;

/// Over which time what was sent is compared.
const LATELY: Duration = Duration::from_hours(1);

/// Tenants, those with the most under way first
///
/// What each of them has waiting and got lately, beside what its weight entitles it to.
#[utoipa::path(
    get, path = "/v1/operator/tenants", tag = "operator", operation_id = "list_tenants",
    params(
        ("q" = Option<String>, Query, description = "Only those whose name holds this"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
    ),
    responses(
        (status = 200, description = "The first of them", body = TenantRows),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(operator: Operator, mut query: Query) -> Result<axum::Json<TenantRows>> {
    let part = query.text("q").unwrap_or_default();
    let limit = query.limit();
    query.end()?;
    let mut tx = operator.begin().await?;
    let as_of = tx.now();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (rows, all) = operator::tenants(&mut tx, &part, as_of - LATELY, limit).await?;
    tx.commit().await?;
    Ok(axum::Json(TenantRows {
        as_of,
        data: rows.into_iter().map(|row| view(row, all)).collect(),
        tenants: all.tenants,
        waiting: all.waiting,
        sent: all.sent,
    }))
}

fn view(one: Tenant, all: All) -> TenantRow {
    TenantRow {
        id: one.id.to_string(),
        share: part(one.sent, all.sent),
        fair_share: (one.queued > 0)
            .then(|| part(u64::from(one.weight), all.waiting_weight))
            .flatten(),
        name: one.name,
        weight: one.weight,
        created_at: one.created_at,
        queued: one.queued,
        submitted: one.submitted,
        processing: one.processing,
        sent: one.sent,
        waiting_since: one.waiting_since,
    }
}

/// Which part of a whole; none of nothing.
#[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
fn part(of: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| of as f64 / whole as f64)
}
