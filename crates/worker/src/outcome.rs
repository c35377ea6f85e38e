use std::time::Duration;

use time::OffsetDateTime;

use crate::worker::Loop;

/// What a tick did, for the driver, the metrics and the tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Things done: batches formed, sent, looked at, lines settled, rows folded.
    pub done: u64,
    /// When the next tick is worth its while.
    pub wait: Wait,
    /// Loops that have something to do because of this tick.
    pub wakes: Vec<Loop>,
    /// What is waiting, where the loop has looked.
    pub queue: Option<Queue>,
    /// What it saw that is worth a metric.
    pub seen: Seen,
}

/// What a tick saw that is worth a metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Ages of created batches at the first listing that showed them: so long
    /// at most did Anthropic take to list them.
    pub visible: Vec<Duration>,
    /// Ages of created batches that no listing has shown yet, the present one
    /// included: so long at least does it take.
    pub hidden: Vec<Duration>,
    /// Open incidents by kind, where the loop has counted them.
    pub incidents: Option<Vec<(String, u64)>>,
    /// Batches whose results wait for longer than they should.
    pub waiting: Option<u64>,
    /// Lines that late twins billed, now absorbed.
    pub absorbed: u64,
    /// Direct calls by what came of them.
    pub called: Option<&'static str>,
    /// Jobs that are called for because their deadline nears: those that waited,
    /// and those in batches.
    pub escalated: (u64, u64),
    /// Jobs that ended after their deadline, or because of it.
    pub missed: u64,
}

/// How long whoever worked that long for nobody in particular lets others have the
/// database: it takes a fifth of the time then.
#[must_use]
pub fn rest(worked: Duration) -> Duration {
    worked.saturating_mul(4)
}

/// When a loop should run again at the latest; a hint may come earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Wait {
    /// At once: there is more.
    Now,
    /// There is more, and nobody waits for it: after the [`rest`] of what the tick took.
    Rested,
    /// After this long.
    For(Duration),
    /// When it has been told to, or a look at the database, which is made every
    /// idle time, finds something for it; after several idle times in any case.
    #[default]
    Idle,
}

impl Wait {
    /// Until a moment that may already be past.
    pub fn until(now: OffsetDateTime, then: OffsetDateTime) -> Self {
        Duration::try_from(then - now).map_or(Self::Now, Self::For)
    }
}

/// The jobs that wait to be put into a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Queue {
    /// How many.
    pub jobs: u64,
    /// How long the first of them has waited.
    pub oldest: Duration,
}
