use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// Jobs that were submitted together, with their progress.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// `grp_…`.
    #[schema(example = "grp_01kap3v0qne2w8x6c1d9m5r7zt")]
    pub id: String,
    /// As given at submit.
    #[schema(required)]
    pub name: Option<String>,
    /// When the upload began.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs by state; they add up to `jobs`.
    pub counts: Counts,
    /// Whether every job has ended.
    pub done: bool,
    /// When it ends, as past batches tell it; null until 20 like each of its open batches
    /// were measured, and when none is open.
    #[serde(default)]
    #[schema(required)]
    pub left: Option<TimeLeft>,
    /// Tokens of everything billed so far.
    pub usage: TokenTotals,
    /// What was billed so far, in dollars, exact.
    pub cost: String,
    /// What the same usage would have cost synchronously and without a cache, in
    /// dollars, exact.
    pub cost_sync: String,
    /// `cost_sync` − `cost`.
    pub saved: String,
    /// Attempts whose model has no known price; their money is in none of these
    /// amounts.
    #[serde(default)]
    pub unpriced: u64,
}

/// When a group ends if its batches take as long as those of their sizes did in the
/// last seven days. Jobs that wait count as a batch that is still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimeLeft {
    /// When, if each takes as long as half of those before it did at most.
    #[serde(with = "rfc3339")]
    pub from: OffsetDateTime,
    /// When, if none takes longer than 90 of a hundred did; past when all have.
    #[serde(with = "rfc3339")]
    pub to: OffsetDateTime,
    /// Past batches that this rests on: those like the one that is to end last.
    pub batches: u64,
    /// Whether one of its batches has taken longer than 90 of a hundred did.
    pub late: bool,
}

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Accepted, not yet at Anthropic.
    pub queued: u64,
    /// At Anthropic.
    pub submitted: u64,
    /// Results being read.
    pub processing: u64,
    /// Ended with a good result.
    pub completed: u64,
    /// Ended without one.
    pub failed: u64,
    /// Ended by somebody's wish.
    pub canceled: u64,
}

/// Tokens of many jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenTotals {
    /// Input tokens, cache writes and reads included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// What a cancel of a group did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Canceled {
    /// Jobs that this call canceled; those that had ended before stay as they are.
    pub canceled: u64,
    /// The group afterwards.
    pub group: Group,
}

/// What a retry of a group did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// Failed and canceled jobs that are queued again.
    pub retried: u64,
    /// Jobs left as they are, because an attempt of theirs is still at Anthropic.
    pub in_flight: u64,
    /// The group afterwards.
    pub group: Group,
}
