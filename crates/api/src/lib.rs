//! HTTP in: authentication, endpoints, `OpenAPI`. One endpoint, one file.
//!
//! A handler extracts, parses, runs one transaction and shows the outcome. The
//! extractors of [`caller`] are the only way to the store, so a handler that
//! forgets who is calling has no data either. Whatever goes wrong
//! leaves as a problem with a stable code and the request's id.
//!
//! What it never does: call Anthropic, keep a transaction open while a client
//! reads or writes, hold more of a bulk body than one chunk, or log a prompt, a
//! result, a key or a query string. If the process dies here, what was answered
//! with a 2xx is durable, and whatever was not can be sent again under its
//! idempotency key.

mod batches;
mod body;
mod budgets;
mod caller;
mod contexts;
mod cors;
mod cursor;
mod dashboard;
mod edge;
mod error;
mod estimates;
mod groups;
mod health;
mod hint;
mod job_types;
mod jobs;
mod json;
mod keys;
mod linger;
mod live;
mod live_cursor;
mod me;
mod metrics;
mod openapi;
mod origins;
mod outlook;
mod overview;
mod query;
mod room;
mod segment;
mod serve;
mod session;
mod state;
mod text;
mod tickets;
mod usage;

use std::sync::{Arc, Mutex};

use axum::Router;
use offpeak_store::Tenants;
use prometheus_client::registry::Registry;

pub use dashboard::Embedded;
pub use hint::Hint;
pub use live::{Hub, Options as LiveOptions};
pub use openapi::openapi;
pub use serve::serve;
pub use state::{State, Upstream};

/// Every route, with request ids, problems and metrics around them.
pub fn router(state: State) -> Router {
    let v1 = Router::new()
        .merge(jobs::routes())
        .merge(groups::routes())
        .merge(job_types::routes())
        .merge(contexts::routes())
        .merge(batches::routes())
        .merge(overview::routes())
        .merge(usage::routes())
        .merge(budgets::routes())
        .merge(live::routes())
        .merge(tickets::routes())
        .merge(origins::routes())
        .merge(session::routes())
        .merge(keys::routes())
        .merge(me::routes());
    let routes = Router::new()
        .nest("/v1", v1)
        .merge(observe_routes().with_state(state.observed.clone()))
        .merge(openapi::routes())
        .merge(dashboard::routes())
        .fallback(dashboard::or_no_route)
        .method_not_allowed_fallback(error::no_method);
    edge::around(routes, state.clone()).with_state(state)
}

/// Health and metrics alone, for a process that does not answer clients:
/// `/healthz`, `/readyz` and `/metrics`, with request ids and problems.
pub fn observe_router(tenants: Tenants, registry: Arc<Mutex<Registry>>) -> Router {
    let routes = observe_routes()
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method);
    edge::around_few(routes).with_state(state::Observed { tenants, registry })
}

fn observe_routes() -> Router<state::Observed> {
    health::routes().merge(metrics::routes())
}
