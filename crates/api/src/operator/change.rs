use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_store::operator;
use offpeak_wire::{Problem, TenantChange};

use crate::body::{Field, Json, reads_as, small};
use crate::caller::Operator;
use crate::error::{Error, Result, fault};
use crate::query::Query;
use crate::segment::Segment;

/// Weights that a tenant may have.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;

const FIELDS: &[Field] = &[Field {
    name: "weight",
    expected: "a whole number",
    required: true,
    fits: reads_as::<u32>,
}];

/// Give a tenant another weight
///
/// It counts from the next batches on.
#[utoipa::path(
    patch, path = "/v1/operator/tenants/{id}", tag = "operator", operation_id = "change_tenant",
    params(("id" = String, Path, description = "`ten_…`")),
    request_body = TenantChange,
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    Segment(id): Segment,
    query: Query,
    Json(body): Json,
) -> Result<StatusCode> {
    query.end()?;
    let request: TenantChange = small(&body, FIELDS, "the change of a tenant")?;
    if !WEIGHTS.contains(&request.weight) {
        let message = format!("must be from {} to {}", WEIGHTS.start(), WEIGHTS.end());
        return Err(Error::input(vec![fault(
            "/weight",
            "invalid_value",
            message,
        )]));
    }
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    operator::set_weight(&mut tx, id, request.weight).await?;
    let weight = request.weight.to_string();
    operator
        .note_own(Action::TenantWeight, &id.to_string(), &weight)
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
