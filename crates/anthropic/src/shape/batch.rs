//! Message batches and pages.

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use super::names::open_names;
use super::stamp;

open_names! {
    /// Where a message batch stands. `Ended` is not success: look at the counts.
    ProcessingStatus {
        /// Requests are being processed.
        InProgress = "in_progress",
        /// A cancel was accepted; running requests may still complete.
        Canceling = "canceling",
        /// Every request is terminal and the results can be read.
        Ended = "ended",
    }
}

/// A message batch as the API reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message_batch")]
pub struct MessageBatch {
    /// Opaque text (`msgbatch_…`).
    pub id: String,
    /// Where it stands.
    pub processing_status: ProcessingStatus,
    /// How its requests ended; all still `processing` until the whole batch ends.
    pub request_counts: RequestCounts,
    /// When it was created, by the API's clock.
    #[serde(with = "stamp")]
    pub created_at: OffsetDateTime,
    /// `created_at` plus 24 hours.
    #[serde(with = "stamp")]
    pub expires_at: OffsetDateTime,
    /// When every request was terminal.
    #[serde(with = "stamp::option", default)]
    pub ended_at: Option<OffsetDateTime>,
    /// When a cancel was accepted; stays set after the end.
    #[serde(with = "stamp::option", default)]
    pub cancel_initiated_at: Option<OffsetDateTime>,
    /// When the results became unavailable (29 days after creation).
    #[serde(with = "stamp::option", default)]
    pub archived_at: Option<OffsetDateTime>,
    /// Absolute URL of the results; `None` until it has ended.
    #[serde(default)]
    pub results_url: Option<String>,
}

/// How many requests of a batch ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Not terminal yet.
    #[serde(default, deserialize_with = "hint")]
    pub processing: u64,
    /// Succeeded, refusals and truncated ones included.
    #[serde(default, deserialize_with = "hint")]
    pub succeeded: u64,
    /// Failed by themselves; not billed.
    #[serde(default, deserialize_with = "hint")]
    pub errored: u64,
    /// Never sent to a model because of a cancel; not billed.
    #[serde(default, deserialize_with = "hint")]
    pub canceled: u64,
    /// Never sent to a model within 24 hours; not billed.
    #[serde(default, deserialize_with = "hint")]
    pub expired: u64,
}

impl RequestCounts {
    /// The number of requests in the batch.
    pub fn total(&self) -> u64 {
        [
            self.processing,
            self.succeeded,
            self.errored,
            self.canceled,
            self.expired,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// Counts are hints: a negative one is read as 0 and does not make a whole page
/// of batches unreadable.
fn hint<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    Ok(number.as_u64().unwrap_or(0))
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The objects of this page.
    pub data: Vec<T>,
    /// Whether more follow in the direction walked.
    #[serde(default)]
    pub has_more: bool,
    /// Cursor for `before_id`, `None` on an empty page.
    #[serde(default)]
    pub first_id: Option<String>,
    /// Cursor for `after_id`, `None` on an empty page.
    #[serde(default)]
    pub last_id: Option<String>,
}

impl<T> Page<T> {
    /// Whether it says that more follow, and not after what: who walked on from
    /// here would take a part of the list for the whole.
    pub fn breaks_off(&self) -> bool {
        self.has_more && (self.data.is_empty() || self.last_id.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &str = r#"{"type":"message_batch","id":"msgbatch_1","processing_status":"in_progress","request_counts":{"processing":3,"succeeded":0,"errored":0,"canceled":0,"expired":0},"created_at":"2024-09-24T18:37:24.100435Z","expires_at":"2024-09-25T18:37:24.100435Z","ended_at":null,"cancel_initiated_at":null,"archived_at":null,"results_url":null}"#;

    #[test]
    fn written_as_the_api_writes_it() {
        let batch: MessageBatch = serde_json::from_str(WIRE).unwrap();
        assert_eq!(batch.request_counts.total(), 3);
        assert_eq!(serde_json::to_string(&batch).unwrap(), WIRE);
    }

    #[test]
    fn whole_seconds_keep_their_microseconds() {
        let wire = WIRE.replace(".100435", ".000000");
        let batch: MessageBatch = serde_json::from_str(&wire).unwrap();
        assert_eq!(serde_json::to_string(&batch).unwrap(), wire);
    }

    #[test]
    fn read_leniently() {
        let page: Page<MessageBatch> = serde_json::from_str(
            r#"{"data":[{"id":"b","processing_status":"napping","request_counts":{"processing":-4,"succeeded":2},"created_at":"2026-11-22T16:00:00+02:00","expires_at":"2026-11-23T14:00:00Z","mood":"good"}]}"#,
        )
        .unwrap();
        let batch = &page.data[0];
        assert_eq!(
            batch.processing_status,
            ProcessingStatus::Other("napping".to_owned())
        );
        assert_eq!(batch.request_counts.total(), 2);
        assert_eq!(batch.created_at.unix_timestamp(), 1_795_356_000);
        assert_eq!(
            (batch.ended_at, page.has_more, page.last_id),
            (None, false, None)
        );
    }
}
