//! Contexts: documents that many jobs share.

use axum::routing::get;
use offpeak_wire::Context;

use crate::State;
use crate::routes::Routes;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/contexts", get(list::handle).post(create::handle))
        .at("/contexts/{id}", get(get::handle).delete(delete::handle))
}

/// A stored context as clients see it.
pub(crate) fn view(context: offpeak_store::context::Context) -> Context {
    Context {
        id: context.id.to_string(),
        title: context.title,
        bytes: context.bytes,
        tokens: context.tokens,
        created_at: context.created_at,
    }
}
