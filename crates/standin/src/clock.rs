//! The stand-in's clock: the machine's, or one that a test moves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

/// Where the stand-in gets its time from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved.
    Manual(Manual),
}

/// A clock that a test moves. Clones share the time.
#[derive(Debug, Clone)]
pub struct Manual(Arc<Mutex<OffsetDateTime>>);

impl Manual {
    /// A clock that shows this time.
    pub fn new(now: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// The time that it shows.
    pub fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it forward; gives the new time.
    pub fn advance(&self, by: Duration) -> OffsetDateTime {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        *now
    }
}

impl Clock {
    /// The time, in whole microseconds as the API shows it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the stand-in reads time"
    )]
    pub fn now(&self) -> OffsetDateTime {
        let now = match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Manual(manual) => manual.now(),
        };
        now.replace_nanosecond(now.microsecond() * 1000)
            .unwrap_or(now)
    }
}
