//! Answers that hold a secret, which stands nowhere else afterwards.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Made, and shown this once: nothing on the way may keep it.
pub(crate) fn made(shown: impl Serialize) -> Response {
    let unkept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, unkept, axum::Json(shown)).into_response()
}
