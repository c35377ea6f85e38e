//! What one request consumed.

use serde::{Deserialize, Serialize};

use super::names::open_names;

open_names! {
    /// Which price the tokens have.
    ServiceTier {
        /// The normal price.
        Standard = "standard",
        /// Committed capacity.
        Priority = "priority",
        /// Half the normal price.
        Batch = "batch",
    }
}

/// Token counts of one message, as billed.
///
/// The whole prompt is `input_tokens` + `cache_creation_input_tokens` +
/// `cache_read_input_tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Uncached input tokens.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Tokens written to the cache, both lifetimes together.
    #[serde(default)]
    pub cache_creation_input_tokens: Option<u64>,
    /// The same by lifetime; where missing, price all of them as 5 minutes.
    #[serde(default)]
    pub cache_creation: Option<CacheCreation>,
    /// Tokens read from the cache.
    #[serde(default)]
    pub cache_read_input_tokens: Option<u64>,
    /// Calls of server tools, billed by the piece.
    #[serde(default)]
    pub server_tool_use: Option<ServerToolUse>,
    /// `batch` in a batch's results.
    #[serde(default)]
    pub service_tier: Option<ServiceTier>,
    /// Where it ran; `us` costs 1.1 times as much.
    #[serde(default)]
    pub inference_geo: Option<String>,
}

/// Tokens written to the cache, by lifetime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCreation {
    /// Kept for 5 minutes.
    #[serde(default)]
    pub ephemeral_5m_input_tokens: u64,
    /// Kept for 1 hour.
    #[serde(default)]
    pub ephemeral_1h_input_tokens: u64,
}

/// Calls of server tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerToolUse {
    /// Web searches.
    #[serde(default)]
    pub web_search_requests: u64,
    /// Web fetches.
    #[serde(default)]
    pub web_fetch_requests: u64,
}

impl Usage {
    /// Cache writes as (5 minutes, 1 hour); without the split all are 5 minutes.
    pub fn cache_writes(&self) -> (u64, u64) {
        match self.cache_creation {
            Some(split) => (
                split.ephemeral_5m_input_tokens,
                split.ephemeral_1h_input_tokens,
            ),
            None => (self.cache_creation_input_tokens.unwrap_or(0), 0),
        }
    }
}
