//! The stand-in's own endpoints, without a credential, refused to browsers' pages
//! (any request with an `Origin` header):
//!
//! - `GET /_standin/state`: time, turnaround, faults, batches.
//! - `GET /_standin/journal`: every billed item, one JSON object a line, oldest
//!   first; ends all due batches before.
//! - `POST /_standin/turnaround` `{"min_ms": 5000, "max_ms": 15000}`: for batches to come.
//! - `POST /_standin/clock/advance` `{"seconds": 3600}`: manual clock only.
//! - `GET`, `POST`, `DELETE /_standin/faults`: show, add, clear [`Faults`].
//! - `GET`, `POST /_standin/behavior`: show, change switches of [`Behavior`].
//! - `POST /_standin/script`: a whole [`Script`] in place of faults and switches.
//! - `POST /_standin/release`: lets held batches go.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offpeak_anthropic::shape::ErrorKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::Clock;
use crate::behavior::Behavior;
use crate::fault::Faults;
use crate::refusal::Refusal;
use crate::script::{Script, Turnaround};
use crate::world::World;

use super::blocking;

/// A page in a browser must not steer the stand-in.
pub(super) async fn local_only(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return Refusal::new(403, ErrorKind::Permission, "Not for browsers").into_response();
    }
    next.run(request).await
}

pub(super) async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    world.catch_up().await;
    let now = world.now();
    let behavior = world.behavior();
    let batches: Vec<Value> = world
        .shelf
        .all()
        .iter()
        .map(|record| {
            json!({
                "batch": record.show(now, "", &behavior),
                "workspace": record.workspace,
                "version": record.version,
                "held": record.held,
                "foreign": record.foreign,
                "plan": record.plan,
                "seconds_to_end": (record.ends_at() - now).as_seconds_f64().max(0.0),
            })
        })
        .collect();
    let turnaround = world.turnaround();
    Json(json!({
        "now": now.unix_timestamp(),
        "clock": match world.clock { Clock::System => "system", Clock::Manual(_) => "manual" },
        "turnaround": { "min_ms": millis(turnaround.start), "max_ms": millis(turnaround.end) },
        "behavior": behavior,
        "faults": *world.faults(),
        "batches": batches,
    }))
}

pub(super) async fn journal(State(world): State<Arc<World>>) -> Result<Response, Refusal> {
    world.settle_due().await;
    // Up to its present end, so that no half-written line is shown.
    let length = world.journal.length();
    let file = File::open(world.journal.path()).await?.take(length);
    let body = Body::from_stream(ReaderStream::new(file));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

pub(super) async fn turnaround(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Turnaround { min_ms, max_ms } = parse(&body)?;
    world.set_turnaround(Duration::from_millis(min_ms)..Duration::from_millis(max_ms));
    Ok(Json(json!({ "min_ms": min_ms, "max_ms": max_ms })))
}

pub(super) async fn advance(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        seconds: u32,
    }
    let Advance { seconds } = parse(&body)?;
    match &world.clock {
        Clock::System => Err(Refusal::invalid(
            "The clock is the machine's and cannot be moved",
        )),
        Clock::Manual(manual) => {
            let now = manual.advance(Duration::from_secs(seconds.into()));
            Ok(Json(json!({ "now": now.unix_timestamp() })))
        }
    }
}

pub(super) async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.faults().clone())
}

pub(super) async fn set_faults(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Json<Faults>, Refusal> {
    let set: Faults = parse(&body)?;
    let mut faults = world.faults();
    faults.merge(set);
    Ok(Json(faults.clone()))
}

pub(super) async fn clear_faults(State(world): State<Arc<World>>) -> Json<Faults> {
    *world.faults() = Faults::default();
    Json(Faults::default())
}

pub(super) async fn behavior(State(world): State<Arc<World>>) -> Json<Behavior> {
    Json(world.behavior())
}

pub(super) async fn set_behavior(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Json<Behavior>, Refusal> {
    let change: Value = parse(&body)?;
    let changed = world.change_behavior(&change);
    Ok(Json(
        changed.map_err(|error| Refusal::invalid(error.to_string()))?,
    ))
}

/// Takes a whole script, TOML or JSON, in place of what was set; its seed is for
/// the start only.
pub(super) async fn script(
    State(world): State<Arc<World>>,
    body: String,
) -> Result<Json<Script>, Refusal> {
    let script = Script::parse(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
    world.follow(script.clone());
    Ok(Json(script))
}

pub(super) async fn release(State(world): State<Arc<World>>) -> Result<Json<Value>, Refusal> {
    let released = blocking(move || Ok(world.release()?)).await?;
    Ok(Json(json!({ "released": released })))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::invalid(error.to_string()))
}
