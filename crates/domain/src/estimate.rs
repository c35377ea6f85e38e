//! What work will cost in each lane, before anything is spent.
//!
//! [`Prompt`] reads one Messages body: how many tokens it has by a local
//! [`Calibration`], which prefix it may share with others, whether it is the
//! same as another to the byte, and how long its answer may be. [`Tally`] takes
//! any number of [`Call`]s in bounded memory and gives the [`Lanes`]:
//! synchronously without and with caching, as plain message batches, and
//! through offpeak, with what each saving comes from.
//!
//! An estimate never decides about money: the ledger is what was billed.

mod answer;
mod lanes;
mod prompt;
mod tally;
mod tokens;

pub use answer::Basis;
pub use lanes::{Assumed, Lanes, Through};
pub use prompt::{Prefix, Prompt};
pub use tally::{Call, Logged, Row, SAME_WITHIN, Tally};
pub use tokens::{Calibration, Drift};

#[cfg(test)]
mod tests;
