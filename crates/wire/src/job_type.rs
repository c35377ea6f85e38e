use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A versioned prompt template with schemas of what goes in and what comes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobType {
    /// Lowercase letters, digits and `_`, beginning with a letter.
    pub name: String,
    /// Counts up with each change; a job remembers the one that it ran with.
    pub version: u32,
    /// Whether it ships with offpeak, rather than being the tenant's own.
    pub shipped: bool,
    /// For a person.
    pub description: String,
    /// The model that it runs on.
    pub model: String,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// System prompt; empty for none.
    pub system: String,
    /// The user message; `{{ name }}` stands for a value of the input.
    pub template: String,
    /// JSON schema of `input`.
    #[schema(value_type = Object)]
    pub input_schema: Value,
    /// JSON schema of the answer; null for free text.
    #[schema(value_type = Option<Object>, required)]
    pub output_schema: Option<Value>,
    /// How soon its jobs are wanted, unless they say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_within: Option<String>,
    /// What is done when they would be late, unless they say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_late: Option<crate::OnLate>,
    /// What is done when the answer to a direct call is lost; absent: `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<crate::OnUnknown>,
    /// How old the result of a job that asked the same to the byte may be to be taken
    /// instead of a new one; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_for: Option<String>,
    /// Whether jobs that ask the same to the byte share one attempt while it is open,
    /// unless they say it themselves; absent: they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<bool>,
    /// When this version was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A job type to store. A name that exists gets a new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobTypeRequest {
    /// Lowercase letters, digits and `_`, beginning with a letter; at most 63 characters.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$")]
    pub name: String,
    /// For a person.
    #[serde(default)]
    pub description: String,
    /// The model that it runs on.
    #[schema(min_length = 1, max_length = 128)]
    pub model: String,
    /// The longest answer, in tokens.
    #[schema(minimum = 1, maximum = 300_000)]
    pub max_tokens: u32,
    /// System prompt; empty for none.
    #[serde(default)]
    pub system: String,
    /// The user message; `{{ name }}` stands for a value of the input.
    #[schema(min_length = 1)]
    pub template: String,
    /// JSON schema of `input`.
    #[schema(value_type = Object)]
    pub input_schema: Value,
    /// JSON schema of the answer; null for free text. `{"$input": "/pointer"}`
    /// in place of a value is filled from the input.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub output_schema: Option<Value>,
    /// How soon its jobs are wanted, such as `30s` or `2h`, unless they say it
    /// themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_within: Option<String>,
    /// What is done when they would be late, unless they say it themselves;
    /// `escalate` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_late: Option<crate::OnLate>,
    /// What is done when the answer to a direct call is lost; `fail` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<crate::OnUnknown>,
    /// How old the result of a job that asked the same to the byte may be to be taken
    /// instead of a new one, such as `1h` or `7d`, at most 28 days; none unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_for: Option<String>,
    /// Whether jobs that ask the same to the byte share one attempt while it is open,
    /// unless they say it themselves; `true` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<bool>,
}
