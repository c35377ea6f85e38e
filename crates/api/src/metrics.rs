use std::sync::PoisonError;

use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;

use crate::error::{Error, Result};
use crate::routes::Routes;
use crate::state::Observed;

pub(crate) fn routes() -> Routes<Observed> {
    Routes::new().at("/metrics", get(handle))
}

/// Metrics for Prometheus, as `OpenMetrics` text. No part of the public API.
async fn handle(Extract(observed): Extract<Observed>) -> Result<Response> {
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
