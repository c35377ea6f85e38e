//! The bill of one attempt: the only place that says what saved how much.

use crate::money::Pico;

/// What one attempt cost, what the same usage would have cost synchronously and
/// without a cache, and which saving made the difference.
///
/// [`sync`](Self::sync) = [`cost`](Self::cost) + the three savings, to the last
/// pico-dollar. The cache is counted first, at the synchronous price; the batch
/// then takes its part of what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// What was billed.
    pub cost: Pico,
    /// The same usage at the synchronous price, every prompt token at the input
    /// rate of its step.
    pub sync: Pico,
    /// What the batch took off.
    pub saved_batch: Pico,
    /// What reading from a cache took off, less what writing to it cost more:
    /// below zero for writes that nobody read.
    pub saved_cache: Pico,
    /// What was not run because another job had run it.
    pub saved_reuse: Pico,
}

impl Bill {
    /// All savings together.
    pub fn saved(&self) -> Pico {
        self.saved_batch + self.saved_cache + self.saved_reuse
    }

    /// Whether cost and savings make up the whole.
    pub fn adds_up(&self) -> bool {
        self.sync == self.cost + self.saved()
    }
}
