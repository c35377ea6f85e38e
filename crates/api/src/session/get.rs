use axum::extract::State as Extract;
use offpeak_wire::{Problem, Session};

use super::no_session;
use crate::caller::{Anything, May};
use crate::error::Result;
use crate::me;
use crate::query::Query;
use crate::state::State;

/// Who is signed in
#[utoipa::path(
    get, path = "/v1/session", tag = "me", operation_id = "get_session",
    responses(
        (status = 200, description = "The session that the cookie opens", body = Session),
        (status = 401, description = "There is none, or it is over", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("session" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<Anything>,
    query: Query,
) -> Result<axum::Json<Session>> {
    query.end()?;
    let (_, expires_at) = caller.session().ok_or_else(no_session)?;
    let mut tx = caller.begin().await?;
    let me = me::of(&state, &caller, &mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(Session { me, expires_at }))
}
