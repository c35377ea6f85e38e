use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use offpeak_domain::audit::Action;
use offpeak_store::{erasure, operator};
use offpeak_wire::{ErasureRequest, Problem, TenantErasure};

use super::view;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::Operator;
use crate::error::{Error, Result, fault};
use crate::query::Query;
use crate::segment::Segment;

const FIELDS: &[Field] = &[Field {
    name: "name",
    expected: "a string, the name of the tenant",
    required: true,
    fits: reads_as::<String>,
}];

/// Erase all that a tenant has
///
/// Nobody can take it back. From the answer on every request of the tenant is refused
/// (403 `tenant_erased`); its jobs and batches are ended, also at Anthropic, and all
/// of it is deleted. What stays is numbers: the ledger without labels, types and groups.
#[utoipa::path(
    post, path = "/v1/operator/tenants/{id}/erasure", tag = "operator",
    operation_id = "erase_tenant",
    params(("id" = String, Path, description = "`ten_…`")),
    request_body = ErasureRequest,
    responses(
        (status = 202, description = "It has begun", body = TenantErasure),
        (status = 200, description = "It was begun before", body = TenantErasure),
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
) -> Result<Response> {
    query.end()?;
    let request: ErasureRequest = small(&body, FIELDS, "the request of an erasure")?;
    let mut tx = operator.begin().await?;
    let id = super::super::tenant(&mut tx, &id).await?;
    let begun = erasure::get(&mut tx, id).await?;
    if let Some(begun) = begun {
        return Ok((StatusCode::OK, axum::Json(view(begun))).into_response());
    }
    if operator::tenant_name(&mut tx, id).await?.as_deref() != Some(&*request.name) {
        let message = "is not the name of this tenant: nothing was erased";
        return Err(Error::input(vec![fault("/name", "wrong_name", message)]));
    }
    erasure::begin(&mut tx, id, operator.id).await?;
    let begun = erasure::get(&mut tx, id).await?;
    operator
        .note_own(Action::TenantErase, &id.to_string(), "")
        .await?;
    tx.commit().await?;
    let shown: Option<TenantErasure> = begun.map(view);
    Ok((StatusCode::ACCEPTED, axum::Json(shown)).into_response())
}
