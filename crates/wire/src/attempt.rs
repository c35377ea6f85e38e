use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::{BatchState, Lane};

/// Everything that was tried for one job, in order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attempts {
    /// `job_…`.
    pub job: String,
    /// When it was accepted.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// The attempts; at most 1,000.
    pub attempts: Vec<Attempt>,
}

/// One try at a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1. Two may have one number: an answer that came after its job was canceled
    /// stands beside the cancel.
    pub number: u32,
    /// How it ended; null while it has not.
    #[schema(required)]
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed: as the label of a job or, of an attempt that was set aside,
    /// Anthropic's type of error.
    #[schema(required)]
    pub label: Option<String>,
    /// Whether it gave the job's result. The others were set aside.
    pub is_result: bool,
    /// How it reaches Anthropic; null for a job that waits for the result of another,
    /// or ended before it was sent.
    #[schema(required)]
    pub lane: Option<Lane>,
    /// `bat_…` that it is or was part of.
    #[schema(required)]
    pub batch: Option<String>,
    /// Where that batch stands.
    #[schema(required)]
    pub batch_state: Option<BatchState>,
    /// Anthropic's id of the message batch, once known.
    #[schema(required)]
    pub upstream_batch: Option<String>,
    /// While it waits: from when on it may be sent.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub waits_from: Option<OffsetDateTime>,
    /// When it was put into its batch.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub grouped_at: Option<OffsetDateTime>,
    /// When the call that sent it began.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub sent_at: Option<OffsetDateTime>,
    /// When Anthropic created its message batch.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub created_at: Option<OffsetDateTime>,
    /// When Anthropic had ended its batch, or answered the call.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub answered_at: Option<OffsetDateTime>,
    /// When its end was stored.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub ended_at: Option<OffsetDateTime>,
    /// True while it is still at Anthropic, and may be billed, although its job was
    /// canceled.
    pub still_at_anthropic: bool,
    /// What was billed; null when nothing was, or not yet.
    #[schema(required)]
    pub bill: Option<AttemptBill>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// With an answer.
    Completed,
    /// Without one, for good.
    Failed,
    /// By somebody's wish.
    Canceled,
    /// Anthropic did not run it in time.
    Expired,
    /// Anthropic answered with an error.
    Errored,
    /// Its batch was never created.
    Refuted,
    /// Its batch was refused as a whole.
    Rejected,
}

/// What an attempt cost.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttemptBill {
    /// The model that answered.
    pub model: String,
    /// The lane that was paid for.
    pub lane: Lane,
    /// What was used, item by item; what was not used is left out.
    pub lines: Vec<BillLine>,
    /// What it cost, in dollars, exact; null where no price is known.
    #[schema(required, example = "0.0008125")]
    pub cost: Option<String>,
    /// What the same usage would have cost synchronously and without a cache.
    #[schema(required, example = "0.001625")]
    pub cost_sync: Option<String>,
}

/// One item of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BillLine {
    /// What it is for.
    pub item: BillItem,
    /// Tokens, or searches.
    pub units: u64,
    /// What one of them cost, in dollars, exact. Null where today's price list does not
    /// make the amount that was booked.
    #[schema(required, example = "0.0000005")]
    pub each: Option<String>,
    /// What all of them cost. The lines add up to `cost`.
    #[schema(required)]
    pub cost: Option<String>,
}

/// What a line of a bill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillItem {
    /// Input tokens that were neither written to nor read from a cache.
    Input,
    /// Output tokens.
    Output,
    /// Input tokens written to the five-minute cache.
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Input tokens written to the one-hour cache.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Input tokens read from a cache.
    CacheRead,
    /// Web searches that the server made.
    WebSearch,
}
