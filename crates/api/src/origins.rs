//! Origins: the pages from which a tenant's tickets may be used.

use axum::routing::get;

use crate::State;
use crate::routes::Routes;

pub(crate) mod list;
pub(crate) mod replace;

pub(crate) fn routes() -> Routes<State> {
    let origins = get(list::handle).put(replace::handle);
    Routes::new().at("/live/origins", origins)
}
