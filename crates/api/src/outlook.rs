//! What may be said of when answers come: how long batches and direct calls took
//! lately, as it was read not long ago.
//!
//! A submit needs it for its lane and must not wait for it: so it is kept, and read
//! anew by one request in a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::route::Ways;
use offpeak_domain::turnaround::{Measured, size_of};
use offpeak_store::turnaround::{self, Lately};
use time::OffsetDateTime;

use crate::State;

/// How long what was read is good.
const GOOD: Duration = Duration::from_secs(30);

/// What was read last, by whichever request.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Last>);

#[derive(Debug)]
struct Last {
    /// When reading it was begun.
    begun: Option<Instant>,
    lately: Arc<Lately>,
    /// The database's time then.
    at: OffsetDateTime,
}

impl Default for Last {
    fn default() -> Self {
        Self {
            begun: None,
            lately: Arc::default(),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request goes by.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// The longest from becoming ready to being sent, when nothing holds it up.
    pub(crate) flush_after: Duration,
    /// What time it is, by the database's clock, more or less.
    pub(crate) now: OffsetDateTime,
    poll_every: Duration,
    escalate_before: Duration,
    lately: Arc<Lately>,
}

impl Outlook {
    /// The two ways from here.
    pub(crate) fn ways(&self, now: OffsetDateTime) -> Ways {
        Ways {
            around: self.flush_after + self.poll_every,
            batch: self.batch(now, None),
            direct: self.direct(now),
            escalate_before: self.escalate_before,
        }
    }

    /// How long batches take that are made now, with so many requests.
    pub(crate) fn batch(&self, at: OffsetDateTime, items: Option<u64>) -> Option<Measured> {
        self.lately.batch.of(at.hour(), items.map(size_of))
    }

    /// How long batches with about so many requests took, and no others.
    pub(crate) fn usual(&self, items: u64) -> Option<Measured> {
        self.lately.batch.of_size(size_of(items))
    }

    /// How long direct calls take.
    pub(crate) fn direct(&self, at: OffsetDateTime) -> Option<Measured> {
        self.lately.direct.of(at.hour(), None)
    }
}

impl State {
    /// What may be said at this moment. Not to be called within a transaction: it
    /// may need a connection of its own. A database that does not answer leaves
    /// it at what was known before.
    pub(crate) async fn outlook(&self) -> Outlook {
        let stale = {
            let mut kept = self.kept.lock();
            let stale = kept.begun.is_none_or(|begun| begun.elapsed() >= GOOD);
            if stale {
                // The others make do with what there is.
                kept.begun = Some(Instant::now());
            }
            stale
        };
        if stale {
            match turnaround::lately_shown(&self.tenants, self.upstream.id).await {
                Ok((lately, at)) => {
                    let mut kept = self.kept.lock();
                    (kept.lately, kept.at) = (Arc::new(lately), at);
                }
                Err(error) => tracing::debug!(%error, "what was measured lately is not known"),
            }
        }
        let kept = self.kept.lock();
        Outlook {
            flush_after: self.upstream.flush_after,
            now: kept.at + kept.begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
            poll_every: self.upstream.poll_every,
            escalate_before: self.upstream.escalate_before,
            lately: Arc::clone(&kept.lately),
        }
    }
}
