use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::Scope;

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
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From when on it opens nothing; null for one that holds until it is revoked.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub expires_at: Option<OffsetDateTime>,
    /// `key_…`, which takes its place; null unless it was rotated.
    #[schema(required)]
    pub rotated_to: Option<String>,
    /// Since when it was revoked; null unless it was.
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
    /// What it may do: not more than who makes it. All of that unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub scopes: Option<Vec<Scope>>,
    /// Seconds after which it opens nothing, from 60 to 315,360,000; never unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315_360_000)]
    pub expires_in: Option<u32>,
}

/// How a key is to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// Seconds for which the old key still opens what it did, from 60 to 2,592,000; a day
    /// unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub overlap: Option<u32>,
}

/// A new API key. Its secret is shown here and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key as the list shows it.
    #[serde(flatten)]
    pub shown: Key,
    /// `ofp_live_…`: opens what its scopes say.
    pub key: String,
}
