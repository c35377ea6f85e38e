use offpeak_store::person::OPERATORS;
use offpeak_wire::{AuditEntry, Page, Problem};

use super::Ask;
use crate::caller::Operator;
use crate::error::Result;
use crate::query::Query;

/// The deployment's own audit log, newest first
///
/// What operators did that concerns no tenant's content: tenants made and weighed,
/// incidents resolved, operators signed in.
#[utoipa::path(
    get, path = "/v1/operator/audit", tag = "operator", operation_id = "list_operator_audit",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of it", body = Page<AuditEntry>),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    query: Query,
) -> Result<axum::Json<Page<AuditEntry>>> {
    let ask = Ask::read(query)?;
    let mut tx = operator.begin_in(OPERATORS).await?;
    let page = ask.page(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(page))
}
