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

mod armor;
mod asked;
mod audit;
mod batches;
mod body;
mod bounds;
mod budgets;
mod caller;
mod contexts;
mod cors;
mod csv;
mod cursor;
mod dashboard;
mod edge;
mod error;
mod estimates;
mod export;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod groups;
mod health;
mod hint;
mod job_types;
mod jobs;
mod json;
mod keys;
mod limits;
mod line;
mod linger;
mod live;
mod live_cursor;
mod me;
mod metrics;
mod once;
mod openapi;
mod operations;
mod operator;
mod origins;
mod outlook;
mod overview;
mod own_upstream;
mod pace;
mod people;
mod query;
mod retention;
mod room;
mod routes;
mod scopes;
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

pub use asked::Proxies;
pub use dashboard::Embedded;
pub use hint::Hint;
pub use live::{Hub, Options as LiveOptions};
pub use openapi::openapi;
pub use pace::Rate;
pub use serve::{Patience, serve};
pub use state::{IdentityServer, State, Upstream};

use routes::Routes;

/// Every route, with request ids, problems and metrics around them.
pub fn router(state: State) -> Router {
    let routes = routes()
        .and(health::routes().with_state(state.observed.clone()))
        .router()
        .fallback(dashboard::or_no_route)
        .method_not_allowed_fallback(error::no_method);
    edge::around(routes, state.clone()).with_state(state)
}

/// Where the routes of [`router`] are, as axum writes a path: `/v1/jobs/{id}`. Asked
/// with a method that a path does not have, it names those that it has in `allow`.
#[must_use]
pub fn paths() -> Vec<String> {
    [routes().paths(), health::routes().paths()].concat()
}

fn routes() -> Routes<State> {
    jobs::routes()
        .and(groups::routes())
        .and(job_types::routes())
        .and(contexts::routes())
        .and(batches::routes())
        .and(overview::routes())
        .and(usage::routes())
        .and(budgets::routes())
        .and(operations::routes())
        .and(retention::routes())
        .and(export::routes())
        .and(live::routes())
        .and(tickets::routes())
        .and(origins::routes())
        .and(own_upstream::routes())
        .and(session::routes())
        .and(keys::routes())
        .and(people::routes())
        .and(audit::routes())
        .and(operator::routes())
        .and(me::routes())
        .and(limits::routes())
        .below("/v1")
        .and(openapi::routes())
        .and(dashboard::routes())
}

/// What is for whoever watches the process, on a listener that nobody else reaches:
/// `/metrics`, and `/healthz` and `/readyz` once more, with request ids and problems.
pub fn observe_router(tenants: Tenants, registry: Arc<Mutex<Registry>>) -> Router {
    let routes = health::routes()
        .and(metrics::routes())
        .router()
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method);
    edge::around_few(routes).with_state(state::Observed { tenants, registry })
}
