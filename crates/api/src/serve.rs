//! Connections, and how one is ended that its own task cannot end: where a client
//! takes nothing, HTTP waits for it and asks no handler any more.
//!
//! If the process dies here, the system closes them all.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Answers what comes in, until the stop; returns when the last answer is sent.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    // As it is, each connection would get a deep copy of every route, and keep it:
    // three times what it needs otherwise.
    let service = router.into_make_service_with_connect_info::<Line>();
    axum::serve(Listening(listener), service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// A connection as a request sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<Ends>);

#[derive(Debug, Default)]
struct Ends {
    cut: AtomicBool,
    /// Whoever reads or writes.
    task: AtomicWaker,
    gone: CancellationToken,
}

impl Line {
    /// Ends it at once: what was not sent is thrown away, by the system, too.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.task.wake();
    }

    /// Returns when it has ended.
    pub(crate) async fn gone(&self) {
        self.0.gone.cancelled().await;
    }
}

impl Connected<IncomingStream<'_, Listening>> for Line {
    fn connect_info(stream: IncomingStream<'_, Listening>) -> Self {
        stream.io().line.clone()
    }
}

struct Listening(TcpListener);

impl Listener for Listening {
    type Io = Watched;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Watched, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.0).await;
        // A frame does not wait until the client has confirmed the one before. One
        // that is gone already shows that by itself.
        let _ = stream.set_nodelay(true);
        let line = Line::default();
        (Watched { stream, line }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that ends when its line is cut.
struct Watched {
    stream: TcpStream,
    line: Line,
}

impl Watched {
    /// The connection, while it is not cut.
    fn open(&mut self, context: &Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        let Ends { cut, task, .. } = &*self.line.0;
        // First: a cut after the look finds the task.
        task.register(context.waker());
        if cut.load(Ordering::Acquire) {
            // What the client does not take would stay with the system for minutes.
            let _ = self.stream.set_zero_linger();
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.line.0.gone.cancel();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.open(context)?.poll_read(context, into)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open(context)?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open(context)?.poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(context)?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, serve};
    use axum::extract::ConnectInfo;
    use axum::{Router, routing::get};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn a_connection_ends_although_its_client_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lines, mut open) = mpsc::channel(1);
        let endless = move |ConnectInfo(line): ConnectInfo<Line>| async move {
            lines.send(line).await.unwrap();
            axum::body::Body::from("x".repeat(100_000_000))
        };
        let router = Router::new().route("/", get(endless));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let line = open.recv().await.unwrap();
        // It waits for the client, and nobody else would end that.
        let gone = timeout(Duration::from_millis(200), line.gone()).await;
        assert!(gone.is_err());
        line.cut();
        timeout(Duration::from_secs(10), line.gone()).await.unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap_err();
        assert!(all.len() < 100_000_000);
        stop.cancel();
        timeout(Duration::from_secs(10), serving)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}
