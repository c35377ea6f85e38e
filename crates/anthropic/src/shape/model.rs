//! Models.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::stamp;

/// A model as the API describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "model")]
pub struct ModelInfo {
    /// The id to name in a request.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub display_name: String,
    /// When it was released.
    #[serde(with = "stamp")]
    pub created_at: OffsetDateTime,
    /// `active`, `deprecated` or `retired`.
    #[serde(default)]
    pub lifecycle: Option<String>,
    /// When it was or will be deprecated.
    #[serde(with = "stamp::option", default)]
    pub deprecated_at: Option<OffsetDateTime>,
    /// When it stops answering.
    #[serde(with = "stamp::option", default)]
    pub retires_at: Option<OffsetDateTime>,
    /// `opus`, `sonnet`, `haiku` …
    #[serde(default)]
    pub line: Option<String>,
    /// Largest prompt, in tokens.
    #[serde(default)]
    pub max_input_tokens: Option<u64>,
    /// Largest `max_tokens`.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// `{name: {supported: bool, …}}`, as the API gives it.
    #[serde(default)]
    pub capabilities: Option<Value>,
}

impl ModelInfo {
    /// Whether a capability is supported; `None` where the API does not say.
    pub fn supports(&self, capability: &str) -> Option<bool> {
        self.capabilities
            .as_ref()?
            .get(capability)?
            .get("supported")?
            .as_bool()
    }
}
