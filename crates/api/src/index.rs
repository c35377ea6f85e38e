use axum::Router;
use axum::response::Html;
use axum::routing::get;

use crate::State;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/", get(|| async { Html(include_str!("index.html")) }))
}
