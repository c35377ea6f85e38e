//! Tickets: what a tenant's own users get, who have no key.

use axum::routing::post;

use crate::State;
use crate::routes::Routes;

pub(crate) mod create;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/live/tickets", post(create::handle))
}
