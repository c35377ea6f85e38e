use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_store::session;
use offpeak_wire::Problem;

use super::no_session;
use crate::State;
use crate::caller::{Anything, May, cookie};
use crate::error::Result;
use crate::query::Query;

/// Sign out
///
/// With `everywhere=true` every session that was begun with the same API key, or by
/// the same person, ends; that also goes with the key itself. Connections that a session opened
/// are closed within five seconds.
#[utoipa::path(
    delete, path = "/v1/session", tag = "me", operation_id = "end_session",
    params(("everywhere" = Option<bool>, Query, description = "All sessions of the same API key or person; false unless said")),
    responses(
        (status = 204, description = "It is over",
            headers(("set-cookie" = String, description = "Takes the cookie away"))),
        (status = 401, description = "There is no session", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<Anything>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response> {
    let everywhere = query.flag("everywhere", false);
    query.end()?;
    let mut tx = caller.begin().await?;
    if everywhere {
        session::end_all(&mut tx, caller.by()).await?;
    } else {
        let (id, _) = caller.session().ok_or_else(no_session)?;
        session::end(&mut tx, id).await?;
    }
    tx.commit().await?;
    let clear = [(
        header::SET_COOKIE,
        cookie::clear(cookie::SESSION, &headers, state.public_url()),
    )];
    Ok((StatusCode::NO_CONTENT, clear).into_response())
}
