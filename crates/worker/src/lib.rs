//! The loops that move jobs, and the driver that runs them.
//!
//! A loop takes no input: whatever wakes it is a hint, and it re-reads the
//! database and acts on that alone. So a restart, a lost notification and a
//! second process are one code path. Decisions are made in `offpeak-domain`,
//! rows are written by `offpeak-store`; what stands here is the order of things.
//!
//! What it never does: build JSON for clients, hold a whole batch in memory in
//! either direction, or send a create whose predecessor's outcome is unknown.
//! If the process dies here, every loop finds its work again in the database.

mod absorb;
mod caching;
mod chunk;
mod clock;
mod driver;
mod gate;
mod loops;
mod measure;
mod options;
mod outcome;
mod pause;
mod price;
mod prime;
mod recover;
mod setting;
mod their_clock;
mod upload;
mod upstream;
mod worker;

pub use clock::Clock;
pub use options::Options;
pub use outcome::{Outcome, Queue, Seen, Wait, rest};
pub use price::usage;
pub use upstream::Upstream;
pub use worker::{Keys, Loop, Worker};

/// Why a tick did not do its work. The driver logs it, counts it and tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database said no, or nothing.
    #[error(transparent)]
    Store(#[from] offpeak_store::Error),
    /// Anthropic's API said no, or nothing.
    #[error("upstream: {0}")]
    Upstream(#[from] offpeak_anthropic::Error),
    /// The shipped price table does not know a model that was billed.
    #[error(transparent)]
    Price(#[from] offpeak_domain::price::UnknownModel),
    /// A batch belongs to an upstream that this process has no credential for.
    #[error("no credential for this upstream")]
    NoCredential,
    /// The tick took longer than it may.
    #[error("the tick took longer than {0:?}")]
    TooLong(std::time::Duration),
}

impl Error {
    /// Whether the database's own files are at fault.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }
}

/// The usual result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
