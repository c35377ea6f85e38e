use offpeak_domain::incident::Kind;
use offpeak_store::operator;
use offpeak_wire::{Deployment, OperatorIncident, Problem, UpstreamPause, UpstreamStatus};

use crate::caller::Operator;
use crate::error::Result;
use crate::query::Query;

/// Incidents that are shown, at most.
const INCIDENTS: i64 = 200;

/// How the deployment stands
///
/// Its upstreams with their limits, and what nobody has dealt with.
#[utoipa::path(
    get, path = "/v1/operator/overview", tag = "operator", operation_id = "get_deployment",
    responses(
        (status = 200, description = "As of now", body = Deployment),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(operator: Operator, query: Query) -> Result<axum::Json<Deployment>> {
    query.end()?;
    let mut tx = operator.begin().await?;
    let as_of = tx.now();
    let upstreams = operator::upstreams(&mut tx).await?;
    let (incidents, open_incidents) = operator::incidents(&mut tx, INCIDENTS).await?;
    tx.commit().await?;
    Ok(axum::Json(Deployment {
        as_of,
        upstreams: upstreams.into_iter().map(upstream).collect(),
        incidents: incidents.into_iter().map(incident).collect(),
        open_incidents,
    }))
}

fn upstream(one: operator::Upstream) -> UpstreamStatus {
    UpstreamStatus {
        id: one.id.to_string(),
        name: one.name,
        creates_per_minute: one.creates_per_minute,
        creates_last_minute: one.creates_last_minute,
        max_queued_items: one.max_queued_items,
        queued_items: one.queued_items,
        open_batches: one.open_batches,
        pause: one
            .pause
            .map(|(reason, until)| UpstreamPause { reason, until }),
        listed_at: one.swept_at,
    }
}

fn incident(one: operator::Incident) -> OperatorIncident {
    let kind = one.kind.parse::<Kind>().ok();
    OperatorIncident {
        id: one.id.to_string(),
        meaning: kind.map(|kind| kind.text().to_owned()),
        kind: one.kind,
        at: one.at,
        tenant: one.tenant.map(|id| id.to_string()),
        tenant_name: one.tenant_name,
        upstream: one.upstream.map(|id| id.to_string()),
        upstream_batch: one.upstream_batch_id,
        detail: one.detail,
        absorbed: one.absorbed.to_usd_string(),
    }
}
