//! `GET /v1/messages/batches/{id}/results`: the file, streamed.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::settle::RESULTS;
use crate::world::World;

const CHUNK: usize = 64 << 10;

pub(super) async fn download(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    if record.settled.is_none() {
        return Err(Refusal::invalid(format!(
            "Message batch {id} has no results until it has ended"
        )));
    }
    if record.is_archived(world.now()) {
        return Err(Refusal::not_found(format!(
            "The results of message batch {id} are archived"
        )));
    }
    let file = File::open(world.shelf.folder(&record.id).join(RESULTS)).await?;
    let chunks = ReaderStream::with_capacity(file, CHUNK);
    let body = match world.faults().cut() {
        Some(lines) => Body::from_stream(cut(chunks, lines)),
        None => Body::from_stream(chunks),
    };
    Ok(([(header::CONTENT_TYPE, "application/x-jsonl")], body).into_response())
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
