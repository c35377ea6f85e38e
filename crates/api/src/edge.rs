//! What stands around every route: the request's id, its span, metrics and
//! bounds in time and size, a panic turned into a problem, patience with a refused
//! body, the body of every problem, and what a browser is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State as Extract};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use offpeak_wire::PROBLEM_JSON;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rand::RngExt;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::State;
use crate::armor::arm;
use crate::bounds::limit;
use crate::cors::share;
use crate::error::{Code, Error};
use crate::linger::linger;
use crate::live::Waited;
use crate::state::rng;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Time from a request's head to its answer's head, at most; a slow client's
/// 32 MB have to come in within it, and the longest wait for a result. What stays
/// open, `/v1/live` and `/v1/events`, has its head at once.
const PATIENCE: Duration = Duration::from_mins(2);
/// What takes as long as its input is long, in transactions that are short.
const UNBOUNDED: [&str; 3] = [
    "/v1/jobs/bulk",
    "/v1/groups/{id}/cancel",
    "/v1/groups/{id}/retry",
];

/// Requests by route, never by path: a path holds ids.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Served {
    method: String,
    route: String,
    status: u16,
}

/// Counts and times of requests.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    served: Family<Served, Counter>,
    seconds: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            served: Family::default(),
            seconds: Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
        }
    }
}

impl Requests {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "offpeak_http_requests",
            "HTTP requests by route and status",
            self.served.clone(),
        );
        registry.register(
            "offpeak_http_seconds",
            "Time from a request's head to its answer's head",
            self.seconds.clone(),
        );
    }
}

pub(crate) fn around(routes: Router<State>, state: State) -> Router<State> {
    let is_secure = state.is_secure();
    // Routes get the layers one by one, so that the matched path is known.
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(limit))
        .layer(from_fn(linger))
        .layer(from_fn(share))
        .layer(from_fn_with_state(state, observe))
        .layer(from_fn(identify))
        .layer(from_fn(move |request, next| arm(is_secure, request, next)))
}

/// The same for routes that are not worth counting.
pub(crate) fn around_few<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(limit))
        .layer(from_fn(linger))
        .layer(from_fn(identify))
        .layer(from_fn(|request, next| arm(false, request, next)))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    // What a panic says may quote a request; where it happened stands on stderr.
    drop(panic);
    Error::new(
        Code::Internal,
        "the operator finds the cause in the log by the request id",
    )
    .into_response()
}

/// The id by which client and log mean the same request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Names the request, and writes the body of a problem.
async fn identify(mut request: Request, next: Next) -> Response {
    let id = match request.headers().get(&REQUEST_ID) {
        Some(given) if is_id(given) => given.clone(),
        _ => minted(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        let problem = error.problem(id.to_str().unwrap_or_default());
        *response.body_mut() = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.remove(header::CONTENT_LENGTH);
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn observe(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let method = request.method().as_str();
    // A method is free text; only those that a route may know become labels.
    let method = if ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
        method
    } else {
        "other"
    }
    .to_owned();
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.0.to_str().ok());
    let span = tracing::info_span!("request", id, method, route);
    let began = Instant::now();
    let answer = next.run(request).instrument(span.clone());
    let mut response = bound(patience(&route), answer).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.in_scope(|| {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status, millis, "answered");
    });
    // What a client asked to wait for says nothing of this side.
    let waited = response.extensions_mut().remove::<Waited>();
    let own = took.saturating_sub(waited.map_or(Duration::ZERO, |Waited(waited)| waited));
    state.requests.seconds.observe(own.as_secs_f64());
    state
        .requests
        .served
        .get_or_create(&Served {
            method,
            route,
            status,
        })
        .inc();
    response
}

/// How long a route may take.
fn patience(route: &str) -> Option<Duration> {
    (!UNBOUNDED.contains(&route)).then_some(PATIENCE)
}

/// The answer, or that it took too long.
async fn bound(patience: Option<Duration>, answer: impl Future<Output = Response>) -> Response {
    let Some(patience) = patience else {
        return answer.await;
    };
    // A database that is silent without closing its connections would hold the
    // client for ever. Its transaction is rolled back, or was committed: then
    // the same idempotency key finds what it made.
    timeout(patience, answer).await.unwrap_or_else(|_| {
        Error::new(Code::Unavailable, "the answer took too long; try again").into_response()
    })
}

/// Ids that others give are kept when they can stand in a log and a header.
fn is_id(given: &HeaderValue) -> bool {
    let bytes = given.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(b))
}

fn minted() -> HeaderValue {
    let bits: u128 = rng().random();
    HeaderValue::from_str(&format!("req_{bits:032x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("req_"))
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, UNBOUNDED, bound, is_id, minted, patience};
    use axum::http::HeaderValue;
    use std::future::pending;
    use std::time::Duration;

    #[tokio::test]
    async fn every_route_answers_in_time_but_for_those_as_long_as_their_input() {
        for route in crate::paths().iter().map(String::as_str).chain(["none"]) {
            let bounded = (!UNBOUNDED.contains(&route)).then_some(PATIENCE);
            assert_eq!(patience(route), bounded, "{route}");
        }
        let late = bound(Some(Duration::ZERO), pending()).await;
        assert_eq!(late.status().as_u16(), 503);
        assert_eq!(late.headers()["retry-after"], "1");
    }

    #[test]
    fn the_unbounded_routes_are_routes() {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        for route in UNBOUNDED {
            assert!(document["paths"][route]["post"].is_object(), "{route}");
        }
    }

    #[test]
    fn ids_of_others_are_kept_when_they_are_harmless() {
        assert!(is_id(&HeaderValue::from_static("req_01-a.b:c")));
        assert!(is_id(&minted()));
        for bad in ["", "a b", "a\"b", "{}", &"x".repeat(129)] {
            assert!(!is_id(&HeaderValue::from_str(bad).unwrap()), "{bad}");
        }
        assert_ne!(minted(), minted());
    }
}
