//! Switches for what the API's documentation leaves open, and for what differs
//! between installations. The defaults are the likelier behaviour.

use serde::{Deserialize, Serialize};

/// How the stand-in behaves where it could behave in another way too. Statuses:
/// 200 grants the call, anything else refuses it with that status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches are independent of each other, and scripts name them"
)]
pub struct Behavior {
    /// Whether answers are compressed.
    pub gzip: Gzip,
    /// Canceling a batch that is being canceled; 200 changes nothing.
    pub cancel_again: u16,
    /// Canceling a batch that has ended; 200 changes nothing.
    pub cancel_ended: u16,
    /// Deleting a batch that has not ended; 200 deletes it.
    pub delete_unended: u16,
    /// Results of a batch that has not ended.
    pub results_early: u16,
    /// Results after 29 days; 200 still gives them.
    pub results_archived: u16,
    /// Whether `results_url` stays after 29 days.
    pub archived_url: bool,
    /// A list with both cursors; 200 follows `after_id`.
    pub both_cursors: u16,
    /// A call with an `anthropic-workspace-id` that is not its key's; 200 ignores it.
    pub workspace_mismatch: u16,
    /// When a `custom_id` that stands twice in a batch is refused; late, each of its
    /// later items fails.
    pub duplicate_id: When,
    /// When `stream`, `speed` and `max_tokens: 0` in a batch are refused.
    pub batch_params: When,
    /// Bytes of one item's `params`.
    pub max_item_bytes: u64,
    /// When an item that is larger is refused.
    pub item_too_large: When,
    /// Whether counts move before the batch ends.
    pub early_counts: bool,
    /// Whether answers of the batch endpoints carry `anthropic-ratelimit-*`.
    pub batch_rate_headers: bool,
    /// `retry-after` of the refusal of a create because too much waits, in seconds.
    pub queue_retry_after: Option<u32>,
    /// Whether a create with the `idempotency-key` of an earlier one answers with
    /// that one's batch.
    pub idempotency_key: bool,
    /// `content-type` of results.
    pub results_type: String,
    /// Whether results tell their length.
    pub results_length: bool,
    /// Whether refusals with empty content stand in usage reports (they are free
    /// in any case).
    pub refusals_reported: bool,
    /// How likely a warm cache entry is found by an item of a batch, 0 to 1; direct
    /// messages always find it.
    pub cache_hit_rate: f64,
    /// Seconds that the `date` header is ahead.
    pub date_skew_s: i64,
    /// Seconds that the times of batches are ahead.
    pub stamp_skew_s: i64,
}

/// Whether answers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gzip {
    /// Never.
    Off,
    /// When the client accepts it.
    Accepted,
    /// Even when the client does not.
    Always,
}

/// When something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once, with the whole create.
    AtCreate,
    /// When the item is processed, by itself.
    Late,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            gzip: Gzip::Accepted,
            cancel_again: 200,
            cancel_ended: 400,
            delete_unended: 400,
            results_early: 400,
            results_archived: 404,
            archived_url: false,
            both_cursors: 400,
            workspace_mismatch: 400,
            duplicate_id: When::AtCreate,
            batch_params: When::Late,
            max_item_bytes: 32_000_000,
            item_too_large: When::Late,
            early_counts: false,
            batch_rate_headers: true,
            queue_retry_after: None,
            idempotency_key: false,
            results_type: "application/x-jsonl".to_owned(),
            results_length: false,
            refusals_reported: true,
            cache_hit_rate: 0.75,
            date_skew_s: 0,
            stamp_skew_s: 0,
        }
    }
}

impl Behavior {
    /// The behavior with some fields changed, given as JSON.
    pub(crate) fn change(&self, change: &serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        if let (Some(whole), Some(change)) = (whole.as_object_mut(), change.as_object()) {
            whole.extend(change.clone());
            return serde_json::from_value(whole.clone().into());
        }
        serde_json::from_value(change.clone())
    }
}
