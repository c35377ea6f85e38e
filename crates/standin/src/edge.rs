//! The layer around the API in which things go wrong: it draws the faults of a
//! call, applies those that need no knowledge of it, hands the others to the call
//! itself, and compresses answers.
//!
//! Without faults it only compresses. If the process dies here, nothing is lost
//! that was not lost anyway: a call has had its effect or it has not.

mod body;
pub(crate) mod gzip;
pub(crate) mod lines;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use offpeak_anthropic::shape::ErrorKind;

use crate::behavior::Gzip;
use crate::caller;
use crate::dice::Dice;
use crate::fault::Facts;
use crate::fault::rule::{Call, Fault, Form, Reset};
use crate::refusal::Refusal;
use crate::wire::Cord;
use crate::world::World;

/// The faults that fall on one call, for whoever can apply them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    pub(crate) faults: Arc<[Fault]>,
    /// Tells this call's dice from all others.
    pub(crate) draw: String,
}

pub(crate) async fn pass(
    State(world): State<Arc<World>>,
    mut request: Request,
    next: Next,
) -> Response {
    let accepts_gzip = request
        .headers()
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| value.as_bytes().windows(4).any(|word| word == b"gzip"));
    let compress = match world.behavior().gzip {
        Gzip::Off => false,
        Gzip::Accepted => accepts_gzip,
        Gzip::Always => true,
    };
    let drawn = draw(&world, &request);
    let cord = request.extensions().get::<ConnectInfo<Cord>>().cloned();
    let cord = cord.map(|ConnectInfo(cord)| cord);
    for fault in &*drawn.faults {
        match before(fault, request, &world, &drawn.draw, cord.as_ref()).await {
            Ok(untouched) => request = untouched,
            Err(answer) => return *answer,
        }
    }
    request.extensions_mut().insert(drawn.clone());
    let mut response = next.run(request).await;
    for fault in &*drawn.faults {
        response = after(fault, response, cord.as_ref()).await;
    }
    if compress && response.extensions().get::<Refusal>().is_none() {
        response = gzip::compress(response);
    }
    for fault in &*drawn.faults {
        response = last(fault, response);
    }
    response
}

fn draw(world: &World, request: &Request) -> Drawn {
    let draw = world.next_draw();
    let mut faults = world.faults();
    if faults.rules.is_empty() {
        return Drawn::default();
    }
    let path = request.uri().path();
    let id = path
        .strip_prefix("/v1/messages/batches/")
        .and_then(|rest| rest.split('/').next());
    let age = |id| {
        let age = world.now() - world.shelf.created_at(id)?;
        u64::try_from(age.whole_milliseconds()).ok()
    };
    let facts = Facts {
        call: call(request.method(), path),
        key: caller::credential(request.headers()).unwrap_or_default(),
        batch: id.map(|id| (id, age(id))),
        redirected: request
            .uri()
            .query()
            .is_some_and(|query| query.contains("redirected=1")),
    };
    Drawn {
        faults: faults.draw(facts, world.seed, &draw).into(),
        draw,
    }
}

fn call(method: &Method, path: &str) -> Call {
    let Some(rest) = path.strip_prefix("/v1/messages/batches") else {
        return match path {
            "/v1/messages" => Call::Messages,
            "/v1/messages/count_tokens" => Call::CountTokens,
            _ if path.starts_with("/v1/models") => Call::Models,
            _ if path.starts_with("/v1/organizations") => Call::Organization,
            _ => Call::Any,
        };
    };
    match (method, rest) {
        (&Method::POST, "") => Call::Create,
        (_, "") => Call::List,
        (_, rest) if rest.ends_with("/cancel") => Call::Cancel,
        (_, rest) if rest.ends_with("/results") => Call::Results,
        (&Method::DELETE, _) => Call::Delete,
        _ => Call::Retrieve,
    }
}

/// Faults in place of the call: `Err` holds the answer.
async fn before(
    fault: &Fault,
    request: Request,
    world: &World,
    draw: &str,
    cord: Option<&Cord>,
) -> Result<Request, Box<Response>> {
    match fault {
        Fault::Delay { min_ms, max_ms } => {
            let spread = max_ms.saturating_sub(*min_ms).saturating_add(1);
            let more = Dice::new(world.seed, &["delay", draw]).below(spread);
            pause(Duration::from_millis(min_ms.saturating_add(more))).await;
            Ok(request)
        }
        Fault::Hang => std::future::pending().await,
        Fault::Status(status) if !status.stored => {
            // A client that is still sending would not see the answer.
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(_)) = body.next().await {}
            Err(Box::new(status.refusal().into_response()))
        }
        Fault::Reset {
            when: Reset::Request,
            ..
        } => Err(Box::new(cut(cord))),
        Fault::Reset {
            when: Reset::Upload,
            bytes,
        } => {
            let mut left = *bytes;
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(chunk.len() as u64);
                if left == 0 {
                    break;
                }
            }
            Err(Box::new(cut(cord)))
        }
        Fault::Redirect { to, status } => {
            let origin = to
                .clone()
                .unwrap_or_else(|| world.origin(request.headers()));
            let path = request.uri().path();
            let mark = match request.uri().query() {
                Some(query) => format!("?{query}&redirected=1"),
                None => "?redirected=1".to_owned(),
            };
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::FOUND);
            let location = format!("{}{path}{mark}", origin.trim_end_matches('/'));
            let answer = (status, [(header::LOCATION, location)]);
            Err(Box::new(answer.into_response()))
        }
        _ => Ok(request),
    }
}

/// Faults in place of the answer or in it, before it is compressed.
async fn after(fault: &Fault, response: Response, cord: Option<&Cord>) -> Response {
    match fault {
        Fault::Status(status) if status.stored && response.status().is_success() => {
            status.refusal().into_response()
        }
        Fault::Reset {
            when: Reset::Answer,
            ..
        } => cut(cord),
        Fault::Half { framed } => body::half(response, *framed).await,
        _ => response,
    }
}

/// Faults on the way back, after compression.
fn last(fault: &Fault, response: Response) -> Response {
    match fault {
        Fault::GzipBomb { bytes } => gzip::bomb(response, *bytes),
        Fault::Reset {
            when: Reset::Body,
            bytes,
        } => body::broken_off(response, *bytes),
        Fault::Drip { bytes, every_ms } => {
            body::drip(response, *bytes, Duration::from_millis(*every_ms))
        }
        Fault::Headers(set) => headers(response, set),
        _ => response,
    }
}

fn headers(mut response: Response, set: &BTreeMap<String, String>) -> Response {
    let mut done = HeaderMap::new();
    for (name, value) in set {
        let (Ok(name), Ok(value)) = (
            name.parse::<HeaderName>(),
            HeaderValue::from_bytes(value.as_bytes()),
        ) else {
            continue;
        };
        done.insert(name, value);
    }
    // The outermost layer, which sets headers too, has the last word on them.
    response.extensions_mut().insert(Override(done));
    response
}

/// Headers that a fault puts in place of the usual ones; empty ones are removed.
#[derive(Debug, Clone)]
pub(crate) struct Override(HeaderMap);

impl Override {
    pub(crate) fn apply(response: &mut Response) {
        let Some(Self(set)) = response.extensions_mut().remove() else {
            return;
        };
        for (name, value) in &set {
            if value.is_empty() {
                response.headers_mut().remove(name);
            } else {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
}

/// Resets the connection; the answer never gets out. Called without a network,
/// it is the nearest thing: a gateway's page.
pub(crate) fn cut(cord: Option<&Cord>) -> Response {
    if let Some(cord) = cord {
        cord.cut();
    }
    Refusal {
        form: Form::Html,
        ..Refusal::new(502, ErrorKind::Api, "")
    }
    .into_response()
}

/// The one place where the stand-in lets time pass on purpose.
#[expect(
    clippy::disallowed_methods,
    reason = "a latency that was asked for is real time"
)]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
