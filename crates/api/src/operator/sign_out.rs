use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_store::person::OPERATORS;
use offpeak_store::session;
use offpeak_wire::Problem;

use crate::State;
use crate::caller::{Operator, cookie};
use crate::error::Result;
use crate::query::Query;

/// Sign the operator out
#[utoipa::path(
    delete, path = "/v1/operator/session", tag = "operator", operation_id = "end_operator_session",
    responses(
        (status = 204, description = "It is over"),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    operator: Operator,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    query.end()?;
    let mut tx = operator.begin_in(OPERATORS).await?;
    session::end(&mut tx, operator.session).await?;
    tx.commit().await?;
    let clear = cookie::clear(cookie::OPERATOR, &headers, state.public_url());
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, clear)]).into_response())
}
