use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// A document that many jobs share: a job names it in `context`, and its text
/// follows the system prompt of the job's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Context {
    /// `ctx_…`.
    pub id: String,
    /// For a person.
    #[schema(required)]
    pub title: Option<String>,
    /// Length of its text.
    pub bytes: u64,
    /// The same in tokens, estimated.
    pub tokens: u64,
    /// When it was stored.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A document to store. A text that is stored already is not stored again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextRequest {
    /// At most 4 MB.
    #[schema(min_length = 1, max_length = 4_000_000)]
    pub text: String,
    /// For a person; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub title: Option<String>,
}
