//! One connection, and how it is ended that its own task cannot end: where a client
//! takes nothing or sends nothing, HTTP waits for it and asks no handler any more.

use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;
use crate::serve::Patience;

/// A connection as a request sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<Ends>);

#[derive(Debug, Default)]
struct Ends {
    /// The other side's address.
    from: Option<IpAddr>,
    cut: AtomicBool,
    /// Whose turn it is, and how often that has changed: odd while we answer.
    turns: AtomicUsize,
    /// Whoever reads or writes.
    task: AtomicWaker,
    gone: CancellationToken,
}

impl Line {
    /// The other side's address.
    pub(crate) fn from(&self) -> Option<IpAddr> {
        self.0.from
    }

    /// Ends it at once: what was not sent is thrown away, by the system, too.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.task.wake();
    }

    /// Returns when it has ended.
    pub(crate) async fn gone(&self) {
        self.0.gone.cancelled().await;
    }

    /// It is our turn, until this is dropped.
    pub(crate) fn turn(&self) -> Turn {
        self.0.turns.fetch_add(1, Ordering::AcqRel);
        Turn(Some(self.clone()))
    }
}

/// A request is under way.
#[derive(Debug)]
pub(crate) struct Turn(Option<Line>);

impl Turn {
    /// For as long as the connection lasts.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(Line(ends)) = &self.0 {
            ends.turns.fetch_add(1, Ordering::AcqRel);
            // Whoever waits for the next request waits for so long only.
            ends.task.wake();
        }
    }
}

/// A connection that ends when its line is cut, or its client too slow.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    line: Line,
    patience: Arc<Patience>,
    turns: usize,
    /// Whether a head is awaited, not only a first byte of one.
    is_head: bool,
    /// When the client has taken too long to ask.
    alarm: Option<Pin<Box<Sleep>>>,
    writing: Pace,
    /// A place among all connections.
    _place: OwnedSemaphorePermit,
}

impl Watched {
    pub(crate) fn new(
        stream: TcpStream,
        from: SocketAddr,
        patience: Arc<Patience>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let line = Line(Arc::new(Ends {
            from: Some(from.ip()),
            ..Ends::default()
        }));
        Self {
            stream,
            line,
            turns: 0,
            is_head: true,
            alarm: None,
            writing: Pace::new(patience.answer),
            patience,
            _place: place,
        }
    }

    pub(crate) fn line(&self) -> Line {
        self.line.clone()
    }

    /// The connection, while it is not cut.
    fn open(&mut self, context: &Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        let Ends { cut, task, .. } = &*self.line.0;
        // First: a cut after the look finds the task.
        task.register(context.waker());
        if cut.load(Ordering::Acquire) {
            return Err(self.throw_away());
        }
        Ok(Pin::new(&mut self.stream))
    }

    fn throw_away(&self) -> io::Error {
        // What the client does not take would stay with the system for minutes.
        let _ = self.stream.set_zero_linger();
        io::ErrorKind::TimedOut.into()
    }

    /// Nothing has come. Ready when a request should have.
    fn await_request(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let turns = self.line.0.turns.load(Ordering::Acquire);
        if turns != self.turns {
            (self.turns, self.is_head, self.alarm) = (turns, false, None);
        }
        if turns % 2 == 1 {
            return Poll::Pending;
        }
        let patience = if self.is_head {
            self.patience.head
        } else {
            self.patience.idle
        };
        self.alarm
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)))
            .as_mut()
            .poll(context)
    }

    /// Bytes have come: with the first of a head its own time begins.
    fn has_read(&mut self) {
        let turns = self.line.0.turns.load(Ordering::Acquire);
        if turns.is_multiple_of(2) && (turns != self.turns || !self.is_head) {
            (self.turns, self.is_head, self.alarm) = (turns, true, None);
        }
    }

    /// What became of a write, as far as the client may take its time for it.
    fn judged(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                self.writing.went(bytes, true);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.writing.wait(context));
                Poll::Ready(Err(self.throw_away()))
            }
        }
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
        let before = into.filled().len();
        match self.open(context)?.poll_read(context, into) {
            Poll::Ready(read) => {
                if into.filled().len() > before {
                    self.has_read();
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(self.await_request(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = self.open(context)?.poll_write(context, bytes);
        self.judged(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = self.open(context)?.poll_write_vectored(context, pieces);
        self.judged(context, wrote)
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
