//! An upstream that costs next to nothing: it swallows what is sent and gives
//! back the results that were put into it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The id of the one message batch that it ever holds.
pub const BATCH: &str = "msgbatch_bench";

#[derive(Clone)]
struct Held {
    url: Arc<str>,
    results: Arc<Mutex<Vec<Bytes>>>,
    created: UnboundedSender<usize>,
}

/// A running one.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub url: String,
    /// The length of each body that was sent to it, as it has ended.
    pub created: UnboundedReceiver<usize>,
    results: Arc<Mutex<Vec<Bytes>>>,
}

impl Upstream {
    /// Starts it within this process.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let results = Arc::new(Mutex::new(Vec::new()));
        let (sender, created) = unbounded_channel();
        let held = Held {
            url: url.as_str().into(),
            results: Arc::clone(&results),
            created: sender,
        };
        let router = Router::new()
            .route("/v1/messages/batches", post(create).get(list))
            .route("/v1/messages/batches/{id}", get(batch))
            .route("/v1/messages/batches/{id}/results", get(lines))
            .with_state(held);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            created,
            results,
        })
    }

    /// What the batch's results are from now on.
    pub fn set_results(&self, pieces: Vec<Bytes>) {
        *self.results.lock().unwrap_or_else(PoisonError::into_inner) = pieces;
    }
}

fn shown(url: &str, ended: bool) -> Value {
    json!({
        "id": BATCH,
        "type": "message_batch",
        "processing_status": if ended { "ended" } else { "in_progress" },
        "request_counts": {
            "processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0,
        },
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2027-01-01T00:00:00Z",
        "ended_at": ended.then_some("2026-01-01T00:01:00Z"),
        "cancel_initiated_at": null,
        "archived_at": null,
        "results_url": ended.then(|| format!("{url}/v1/messages/batches/{BATCH}/results")),
    })
}

async fn create(State(held): State<Held>, body: Body) -> Json<Value> {
    let mut stream = body.into_data_stream();
    let mut length = 0;
    while let Some(Ok(piece)) = stream.next().await {
        length += piece.len();
    }
    // Nobody may be listening any more.
    let _ = held.created.send(length);
    Json(shown(&held.url, false))
}

async fn list(State(held): State<Held>) -> Json<Value> {
    Json(json!({
        "data": [shown(&held.url, false)], "has_more": false, "first_id": BATCH, "last_id": BATCH,
    }))
}

async fn batch(State(held): State<Held>) -> Json<Value> {
    Json(shown(&held.url, true))
}

async fn lines(State(held): State<Held>) -> Body {
    let pieces = held
        .results
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
}
