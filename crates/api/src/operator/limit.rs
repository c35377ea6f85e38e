use axum::extract::State as Extract;
use offpeak_domain::audit::Action;
use offpeak_domain::limits::{Limit, MAX_VALUE, told};
use offpeak_store::{limits, room};
use offpeak_wire::{Problem, TenantLimits, TenantLimitsChange};

use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::Operator;
use crate::error::{Error, Result, fault};
use crate::limits::view;
use crate::query::Query;
use crate::segment::Segment;

const fn field(name: &'static str) -> Field {
    Field {
        name,
        expected: "a whole number, 0 for no limit, or null for the deployment's",
        required: false,
        fits: reads_as::<Option<u64>>,
    }
}

const FIELDS: &[Field] = &[
    field(Limit::RequestsPerSecond.as_str()),
    field(Limit::RequestBurst.as_str()),
    field(Limit::JobsPerSecond.as_str()),
    field(Limit::JobBurst.as_str()),
    field(Limit::KeysPerMinute.as_str()),
    field(Limit::QueuedJobs.as_str()),
    field(Limit::QueuedBytes.as_str()),
    field(Limit::LiveConnections.as_str()),
];

/// Give a tenant limits of its own
///
/// All of them at once: one that is left out, or null, is the deployment's again. Every
/// process heeds them within five seconds.
#[utoipa::path(
    put, path = "/v1/operator/tenants/{id}/limits", tag = "operator", operation_id = "set_tenant_limits",
    params(("id" = String, Path, description = "`ten_…`")),
    request_body = TenantLimitsChange,
    responses(
        (status = 200, description = "Set", body = TenantLimits),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    operator: Operator,
    Segment(id): Segment,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<TenantLimits>> {
    query.end()?;
    let own = read(&small(&body, FIELDS, "the limits of a tenant")?)?;
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    limits::set(&mut tx, id, &own).await?;
    let taken = room::taken_of(&mut tx, id).await?;
    operator
        .note_own(Action::TenantLimits, &id.to_string(), &told(&own))
        .await?;
    tx.commit().await?;
    Ok(axum::Json(view(state.allowance.standard(), &own, taken)))
}

/// What is set, each within its bounds.
fn read(change: &TenantLimitsChange) -> Result<Vec<(Limit, u64)>> {
    let given = |limit| match limit {
        Limit::RequestsPerSecond => change.requests_per_second,
        Limit::RequestBurst => change.request_burst,
        Limit::JobsPerSecond => change.jobs_per_second,
        Limit::JobBurst => change.job_burst,
        Limit::KeysPerMinute => change.keys_per_minute,
        Limit::QueuedJobs => change.queued_jobs,
        Limit::QueuedBytes => change.queued_bytes,
        Limit::LiveConnections => change.live_connections,
    };
    let own: Vec<_> = Limit::ALL
        .iter()
        .filter_map(|limit| Some((*limit, given(*limit)?)))
        .collect();
    let faults: Vec<_> = own
        .iter()
        .filter(|(_, value)| *value > MAX_VALUE)
        .map(|(limit, _)| {
            let message = format!("must be from 0, for no limit, to {MAX_VALUE}");
            fault(format!("/{limit}"), "invalid_value", message)
        })
        .collect();
    if faults.is_empty() {
        Ok(own)
    } else {
        Err(Error::input(faults))
    }
}
