use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// An operator who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorSession {
    /// How they are called.
    pub name: String,
    /// When the session ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// How the deployment stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The database's time.
    #[serde(with = "rfc3339")]
    pub as_of: OffsetDateTime,
    /// Where jobs are sent, by name.
    pub upstreams: Vec<UpstreamStatus>,
    /// What nobody has dealt with, newest first; at most 200.
    pub incidents: Vec<OperatorIncident>,
    /// How many there are.
    pub open_incidents: u64,
}

/// How an upstream stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UpstreamStatus {
    /// `ups_…`.
    pub id: String,
    /// For a person.
    pub name: String,
    /// Batches that may be created a minute.
    pub creates_per_minute: u32,
    /// Batches that were sent in the last minute.
    pub creates_last_minute: u64,
    /// Requests that may wait there at once.
    pub max_queued_items: u64,
    /// Requests of the batches that are open there.
    pub queued_items: u64,
    /// Batches that are open there.
    pub open_batches: u64,
    /// Why nothing is sent; null while it is.
    #[schema(required)]
    pub pause: Option<crate::UpstreamPause>,
    /// When its list of batches was last read whole; null before the first time.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub listed_at: Option<OffsetDateTime>,
}

/// Something that nobody has dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorIncident {
    /// `inc_…`.
    pub id: String,
    /// A word for what happened.
    pub kind: String,
    /// What that means and what to do; null for a kind of a newer version.
    #[schema(required)]
    pub meaning: Option<String>,
    /// When it was seen first.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// `ten_…`, whose jobs it concerns.
    #[schema(required)]
    pub tenant: Option<String>,
    /// That tenant's name.
    #[schema(required)]
    pub tenant_name: Option<String>,
    /// `ups_…`, where.
    #[schema(required)]
    pub upstream: Option<String>,
    /// The batch's id at Anthropic.
    #[schema(required)]
    pub upstream_batch: Option<String>,
    /// One sentence.
    pub detail: String,
    /// What it cost the deployment beyond what tenants pay, in dollars, exact.
    pub absorbed: String,
}

/// What a tenant has and gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantRow {
    /// `ten_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its weight against other tenants; 100 is the usual.
    pub weight: u32,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs at Anthropic.
    pub submitted: u64,
    /// Jobs whose results are being read.
    pub processing: u64,
    /// Jobs that went out in batches in the last hour.
    pub sent: u64,
    /// Its part of all that went out in the last hour, from 0 to 1; null if nothing did.
    #[schema(required)]
    pub share: Option<f64>,
    /// The part that its weight entitles it to among the tenants that have jobs waiting,
    /// from 0 to 1; null while none of its own waits.
    #[schema(required)]
    pub fair_share: Option<f64>,
    /// Since when the first of its oldest jobs has been waiting; null when none does.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub waiting_since: Option<OffsetDateTime>,
}

/// Tenants, those with the most under way first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantRows {
    /// The database's time.
    #[serde(with = "rfc3339")]
    pub as_of: OffsetDateTime,
    /// At most as many as were asked for.
    pub data: Vec<TenantRow>,
    /// How many tenants there are.
    pub tenants: u64,
    /// How many of them have jobs waiting.
    pub waiting: u64,
    /// Jobs of all tenants that went out in batches in the last hour.
    pub sent: u64,
}

/// A tenant to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantRequest {
    /// Lowercase letters, digits, `_` and `-`; from 1 to 63, a letter or digit first.
    #[schema(max_length = 63, pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pub name: String,
}

/// A new tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewTenant {
    /// `ten_…`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What is to be another of a tenant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// Its weight against other tenants, from 1 to 10,000.
    #[schema(minimum = 1, maximum = 10000)]
    pub weight: u32,
}

/// Limits of a tenant, and what is used of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantLimits {
    /// Each of them.
    pub data: Vec<TenantLimit>,
    /// False while the database has no room, and no tenant's jobs are taken.
    pub takes_jobs: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantLimit {
    /// `requests_per_second`, `request_burst`, `jobs_per_second`, `job_burst`,
    /// `keys_per_minute`, `queued_jobs`, `queued_bytes` or `live_connections`. Rates and
    /// connections are of one API process.
    pub name: String,
    /// How much may be; 0 = any.
    pub value: u64,
    /// What the deployment allows whoever has nothing of their own; 0 = any.
    pub default: u64,
    /// Whether the tenant has a value of its own.
    pub own: bool,
    /// How much is used, where that is counted.
    pub used: Option<u64>,
}

/// Limits that a tenant is to have of its own: null, or left out, is the deployment's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantLimitsChange {
    /// Requests a second in the long run; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub requests_per_second: Option<u64>,
    /// How many at once after a rest.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub request_burst: Option<u64>,
    /// Jobs a second in the long run; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub jobs_per_second: Option<u64>,
    /// How many at once after a rest.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub job_burst: Option<u64>,
    /// New API keys a minute; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub keys_per_minute: Option<u64>,
    /// Jobs that wait; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub queued_jobs: Option<u64>,
    /// Bytes of them; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub queued_bytes: Option<u64>,
    /// Live connections at once; 0 = any.
    #[serde(default)]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub live_connections: Option<u64>,
}

/// What a tenant was billed on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantDay {
    /// UTC, as `2026-11-28`.
    #[schema(format = Date)]
    pub day: String,
    /// What it cost, in dollars, exact.
    pub cost: String,
    /// What the same would have cost synchronously, in dollars, exact.
    pub cost_sync: String,
}

/// What a tenant was billed lately, newest day first; days without are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantDays {
    /// At most as many as were asked for.
    pub data: Vec<TenantDay>,
}

/// Why an operator looks at a tenant's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookRequest {
    /// In words that the tenant reads in its audit log; from 1 to 256 characters.
    #[schema(min_length = 1, max_length = 256)]
    pub reason: String,
}
