//! A request body of known length that knows how far it came.
//!
//! The one question it answers: was the last byte handed over? Until then the
//! API cannot have the whole request, so nothing can have been stored; from then
//! on the outcome is unknown until an answer says otherwise. The last chunk is
//! held back until the source has really ended, so a source that disagrees with
//! the announced length never becomes a complete body.
//!
//! The connection takes the body in a task of its own, which goes on for a
//! moment after the caller's time is over. So who asks also closes: one atomic
//! decides whether the last chunk left before, or never will.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The last chunk may still go.
const OPEN: u8 = 0;
/// It is gone: to the transport, for all that is known to the API.
const HANDED_OVER: u8 = 1;
/// It will never go.
const CLOSED: u8 = 2;

/// How far a body came; shared between the body and the one who waits.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// One of the three above. It leaves `OPEN` once.
    last_chunk: AtomicU8,
    failed: Mutex<Option<Cause>>,
}

impl Progress {
    /// Whether the last byte was handed over to the transport. From here on it
    /// never is, if it was not.
    pub(crate) fn close(&self) -> bool {
        self.leave_open(CLOSED) == HANDED_OVER
    }

    /// Whether the last chunk may be handed over; if so, it counts as that.
    fn claim(&self) -> bool {
        self.leave_open(HANDED_OVER) == HANDED_OVER
    }

    /// What it became, by this call or before.
    fn leave_open(&self, to: u8) -> u8 {
        self.last_chunk
            .compare_exchange(OPEN, to, Ordering::SeqCst, Ordering::SeqCst)
            .map_or_else(|was| was, |_| to)
    }

    /// Why the source failed, if it did. Given once.
    pub(crate) fn take_failure(&self) -> Option<Cause> {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn fail(&self, cause: Cause) -> io::Error {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
        io::Error::other("the body's source failed")
    }
}

pub(crate) struct Upload<S> {
    source: Pin<Box<S>>,
    left: u64,
    /// The last chunk, until the source has ended.
    held: Option<Bytes>,
    done: bool,
    progress: Arc<Progress>,
}

impl<S> Upload<S> {
    pub(crate) fn new(source: S, length: u64) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let upload = Self {
            source: Box::pin(source),
            left: length,
            held: None,
            done: false,
            progress: Arc::clone(&progress),
        };
        (upload, progress)
    }
}

impl<S, E> Stream for Upload<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Cause>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.done {
                return Poll::Ready(None);
            }
            let cause = match ready!(this.source.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => match this.left.checked_sub(chunk.len() as u64) {
                    Some(0) if this.held.is_none() => {
                        this.left = 0;
                        this.held = Some(chunk);
                        continue;
                    }
                    Some(left) if this.held.is_none() => {
                        this.left = left;
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    _ => "the body is longer than announced".into(),
                },
                None if this.left > 0 => "the body is shorter than announced".into(),
                None => {
                    this.done = true;
                    if !this.progress.claim() {
                        let over = io::Error::other("nobody waits for the answer any more");
                        return Poll::Ready(Some(Err(over)));
                    }
                    return Poll::Ready(this.held.take().map(Ok));
                }
                Some(Err(error)) => error.into(),
            };
            this.done = true;
            return Poll::Ready(Some(Err(this.progress.fail(cause))));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    /// What comes out, whether all was handed over, and the failure's text.
    async fn run(
        parts: Vec<Result<&'static str, &'static str>>,
        length: u64,
    ) -> (String, bool, Option<String>) {
        let source =
            stream::iter(parts).map(|part| part.map(|text| Bytes::from_static(text.as_bytes())));
        let (mut upload, progress) = Upload::new(source, length);
        let mut out = String::new();
        while let Some(Ok(chunk)) = upload.next().await {
            out.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let failure = progress.take_failure().map(|cause| cause.to_string());
        (out, progress.close(), failure)
    }

    #[tokio::test]
    async fn the_last_chunk_does_not_leave_after_it_was_said_not_to_have() {
        let source = || stream::iter([Ok::<_, Cause>(Bytes::from_static(b"ab"))]);
        let (mut upload, progress) = Upload::new(source(), 2);
        assert!(!progress.close());
        assert!(upload.next().await.unwrap().is_err());
        assert!(upload.next().await.is_none());
        assert!(!progress.close());

        let (mut upload, progress) = Upload::new(source(), 2);
        assert_eq!(upload.next().await.unwrap().unwrap(), "ab");
        assert!(progress.close(), "and it says so however often it is asked");
        assert!(progress.close());
    }

    #[test]
    fn whoever_asks_and_the_body_never_disagree() {
        let waker = std::task::Waker::noop();
        for _ in 0..5_000 {
            let source = stream::iter([Ok::<_, Cause>(Bytes::from_static(b"ab"))]);
            let (mut upload, progress) = Upload::new(source, 2);
            let gate = std::sync::Barrier::new(2);
            let (said, came) = std::thread::scope(|scope| {
                let asks = scope.spawn(|| {
                    gate.wait();
                    progress.close()
                });
                gate.wait();
                let next = Pin::new(&mut upload).poll_next(&mut Context::from_waker(waker));
                (
                    asks.join().unwrap(),
                    matches!(next, Poll::Ready(Some(Ok(_)))),
                )
            });
            assert_eq!(said, came);
        }
    }

    #[tokio::test]
    async fn only_a_body_as_announced_is_ever_complete() {
        let ok = run(vec![Ok("ab"), Ok(""), Ok("cd"), Ok("")], 4).await;
        assert_eq!(ok, ("abcd".to_owned(), true, None));
        let short = run(vec![Ok("ab")], 4).await;
        assert_eq!(
            short,
            (
                "ab".to_owned(),
                false,
                Some("the body is shorter than announced".to_owned())
            )
        );
        for long in [vec![Ok("ab"), Ok("cd"), Ok("e")], vec![Ok("ab"), Ok("cde")]] {
            let long = run(long, 4).await;
            assert_eq!(
                long,
                (
                    "ab".to_owned(),
                    false,
                    Some("the body is longer than announced".to_owned())
                )
            );
        }
        let failed = run(vec![Ok("ab"), Ok("cd"), Err("database gone")], 4).await;
        assert_eq!(
            failed,
            ("ab".to_owned(), false, Some("database gone".to_owned()))
        );
    }
}
