//! Usage and cost reports of the organization, by day.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{CacheCreation, ServerToolUse, ServiceTier, stamp};

/// A page of a report, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportPage<T> {
    /// One for each day, also when nothing happened.
    pub data: Vec<ReportDay<T>>,
    /// Whether there is more.
    #[serde(default)]
    pub has_more: bool,
    /// What to ask for next.
    #[serde(default)]
    pub next_page: Option<String>,
}

/// What a report says of one day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportDay<T> {
    /// Its beginning (UTC).
    #[serde(with = "stamp")]
    pub starting_at: OffsetDateTime,
    /// One row for each combination that was asked for.
    pub results: Vec<T>,
}

/// Tokens of one model, tier and workspace.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UsageReportRow {
    /// Input outside of caches.
    #[serde(default)]
    pub uncached_input_tokens: u64,
    /// Written to the cache, by lifetime.
    #[serde(default)]
    pub cache_creation: Option<CacheCreation>,
    /// Read from the cache.
    #[serde(default)]
    pub cache_read_input_tokens: u64,
    /// Output.
    #[serde(default)]
    pub output_tokens: u64,
    /// Calls of server tools.
    #[serde(default)]
    pub server_tool_use: Option<ServerToolUse>,
    /// The model.
    #[serde(default)]
    pub model: Option<String>,
    /// `batch` for what ran in message batches.
    #[serde(default)]
    pub service_tier: Option<ServiceTier>,
    /// The workspace; `None` is the default one.
    #[serde(default)]
    pub workspace_id: Option<String>,
}

/// What something cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CostReportRow {
    /// Cents, with fractions, as a decimal.
    pub amount: String,
    /// `USD`.
    #[serde(default)]
    pub currency: Option<String>,
    /// `tokens`, or what else was charged: `web_search`, `code_execution`, ….
    #[serde(default)]
    pub cost_type: Option<String>,
    /// The model, where it is of one.
    #[serde(default)]
    pub model: Option<String>,
    /// `batch` for what ran in message batches.
    #[serde(default)]
    pub service_tier: Option<ServiceTier>,
    /// The workspace; `None` is the default one.
    #[serde(default)]
    pub workspace_id: Option<String>,
}
