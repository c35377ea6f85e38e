use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// A job, without its prompt and its result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// `job_…`.
    #[schema(example = "job_01kap3v0qne2w8x6c1d9m5r7zt")]
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// What a queued job waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// `job_…` that asks the same, and whose result this one waits for or has got: it
    /// cost nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Name of its job type; absent for a job with its own `params`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The version that it runs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_version: Option<u32>,
    /// `grp_…` when it was submitted in bulk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The app's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The model asked for.
    pub model: String,
    /// How it reaches Anthropic.
    pub lane: Lane,
    /// How soon it is wanted, as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2h")]
    pub deliver_within: Option<String>,
    /// What is done when it would be late; absent without `deliver_within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_late: Option<crate::OnLate>,
    /// Until when it is wanted; absent without `deliver_within`, and once it has
    /// ended.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub deadline: Option<OffsetDateTime>,
    /// Order within the tenant's queue.
    pub priority: crate::Priority,
    /// As it was submitted, white space aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Box<RawValue>>,
    /// When it was accepted.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// The end of the time that Anthropic allows a batch, or the deadline at which
    /// it would fail; absent once it has ended, and while it is called for directly.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub latest_by: Option<OffsetDateTime>,
    /// When half of the batches, or calls, like this one have come back lately, or
    /// most of them if that is past; null until 20 were measured, when it takes
    /// longer than that, and once it has ended.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub expected_by: Option<OffsetDateTime>,
    /// What of yours goes before it, while it waits for a batch or for a call of its own;
    /// only where one job is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// Between when and when it ends, as past batches of the size of its own tell it.
    /// Absent until 20 were measured, with more than 1,000 jobs ahead, while nothing is
    /// sent, once it has ended, and where more than one job is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<crate::TimeLeft>,
    /// Number of the current or last attempt, from 1.
    pub attempt: u32,
    /// `bat_…` that it is or was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Why it failed: one of a closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::FailureLabel>, example = "truncated")]
    pub label: Option<String>,
    /// Why it failed, in one sentence without prompt or result text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// As Anthropic reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// When it reached its final state.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// Tokens of the attempt that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// What that attempt cost, in dollars, exact. Attempts before it are not in
    /// it: a job that was retried may have cost more. The sums of groups and of
    /// `GET /v1/usage` count every attempt. Absent where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.0008125")]
    pub cost: Option<String>,
    /// What the usage of that attempt would have cost synchronously and without a
    /// cache, in dollars, exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.001625")]
    pub cost_sync: Option<String>,
    /// True when this answer repeats what the same idempotency key made before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// Jobs that go before another one. Into a batch, or with it in one: those of the same
/// upstream and model, with the same beginning, that came first or are more urgent. By a
/// direct call: those that wait for one and have an earlier deadline, whatever they ask;
/// jobs in a batch that are called for as well, since they are late, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ahead {
    /// How many; at most 1,000.
    pub jobs: u64,
    /// Whether there are more than that.
    pub more: bool,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted and durable, not yet at Anthropic.
    Queued,
    /// Part of a message batch that runs.
    Submitted,
    /// Its batch has ended and results are being read.
    Processing,
    /// Ended with a good result.
    Completed,
    /// Ended without one.
    Failed,
    /// Ended by somebody's wish.
    Canceled,
}

/// What a queued job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// For its batch to fill, or for its turn.
    Waiting,
    /// In a batch that is on its way to Anthropic.
    Sending,
    /// In a batch whose sending had no clear answer yet.
    Confirming,
    /// For the result of another job, which asks the same; `source` says which.
    Sharing,
}

/// How a job reaches Anthropic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// In a message batch: half the token price.
    Batch,
    /// By a call of its own: the normal price.
    Direct,
}

/// Tokens, as Anthropic reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenUsage {
    /// Input tokens that were neither written to nor read from a cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::Job;

    #[test]
    fn the_least_that_a_server_may_say_reads_back_as_it_was() {
        let text = r#"{"id":"job_1","state":"queued","detail":"waiting","model":"m","lane":"batch","priority":"normal","metadata":{"n":1.0e2},"created_at":"2026-11-22T17:00:00Z","expected_by":null,"attempt":1}"#;
        let job: Job = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
    }
}
