//! `GET /v1/messages/batches/{id}/results`: the file, streamed.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::caller::Caller;
use crate::edge::{Drawn, lines};
use crate::fault;
use crate::fault::lines::LineFault;
use crate::fault::rule::Fault;
use crate::refusal::Refusal;
use crate::settle::RESULTS;
use crate::world::World;

const CHUNK: usize = 64 << 10;

pub(super) async fn download(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    let behavior = world.behavior();
    let refused = |status, message| Err(Refusal::new(status, fault::kind(status), message));
    if record.settled.is_none() {
        let message = format!("Message batch {id} has no results until it has ended");
        return refused(behavior.results_early, message);
    }
    if record.is_archived(world.now()) && behavior.results_archived != 200 {
        let message = format!("The results of message batch {id} are archived");
        return refused(behavior.results_archived, message);
    }
    let file = File::open(world.shelf.folder(&record.id).join(RESULTS)).await?;
    let length = file.metadata().await?.len();
    let chunks = ReaderStream::with_capacity(file, CHUNK);
    let damages: Arc<[LineFault]> = drawn
        .faults
        .iter()
        .filter_map(|fault| match fault {
            Fault::Lines(damage) => Some(damage.clone()),
            _ => None,
        })
        .collect();
    let cut_after = world.faults().cut();
    let whole = cut_after.is_none() && damages.is_empty();
    let body = match cut_after {
        Some(lines) => Body::from_stream(cut(chunks, lines)),
        None if damages.is_empty() => Body::from_stream(chunks),
        None => Body::from_stream(lines::damage(chunks, damages, world.seed, drawn.draw)),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = behavior.results_type.parse::<HeaderValue>() {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if behavior.results_length && whole {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

/// The first lines (fewer, if the client is slow to take them), then a break.
fn cut(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    lines: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let head = chunks.scan(lines, |left, chunk| {
        let Ok(mut chunk) = chunk else {
            return std::future::ready(None);
        };
        if *left == 0 {
            return std::future::ready(None);
        }
        let newlines = chunk.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        match newlines.clone().nth(*left - 1) {
            Some((at, _)) => {
                chunk.truncate(at + 1);
                *left = 0;
            }
            None => *left -= newlines.count(),
        }
        std::future::ready(Some(Ok(chunk)))
    });
    head.chain(stream::once(async {
        // A pause, in which the connection sends what it has; it drops the rest.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionReset.into())
    }))
}
