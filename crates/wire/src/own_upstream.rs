use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::UpstreamPause;

/// Your own Anthropic key, to be set.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamKeyRequest {
    /// The key as Anthropic's console shows it. It is kept encrypted, and never shown again.
    #[schema(example = "sk-ant-api03-…", min_length = 16, max_length = 512)]
    pub key: String,
    /// Batch creates that your workspace allows a minute; 50 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub creates_per_minute: Option<u32>,
    /// Requests in batches that may wait there at once; 100,000 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub max_queued_items: Option<u64>,
}

/// Without the key.
impl fmt::Debug for UpstreamKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamKeyRequest")
            .field("creates_per_minute", &self.creates_per_minute)
            .field("max_queued_items", &self.max_queued_items)
            .finish_non_exhaustive()
    }
}

/// Where a key stands that you have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamKeyState {
    /// Anthropic has still to be asked whether it is good.
    Checking,
    /// Your jobs go by it.
    Current,
    /// Anthropic does not take it, or it does not fit what is under way.
    Refused,
    /// Another one took its place.
    Replaced,
    /// It was removed.
    Removed,
}

/// A key that you have set. What it is stands nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamKey {
    /// From 1; another one for each key that was set.
    pub version: i32,
    /// Where it stands.
    pub state: UpstreamKeyState,
    /// Its last four characters.
    pub last_four: String,
    /// Batch creates that its workspace allows a minute.
    pub creates_per_minute: u32,
    /// Requests in batches that may wait there at once.
    pub max_queued_items: u64,
    /// When it was set.
    #[serde(with = "rfc3339")]
    pub set_at: OffsetDateTime,
    /// When Anthropic last answered well, or refused it; to the minute.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub checked_at: Option<OffsetDateTime>,
    /// The workspace that Anthropic named for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ")]
    pub workspace: Option<String>,
    /// What Anthropic said when a check did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Since when it is of no use.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
}

/// Where your jobs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobsGo {
    /// By the key of whoever runs this server.
    Shared,
    /// By your own key.
    Own,
    /// Nowhere: your key was removed, and they wait for another one.
    Nowhere,
}

/// What depends on your own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamDepends {
    /// Batches that Anthropic may hold for it and whose results are not all read. Without
    /// the key, or another one of the same workspace, they cannot be read, and Anthropic
    /// deletes them after 29 days.
    pub open_batches: u64,
    /// Jobs in them that have no result.
    pub jobs_in_batches: u64,
    /// Jobs that wait to be sent by it.
    pub waiting_jobs: u64,
    /// Whether, without it, what waits goes by the key of whoever runs this server, who
    /// decides that. Otherwise it waits for another key of yours.
    pub falls_back: bool,
}

/// Your own Anthropic key as your upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnUpstream {
    /// Whether one can be set: this server has a master key to keep it under.
    pub available: bool,
    /// Where your jobs go.
    pub jobs_go: JobsGo,
    /// Why nothing is sent there; null while it is.
    #[schema(required)]
    pub pause: Option<UpstreamPause>,
    /// What depends on the key.
    pub depends: UpstreamDepends,
    /// The keys that you have set, newest first; at most 100.
    pub keys: Vec<UpstreamKey>,
}

#[cfg(test)]
mod tests {
    use super::UpstreamKeyRequest;

    #[test]
    fn a_request_is_printed_without_its_key() {
        let request = UpstreamKeyRequest {
            key: "sk-ant-secret".to_owned(),
            creates_per_minute: Some(5),
            max_queued_items: None,
        };
        let shown = format!("{request:?}");
        assert!(
            shown.contains("Some(5)") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
