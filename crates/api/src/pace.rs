//! How slowly the other side of a connection may go on.
//!
//! Only the time counts in which this side waits for the other: what the server itself
//! takes is nobody else's fault.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Buf, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// So many bytes for every so much waiting, at least.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many.
    pub bytes: usize,
    /// In how much time of waiting.
    pub within: Duration,
}

/// What one direction of a connection keeps to.
#[derive(Debug)]
pub(crate) struct Pace {
    kept: Kept,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(rate: Rate) -> Self {
        let kept = Kept {
            rate,
            went: 0,
            waited: Duration::ZERO,
            since: None,
        };
        Self { kept, alarm: None }
    }

    /// Something went. A client that keeps up, so that nobody has waited for it, owes
    /// nothing for what was before, if so `forgives`.
    pub(crate) fn went(&mut self, bytes: usize, forgives: bool) {
        self.kept.went(bytes, forgives, Instant::now());
    }

    /// Nothing can go at this moment. Ready when that has been so for too long.
    pub(crate) fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.kept.end(Instant::now());
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        alarm.as_mut().poll(context)
    }
}

/// What went and was waited for since it was last enough.
#[derive(Debug)]
struct Kept {
    rate: Rate,
    went: usize,
    waited: Duration,
    since: Option<Instant>,
}

impl Kept {
    fn went(&mut self, bytes: usize, forgives: bool, now: Instant) {
        match self.since.take() {
            Some(since) => self.waited += now - since,
            None if forgives => (self.went, self.waited) = (0, Duration::ZERO),
            None => {}
        }
        self.went = self.went.saturating_add(bytes);
        if self.went >= self.rate.bytes {
            (self.went, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Until when one waits for more, from now or from when one began to.
    fn end(&mut self, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        since + self.rate.within.saturating_sub(self.waited)
    }
}

/// A client sends its body so slowly that nobody waits for it any more.
#[derive(Debug, thiserror::Error)]
#[error("less than {} bytes of the body came in {:?}", .0.bytes, .0.within)]
pub(crate) struct TooSlow(pub(crate) Rate);

impl TooSlow {
    /// The one at the bottom of an error, where that is what happened.
    pub(crate) fn beneath<'a>(
        mut error: &'a (dyn std::error::Error + 'static),
    ) -> Option<&'a Self> {
        loop {
            if let Some(slow) = error.downcast_ref() {
                return Some(slow);
            }
            error = error.source()?;
        }
    }
}

/// A body that ends in an error where its client is too slow.
#[derive(Debug)]
pub(crate) struct Paced {
    body: Incoming,
    pace: Pace,
    over: bool,
}

impl Paced {
    pub(crate) fn new(body: Incoming, rate: Rate) -> Self {
        Self {
            body,
            pace: Pace::new(rate),
            over: false,
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                this.pace.went(bytes, false);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.pace.wait(context));
        this.over = true;
        Poll::Ready(Some(Err(TooSlow(this.pace.kept.rate).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Rate};
    use std::time::Duration;
    use tokio::time::Instant;

    fn kept() -> Kept {
        Kept {
            rate: Rate {
                bytes: 100,
                within: Duration::from_secs(10),
            },
            went: 0,
            waited: Duration::ZERO,
            since: None,
        }
    }

    /// What is left of the time after each step: bytes that come after so many seconds
    /// of waiting, and so many seconds in which nobody waits.
    fn left(forgives: bool, steps: &[(u64, usize, u64)]) -> Vec<u64> {
        let (mut kept, mut now) = (kept(), Instant::now());
        let mut left = Vec::new();
        for (waited, bytes, away) in steps {
            if *waited > 0 {
                kept.end(now);
                now += Duration::from_secs(*waited);
            }
            kept.went(*bytes, forgives, now);
            now += Duration::from_secs(*away);
            left.push((kept.end(now) - now).as_secs());
            kept.since = None;
        }
        left
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress_and_enough_of_them_are() {
        assert_eq!(left(false, &[(1, 1, 0), (4, 1, 0), (5, 1, 0)]), [9, 5, 0]);
        assert_eq!(
            left(false, &[(9, 100, 0), (9, 99, 0), (0, 1, 0)]),
            [10, 1, 10]
        );
    }

    #[test]
    fn our_own_time_does_not_count() {
        assert_eq!(left(false, &[(3, 1, 1_000), (3, 1, 1_000)]), [7, 4]);
    }

    #[test]
    fn who_keeps_up_may_be_forgiven() {
        assert_eq!(left(true, &[(9, 1, 0), (0, 1, 0)]), [1, 10]);
        assert_eq!(left(false, &[(9, 1, 0), (0, 1, 0)]), [1, 1]);
    }
}
