use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// An API key of the tenant, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// `key_…`.
    pub id: String,
    /// What it is for, in somebody's words; may be empty.
    pub name: String,
    /// The prefix and the last four characters of its secret.
    #[schema(example = "ofp_live_…x7k2")]
    pub hint: String,
    /// Whether this request came with it, or with a session that was begun with it.
    pub is_yours: bool,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Last use, to the minute; null before the first.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it opens nothing; null while it is in force.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub revoked_at: Option<OffsetDateTime>,
}

/// An API key to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// What it is for; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub name: Option<String>,
}

/// A new API key. Its secret is shown here and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key as the list shows it.
    #[serde(flatten)]
    pub shown: Key,
    /// `ofp_live_…`: opens all that is the tenant's.
    pub key: String,
}
