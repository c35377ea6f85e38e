use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// Jobs that go to Anthropic together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Batch {
    /// `bat_…`.
    pub id: String,
    /// Where it stands.
    pub state: BatchState,
    /// Anthropic's id of the message batch, once known.
    #[schema(required)]
    pub upstream_batch: Option<String>,
    /// The model of all its jobs.
    pub model: String,
    /// Jobs in it when it was planned.
    pub items: u64,
    /// Length of the request body in bytes.
    pub bytes: u64,
    /// Why it was closed when it was.
    pub close_reason: CloseReason,
    /// When its jobs were grouped.
    #[serde(with = "rfc3339")]
    pub planned_at: OffsetDateTime,
    /// When the last call that sends it began.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub sent_at: Option<OffsetDateTime>,
    /// When Anthropic created it.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub created_at: Option<OffsetDateTime>,
    /// When Anthropic gives up on what is unfinished.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub expires_at: Option<OffsetDateTime>,
    /// When Anthropic had ended it.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub ended_at: Option<OffsetDateTime>,
    /// When the last result was stored.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub ingested_at: Option<OffsetDateTime>,
    /// As Anthropic reports them, which is not before the batch has ended.
    #[schema(required)]
    pub counts: Option<ItemCounts>,
    /// What was decided about Anthropic's prompt cache; null in batches of older versions.
    #[schema(required)]
    pub cache: Option<BatchCache>,
    /// How long batches of about this size took lately, from `created_at` to
    /// `ended_at`; null until 20 of them were measured.
    #[schema(required)]
    pub usual: Option<UsualTime>,
}

/// How long batches of one size took in the last seven days: up to ten jobs, up to a
/// hundred, and so on by tens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsualTime {
    /// Half of them took no longer.
    pub p50_seconds: u64,
    /// 90 of a hundred took no longer.
    pub p90_seconds: u64,
    /// How many were measured.
    pub batches: u64,
}

/// How a batch is marked for Anthropic's prompt cache: why, what was expected of
/// it when the batch was planned, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchCache {
    /// How what its jobs begin with is marked.
    pub mark: CacheMark,
    /// Why.
    pub reason: CacheReason,
    /// Tokens that its jobs have in common, estimated.
    pub prefix_tokens: u64,
    /// The part of its jobs that were expected to find them in the cache, when
    /// marked in the best way: 0 to 1.
    #[schema(example = "0.64")]
    pub predicted_hit_rate: String,
    /// What the prefixes were expected to cost then, in dollars.
    pub predicted_cost: String,
    /// What they would have cost without marks, in dollars.
    pub predicted_cost_without: String,
    /// The part of what was marked that was read from the cache, by tokens: 0 to
    /// 1. Null before all results are stored, or when nothing was marked.
    #[schema(required, example = "0.71")]
    pub real_hit_rate: Option<String>,
    /// What came of the one request that went ahead of the batch; null when none
    /// did, or it has not ended.
    #[schema(required)]
    pub prime_outcome: Option<PrimeOutcome>,
    /// What that request cost you, at the normal price, beside what the jobs cost;
    /// in dollars. Null when it was not billed.
    #[schema(required)]
    pub prime_cost: Option<String>,
}

/// What came of the one request that went ahead of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrimeOutcome {
    /// It was answered, and billed.
    Primed,
    /// It was not billed.
    Refused,
    /// Its answer was lost; it costs you nothing.
    Unknown,
}

/// How what the jobs of a batch have in common is marked for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum CacheMark {
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// To be kept for five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// To be kept for an hour.
    #[serde(rename = "1h")]
    OneHour,
}

/// Why a batch is marked as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum CacheReason {
    /// Its jobs share nothing, or less than the model caches. Jobs with their own
    /// `params` keep the marks that they brought.
    #[serde(rename = "too_short")]
    TooShort,
    /// Too few jobs share it in the time for which it is kept.
    #[serde(rename = "too_few")]
    TooFew,
    /// At the hit rate that was to be expected it would have cost more.
    #[serde(rename = "would_not_pay")]
    WouldNotPay,
    /// Kept for five minutes it pays.
    #[serde(rename = "pays_5m")]
    PaysFiveMinutes,
    /// Kept for an hour it pays.
    #[serde(rename = "pays_1h")]
    PaysOneHour,
    /// One request went ahead, since that has raised the hit rate enough.
    #[serde(rename = "primed")]
    Primed,
    /// One request went ahead, to learn what it does to the hit rate.
    #[serde(rename = "trial")]
    Trial,
}

/// How the requests of an ended message batch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemCounts {
    /// With a message.
    pub succeeded: u64,
    /// With an error.
    pub errored: u64,
    /// Canceled before they ran.
    pub canceled: u64,
    /// Not run in time.
    pub expired: u64,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Grouped, not sent.
    Planned,
    /// The call that creates it is under way.
    Sending,
    /// The outcome of that call is not known yet.
    Uncertain,
    /// Anthropic works on it.
    InProgress,
    /// Asked to end early.
    Canceling,
    /// Ended at Anthropic; results are being read.
    Ended,
    /// Every result is stored.
    Ingested,
    /// Proved never to have been created; its jobs go into another.
    Refuted,
    /// Refused as a whole; its jobs go into smaller ones.
    Rejected,
}

/// Why a batch was closed when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// It held as many jobs as one may.
    ItemLimit,
    /// It was as long as one may be.
    ByteLimit,
    /// Its oldest job had waited long enough.
    Age,
    /// Nothing new had come for a while.
    Idle,
    /// A deadline was near.
    Urgency,
    /// It waited longer, because batches may not be created faster.
    CreateRate,
    /// It was cut short, because no more may be queued at Anthropic.
    QueueFull,
    /// A larger one would have answered later, or after a deadline.
    Turnaround,
}
