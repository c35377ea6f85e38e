//! Sessions: who signed in with an API key, in a browser that never keeps it.

use std::time::Duration;

use axum::Router;
use axum::routing::post;

use crate::State;
use crate::error::{Code, Error};

pub(crate) mod begin;
pub(crate) mod end;
pub(crate) mod get;

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_hours(12);

pub(crate) fn routes() -> Router<State> {
    let session = post(begin::handle).get(get::handle).delete(end::handle);
    Router::new().route("/session", session)
}

/// Who came with an API key has none.
fn no_session() -> Error {
    Error::new(
        Code::Unauthenticated,
        "no session came with the request: sign in with `POST /v1/session`, and leave out the \
         header `authorization` afterwards",
    )
}
