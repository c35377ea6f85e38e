//! What an attempt used, and what that cost.

/// What a line says that a ledger entry or a result holds.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Uncached input.
    pub input_tokens: i64,
    /// Output, thinking included.
    pub output_tokens: i64,
    /// Written to the cache for five minutes.
    pub cache_write_5m: i64,
    /// Written to the cache for an hour.
    pub cache_write_1h: i64,
    /// Read from the cache.
    pub cache_read: i64,
    /// Web searches, which a batch does not halve.
    pub web_searches: i64,
    /// What it cost, in pico-dollars, as `offpeak_domain::price::Bill` has it.
    pub cost_pico: i64,
    /// What the same usage would have cost synchronously and without a cache.
    pub sync_pico: i64,
    /// Of the difference: what the batch saved, …
    pub saved_batch_pico: i64,
    /// … the cache, …
    pub saved_cache_pico: i64,
    /// … and another job's attempt.
    pub saved_reuse_pico: i64,
    /// No price is known; the amounts are zero and mean nothing.
    pub unpriced: bool,
}
