//! The routes: the API's under `/v1`, the stand-in's own under `/_standin`.

mod admin;
mod batches;
mod create;
mod messages;
mod models;
mod organization;
mod results;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use offpeak_anthropic::shape::ErrorKind;

use crate::caller;
use crate::edge;
use crate::refusal::Refusal;
use crate::world::World;

/// Query parameters; unknown ones are ignored, as the API does.
type Params = Query<HashMap<String, String>>;

pub(crate) fn router(world: Arc<World>) -> Router {
    let api = Router::new()
        .route(
            "/v1/messages/batches",
            post(create::create).get(batches::list),
        )
        .route(
            "/v1/messages/batches/{id}",
            get(batches::retrieve).delete(batches::delete),
        )
        .route("/v1/messages/batches/{id}/cancel", post(batches::cancel))
        .route("/v1/messages/batches/{id}/results", get(results::download))
        .route("/v1/messages", post(messages::send))
        .route("/v1/messages/count_tokens", post(messages::count))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::retrieve))
        .route(
            "/v1/organizations/rate_limits",
            get(organization::rate_limits),
        )
        .route(
            "/v1/organizations/workspaces/{id}/rate_limits",
            get(organization::overrides),
        )
        .route(
            "/v1/organizations/usage_report/messages",
            get(organization::usage),
        )
        .route("/v1/organizations/cost_report", get(organization::cost))
        .route(
            "/v1/organizations/analytics/usage",
            get(organization::analytics_usage),
        )
        .route(
            "/v1/organizations/analytics/cost",
            get(organization::analytics_cost),
        )
        .method_not_allowed_fallback(async || {
            Refusal::new(405, ErrorKind::InvalidRequest, "Method Not Allowed")
        })
        .layer(from_fn_with_state(Arc::clone(&world), caller::enter))
        .layer(from_fn_with_state(Arc::clone(&world), edge::pass));
    let own = Router::new()
        .route("/_standin/state", get(admin::state))
        .route("/_standin/journal", get(admin::journal))
        .route("/_standin/turnaround", post(admin::turnaround))
        .route("/_standin/clock/advance", post(admin::advance))
        .route(
            "/_standin/faults",
            get(admin::faults)
                .post(admin::set_faults)
                .delete(admin::clear_faults),
        )
        .route(
            "/_standin/behavior",
            get(admin::behavior).post(admin::set_behavior),
        )
        .route("/_standin/script", post(admin::script))
        .route("/_standin/release", post(admin::release))
        .layer(from_fn(admin::local_only));
    Router::new()
        .merge(api)
        .merge(own)
        .fallback(async || Refusal::not_found("Not Found"))
        .layer(from_fn_with_state(Arc::clone(&world), caller::frame))
        .with_state(world)
}

/// The size of a page, from the query.
fn limit(params: &HashMap<String, String>) -> Result<usize, Refusal> {
    let Some(text) = params.get("limit") else {
        return Ok(20);
    };
    match text.parse::<usize>() {
        Ok(limit @ 1..=1000) => Ok(limit),
        Ok(0) => Err(Refusal::invalid(
            "limit: Input should be greater than or equal to 1",
        )),
        Ok(_) => Err(Refusal::invalid(
            "limit: Input should be less than or equal to 1000",
        )),
        Err(_) => Err(Refusal::invalid("limit: Input should be a valid integer")),
    }
}

/// Runs what touches the disk where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Refusal::internal(&error)))
}
