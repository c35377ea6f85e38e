//! A request body of known length that knows how far it came.
//!
//! The one question it answers: was the last byte handed over? Until then the
//! API cannot have the whole request, so nothing can have been stored; from then
//! on the outcome is unknown until an answer says otherwise. The last chunk is
//! held back until the source has really ended, so a source that disagrees with
//! the announced length never becomes a complete body.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How far a body came; shared between the body and the one who waits.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    all_handed_over: AtomicBool,
    failed: Mutex<Option<Cause>>,
}

impl Progress {
    /// Whether the last byte was handed over to the transport.
    pub(crate) fn body_sent(&self) -> bool {
        self.all_handed_over.load(Ordering::SeqCst)
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
                    this.progress.all_handed_over.store(true, Ordering::SeqCst);
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
        (out, progress.body_sent(), failure)
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
