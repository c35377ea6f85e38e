use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// How long what jobs were asked and have answered is kept: whole days (UTC) after the
/// day of the submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retention {
    /// Days for requests and metadata. A job that is open keeps them.
    pub inputs_days: u32,
    /// Days for results. One stays for a day after its job ended.
    pub results_days: u32,
    /// Whether the first is your own, or the deployment's.
    pub own_inputs: bool,
    /// Whether the second is.
    pub own_results: bool,
    /// Whether message batches are deleted at Anthropic, 72 hours after all of their
    /// results were read. Without it Anthropic keeps them for 29 days.
    pub delete_upstream: bool,
    /// When it was changed last; absent while all is the deployment's.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "rfc3339::option"
    )]
    pub changed_at: Option<OffsetDateTime>,
}

/// A retention to be set: the whole of it. What is left out is as the deployment has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRequest {
    /// Days for requests and metadata; not more than for results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 400)]
    pub inputs_days: Option<u32>,
    /// Days for results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 400)]
    pub results_days: Option<u32>,
    /// Delete message batches at Anthropic once all of their results are here.
    #[serde(default)]
    pub delete_upstream: bool,
}
