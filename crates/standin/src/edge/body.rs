//! Bodies that break off or come slowly.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use super::pause;

/// Most of an answer that is held to find its middle; results are longer, but
/// their lines have damages of their own.
const HELD: usize = 64 << 20;

/// The first half of a body.
pub(super) async fn half(response: Response, framed: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, HELD).await.unwrap_or_default();
    let head = whole.slice(..whole.len() / 2);
    if framed {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::from(head));
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let body = stream::once(async { Ok(head) }).chain(broken());
    Response::from_parts(parts, Body::from_stream(body))
}

/// The body up to so many bytes, then the connection breaks.
pub(super) fn broken_off(response: Response, bytes: u64) -> Response {
    let left = usize::try_from(bytes).unwrap_or(usize::MAX);
    response.map(|body| {
        let head = body.into_data_stream().scan(left, |left, chunk| {
            let Ok(mut chunk) = chunk else {
                return std::future::ready(None);
            };
            if *left == 0 {
                return std::future::ready(None);
            }
            chunk.truncate(*left);
            *left -= chunk.len();
            std::future::ready(Some(Ok(chunk)))
        });
        Body::from_stream(head.chain(broken()))
    })
}

/// The end of a body that breaks off.
pub(super) fn broken() -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::once(async {
        // A pause, in which the connection sends what it has; it drops the rest.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionReset.into())
    })
}

/// The body in pieces, with a pause before each.
pub(super) fn drip(response: Response, bytes: usize, every: Duration) -> Response {
    let bytes = bytes.max(1);
    response.map(|body| {
        let pieces = stream::unfold(
            (body.into_data_stream(), BytesMut::new()),
            move |(mut source, mut held)| async move {
                while held.is_empty() {
                    match source.next().await? {
                        Ok(chunk) => held.extend_from_slice(&chunk),
                        Err(error) => return Some((Err(error), (source, held))),
                    }
                }
                pause(every).await;
                let piece = held.split_to(bytes.min(held.len())).freeze();
                Some((Ok(piece), (source, held)))
            },
        );
        Body::from_stream(pieces)
    })
}
