use offpeak_wire::{OperatorSession, Problem};

use crate::caller::Operator;
use crate::error::Result;
use crate::query::Query;

/// Which operator is signed in
#[utoipa::path(
    get, path = "/v1/operator/session", tag = "operator", operation_id = "get_operator_session",
    responses(
        (status = 200, description = "Who", body = OperatorSession),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    query: Query,
) -> Result<axum::Json<OperatorSession>> {
    query.end()?;
    Ok(axum::Json(OperatorSession {
        name: operator.name,
        expires_at: operator.expires_at,
    }))
}
