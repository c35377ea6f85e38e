//! What time it is at Anthropic, without asking: the last answer that said it,
//! and what has passed here since. By this machine's own running time, which
//! nobody sets, so that a step of the database's clock shows.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use offpeak_anthropic::{Answered, Error};
use time::OffsetDateTime;

use crate::clock::Clock;

/// Between a look at our clock and what it is compared with, at most: what they
/// differ by is otherwise our own delay, as of a machine that slept.
pub(crate) const CLOCKS_APART: Duration = Duration::from_mins(1);

/// Anthropic's clock as its last answer showed it.
#[derive(Debug)]
pub(crate) struct TheirClock {
    clock: Clock,
    /// What it said, and this machine's time when it was asked.
    last: Mutex<Option<(OffsetDateTime, Duration)>>,
}

impl TheirClock {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            last: Mutex::default(),
        }
    }

    /// This machine's time, to be taken before a call.
    pub(crate) fn local(&self) -> Duration {
        self.clock.local()
    }

    /// Takes the time from an answer to a call that began at `asked`.
    pub(crate) fn hear<T>(&self, asked: Duration, answer: &Result<Answered<T>, Error>) {
        let date = answer.as_ref().ok().and_then(|answer| answer.date);
        if let Some(date) = date
            && self.local().saturating_sub(asked) < CLOCKS_APART
        {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, asked));
        }
    }

    /// What time it is there when it is `local` here; nothing before it was heard.
    pub(crate) fn at(&self, local: Duration) -> Option<OffsetDateTime> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(date, asked)| date + local.saturating_sub(asked))
    }
}
