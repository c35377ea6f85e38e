use axum::extract::State as Extract;
use offpeak_wire::{IdentityServer, Problem, Ways};

use crate::error::Result;
use crate::query::Query;
use crate::state::State;

/// How one may sign in
///
/// What the page offers on which somebody signs in.
#[utoipa::path(
    get, path = "/v1/session/ways", tag = "me", operation_id = "get_ways",
    responses(
        (status = 200, description = "Beside an API key and a link", body = Ways),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    query: Query,
) -> Result<axum::Json<Ways>> {
    query.end()?;
    let identity_server = state.identity_server().map(|server| IdentityServer {
        name: server.name.clone(),
    });
    Ok(axum::Json(Ways { identity_server }))
}
