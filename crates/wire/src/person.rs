use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// One thing that a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// See jobs, groups, batches, counts, types and costs, without what was asked and
    /// answered.
    #[serde(rename = "jobs:read")]
    JobsRead,
    /// See requests and results.
    #[serde(rename = "results:read")]
    ResultsRead,
    /// Submit, cancel and retry jobs, and make contexts.
    #[serde(rename = "jobs:write")]
    JobsWrite,
    /// Change job types, budgets, origins and what else holds for the whole tenant.
    #[serde(rename = "settings:manage")]
    SettingsManage,
    /// Make and revoke keys, invite and remove people.
    #[serde(rename = "keys:manage")]
    KeysManage,
}

/// What a person is to a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads: `jobs:read` and `results:read`.
    Viewer,
    /// Works with jobs: that and `jobs:write`.
    Member,
    /// May do all that is the tenant's.
    Admin,
}

/// Somebody who signs in without an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// `per_…`.
    pub id: String,
    /// How they are called, mostly by an address.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether it is who asks.
    pub is_you: bool,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// When they signed in last; null before the first time.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub last_seen_at: Option<OffsetDateTime>,
}

/// Who is to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// How they are called, mostly by an address; at most 256 characters. Whoever is
    /// called so already gets this role, and another link.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// What they may do; not more than who invites them.
    pub role: Role,
}

/// Who may sign in now, by a link that opens once and is shown here alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invited {
    /// `per_…`.
    pub id: String,
    /// Signs them in, once: give it to nobody else. Without scheme and host where the
    /// server does not know by which browsers reach it (`public_url`).
    pub link: String,
    /// Until when the link holds.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A link to sign in by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// What stands in the link's address after `#`: `ofp_link_…`.
    pub link: String,
}

/// Whom a link signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    /// Whether it is an operator: `GET /v1/operator/session` says more. Otherwise
    /// `GET /v1/session` does.
    pub operator: bool,
    /// When the session ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
}
