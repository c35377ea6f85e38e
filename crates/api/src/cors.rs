//! Which pages of others may see an answer: only those that a tenant listed, only
//! with a ticket, and only on the paths that take one.
//!
//! Nothing here lets anybody in. A browser asks first whether it may send the
//! header `authorization`; that is answered to everybody, since the question bears
//! no credential and the answer grants none. The ticket itself is judged by
//! [`Reader`](crate::caller::Reader), and what it found is told to the browser here.

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The paths that take a ticket.
const SHARED: [&str; 5] = [
    "/v1/jobs",
    "/v1/jobs/{id}",
    "/v1/jobs/{id}/result",
    "/v1/live",
    "/v1/events",
];

const ALLOW_ORIGIN: HeaderName = header::ACCESS_CONTROL_ALLOW_ORIGIN;

/// The origin that may see this request's answer, once that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted(Arc<OnceLock<HeaderValue>>);

impl Granted {
    /// Lets this origin see the answer.
    pub(crate) fn note(parts: &Parts, origin: &HeaderValue) {
        if let Some(Self(granted)) = parts.extensions.get() {
            granted.get_or_init(|| origin.clone());
        }
    }
}

/// The origin that a request names; none when it names none, or several.
pub(crate) fn origin_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut given = headers.get_all(header::ORIGIN).iter();
    given.next().filter(|_| given.next().is_none())
}

/// Answers the question that comes before a request, and marks the answer of one
/// that a ticket opened, a problem too.
pub(crate) async fn share(mut request: Request, next: Next) -> Response {
    let shared = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| SHARED.contains(&path.as_str()));
    if !shared {
        return next.run(request).await;
    }
    if let Some(origin) = asks_before(&request) {
        return allowed_before(origin.clone());
    }
    let granted = Granted::default();
    request.extensions_mut().insert(granted.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // With another origin, or none, it may be another answer.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = granted.0.get() {
        headers.insert(ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("offpeak-cursor, x-request-id"),
        );
    }
    response
}

fn asks_before(request: &Request) -> Option<&HeaderValue> {
    let headers = request.headers();
    let asks = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    origin_of(headers).filter(|_| asks)
}

fn allowed_before(origin: HeaderValue) -> Response {
    let says = HeaderValue::from_static;
    let headers = [
        (ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_METHODS, says("GET")),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            says("authorization, last-event-id"),
        ),
        (header::ACCESS_CONTROL_MAX_AGE, says("600")),
        (header::VARY, says("origin")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
