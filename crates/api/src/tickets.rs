//! Tickets: what a tenant's own users get, who have no key.

use axum::Router;
use axum::routing::post;

use crate::State;

pub(crate) mod create;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/live/tickets", post(create::handle))
}
