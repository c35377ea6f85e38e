use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::{JobState, TokenUsage};

/// How a job ended and what it answered: the body of `GET /v1/jobs/{id}/result`
/// and one line of `GET /v1/groups/{id}/results`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobResult {
    /// `job_…`.
    pub job: String,
    /// `completed`, `failed` or `canceled`.
    pub state: JobState,
    /// Name of its job type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// `grp_…` when it was submitted in bulk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The app's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// As it was submitted, white space aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Box<RawValue>>,
    /// The model asked for.
    pub model: String,
    /// True when the local stand-in answered: the answer is made up and nothing
    /// was billed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standin: bool,
    /// True when it had an answer that was deleted, since its retention is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Why it failed: one of a closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::FailureLabel>)]
    pub label: Option<String>,
    /// Why it failed, in one sentence without prompt or result text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The text blocks of the answer, joined. Also there when the answer was
    /// cut off or breaks its schema, so that nothing paid for is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `text` as JSON, when the job asked for structured output and it parses:
    /// every token as it came, white space between them aside. Also there when
    /// it breaks its schema; then `state` is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub output: Option<Box<RawValue>>,
    /// Anthropic's message as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub message: Option<Box<RawValue>>,
    /// Anthropic's error as it came, when the request itself failed there; one
    /// beyond 8,192 bytes is cut down to its types and the start of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub error: Option<Box<RawValue>>,
    /// As Anthropic reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// `job_…` that asked the same, and whose answer this is: it cost nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Number of the attempt that ended it, from 1.
    pub attempt: u32,
    /// `bat_…` that brought it; absent when it ended without having been sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// When it ended.
    #[serde(with = "rfc3339")]
    pub ended_at: OffsetDateTime,
    /// Tokens of the attempt that ended it. As all that follows, absent where it
    /// was read with a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// What that attempt cost, in dollars, exact. Attempts before it are not in
    /// it: a job that was retried may have cost more. The sums of groups and of
    /// `GET /v1/usage` count every attempt. Absent where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What the usage of that attempt would have cost synchronously and without a
    /// cache, in dollars, exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_sync: Option<String>,
}
