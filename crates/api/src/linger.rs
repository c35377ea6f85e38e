//! Reading on after a refusal.
//!
//! Most clients send their whole body before they look at the answer. Closing
//! the connection under one that is still sending resets it, and the reason of
//! the refusal is lost. So the answer goes out at once, and beside it what is
//! left of a refused body is read and thrown away, within bounds of length and
//! time. If the process dies here, a client that is still sending sees its
//! connection close instead of the refusal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

/// Bytes that are thrown away, at most.
const MAX_BYTES: usize = 512_000_000;
/// Time that is spent on it, at most.
const MAX_TIME: Duration = Duration::from_secs(20);

/// A body that two may read: the handler, and whoever throws the rest away.
#[derive(Clone)]
struct Shared {
    body: Arc<Mutex<BodyDataStream>>,
    touched: Arc<AtomicBool>,
}

impl Shared {
    fn frames(self) -> impl Stream<Item = Result<bytes::Bytes, axum::Error>> {
        poll_fn(move |context| {
            self.touched.store(true, Ordering::Relaxed);
            self.body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .poll_next_unpin(context)
        })
    }
}

pub(crate) async fn linger(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let asks = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let shared = Shared {
        body: Arc::new(Mutex::new(body.into_data_stream())),
        touched: Arc::default(),
    };
    let body = Body::from_stream(shared.clone().frames());
    let response = next.run(Request::from_parts(head, body)).await;
    // Who asked before sending waits for the answer and has sent nothing.
    let waits = asks && !shared.touched.load(Ordering::Relaxed);
    if response.status().as_u16() >= 400 && !waits {
        // The connection reads on for as long as somebody wants the body.
        let rest = async move {
            let mut frames = std::pin::pin!(shared.frames());
            let mut left = MAX_BYTES;
            while let Some(Ok(frame)) = frames.next().await {
                left = left.saturating_sub(frame.len());
                if left == 0 {
                    break;
                }
            }
        };
        tokio::spawn(timeout(MAX_TIME, rest));
    }
    response
}
