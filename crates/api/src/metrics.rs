use std::sync::PoisonError;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;

use crate::error::{Error, Result};
use crate::state::Observed;

pub(crate) fn routes() -> Router<Observed> {
    Router::new().route("/metrics", get(handle))
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")),
)]
pub(crate) async fn handle(Extract(observed): Extract<Observed>) -> Result<Response> {
    let mut text = String::new();
    encode(
        &mut text,
        &observed
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    )
    .map_err(|error| Error::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
