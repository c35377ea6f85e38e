//! The `OpenAPI` document, built from the handlers.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::{State, batches, groups, health, job_types, jobs, me, metrics, usage};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "offpeak",
        description = "Patient Claude work at the batch price. Every answer carries \
                       `x-request-id`; every answer from 400 on is a problem as in RFC 9457, with \
                       a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        jobs::submit::handle, jobs::list::handle, jobs::bulk::handle, jobs::get::handle,
        jobs::result::handle, jobs::cancel::handle, jobs::retry::handle,
        groups::list::handle, groups::get::handle, groups::results::handle,
        groups::cancel::handle, groups::retry::handle,
        job_types::list::handle, job_types::create::handle, job_types::get::handle,
        batches::list::handle, batches::get::handle,
        usage::handle, me::handle, health::healthz, health::readyz, metrics::handle,
    ),
    tags(
        (name = "jobs", description = "One request of yours each"),
        (name = "groups", description = "Jobs that were submitted together"),
        (name = "job types", description = "Versioned prompt templates"),
        (name = "batches", description = "What goes to Anthropic together"),
        (name = "usage", description = "Tokens and money"),
        (name = "me", description = "Who is calling"),
        (name = "operation", description = "For the operator; without a key"),
    ),
    security(("api_key" = [])),
    modifiers(&ApiKey),
)]
struct Document;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("ofp_live_…")
            .description(Some("An API key of a tenant"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

/// The description of every route of [`crate::router`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/openapi.json", get(handle))
}

async fn handle() -> ([(header::HeaderName, &'static str); 1], String) {
    let text = openapi().to_pretty_json().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text)
}
