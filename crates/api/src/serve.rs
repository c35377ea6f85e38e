//! Connections: so many at once, none of which may be slow for ever.
//!
//! A client has a bound time for the head of a request, sends its body and takes its
//! answer at a least rate, and is let go when it asks for nothing more. Which bytes a
//! head may have stands here too, as HTTP itself ends what is far beyond; the limits
//! with an explanation are [`crate::limits`].
//!
//! If the process dies here, the system closes them all.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use axum::serve::Listener;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::line::{Line, Turn, Watched};
use crate::pace::{Paced, Rate};

/// Headers and bytes of a head that is not even read. What [`crate::limits`] refuses
/// with a reason is well below.
const MAX_HEADERS: usize = 4 * crate::bounds::MAX_HEADERS;
const MAX_HEAD: usize = 4 * crate::bounds::MAX_HEAD;

/// What is said to a connection beyond the last.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be, and how slow each.
#[derive(Clone, Debug)]
pub struct Patience {
    /// At once, live ones among them.
    pub connections: usize,
    /// From a request's first byte, or from the connection's beginning, to the last of
    /// its head.
    pub head: Duration,
    /// From an answer's end to the next request.
    pub idle: Duration,
    /// How fast a body comes, at least.
    pub body: Rate,
    /// How fast an answer is taken, at least.
    pub answer: Rate,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connections: 30_000,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Rate {
                bytes: 30_000,
                within: Duration::from_secs(30),
            },
            // The system takes what a client takes in pieces of tens of kilobytes.
            answer: Rate {
                bytes: 60_000,
                within: Duration::from_mins(1),
            },
        }
    }
}

/// Answers what comes in, until the stop; returns when the last answer is sent.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    patience: Patience,
    stop: CancellationToken,
) -> io::Result<()> {
    // As it is, each connection would get a deep copy of every route, and keep it:
    // three times what it needs otherwise.
    let router: Router = router.with_state(());
    let places = Arc::new(Semaphore::new(patience.connections));
    let patience = Arc::new(patience);
    let connections = TaskTracker::new();
    let mut is_full = false;
    while let Some((stream, from)) = stop.run_until_cancelled(accept(&mut listener)).await {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            if !is_full {
                tracing::warn!(open = patience.connections, "connections are refused");
            }
            is_full = true;
            // Who does not read it sees the connection close.
            let _ = stream.try_write(FULL);
            continue;
        };
        is_full = false;
        let watched = Watched::new(stream, from, Arc::clone(&patience), place);
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(connection(watched, router, patience.body, stop));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn accept(listener: &mut TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, from) = Listener::accept(listener).await;
    // A frame does not wait until the client has confirmed the one before. One
    // that is gone already shows that by itself.
    let _ = stream.set_nodelay(true);
    (stream, from)
}

async fn connection(watched: Watched, router: Router, rate: Rate, stop: CancellationToken) {
    let line = watched.line();
    let service = service_fn(|request| answer(router.clone(), line.clone(), rate, request));
    let http = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(watched), service)
        .with_upgrades();
    let mut http = pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection has broken");
    }
}

async fn answer(
    router: Router,
    line: Line,
    rate: Rate,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let turn = line.turn();
    let mut request = request.map(|body| Body::new(Paced::new(body, rate)));
    request.extensions_mut().insert(ConnectInfo(line));
    let answer = router.oneshot(request).await?;
    // What is no HTTP any more never asks for anything again.
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        turn.keep();
        return Ok(answer);
    }
    Ok(answer.map(|body| Body::new(Taken { body, _turn: turn })))
}

/// The body of an answer; when it is gone, the client may ask again.
struct Taken {
    body: Body,
    _turn: Turn,
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
