//! Origins: the pages from which a tenant's tickets may be used.

use axum::Router;
use axum::routing::get;

use crate::State;

pub(crate) mod list;
pub(crate) mod replace;

pub(crate) fn routes() -> Router<State> {
    let origins = get(list::handle).put(replace::handle);
    Router::new().route("/live/origins", origins)
}
