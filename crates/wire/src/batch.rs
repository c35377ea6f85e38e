use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// Jobs that go to Anthropic together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Batch {
    /// `bat_…`.
    pub id: String,
    /// Where it stands.
    pub state: BatchState,
    /// Anthropic's id of the message batch, once known.
    #[schema(required)]
    pub upstream_batch: Option<String>,
    /// The model of all its jobs.
    pub model: String,
    /// Jobs in it when it was planned.
    pub items: u64,
    /// Length of the request body in bytes.
    pub bytes: u64,
    /// Why it was closed when it was.
    pub close_reason: CloseReason,
    /// When its jobs were grouped.
    #[serde(with = "rfc3339")]
    pub planned_at: OffsetDateTime,
    /// When the last call that sends it began.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub sent_at: Option<OffsetDateTime>,
    /// When Anthropic created it.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub created_at: Option<OffsetDateTime>,
    /// When Anthropic gives up on what is unfinished.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub expires_at: Option<OffsetDateTime>,
    /// When Anthropic had ended it.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub ended_at: Option<OffsetDateTime>,
    /// When the last result was stored.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub ingested_at: Option<OffsetDateTime>,
    /// As Anthropic reports them, which is not before the batch has ended.
    #[schema(required)]
    pub counts: Option<ItemCounts>,
}

/// How the requests of an ended message batch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemCounts {
    /// With a message.
    pub succeeded: u64,
    /// With an error.
    pub errored: u64,
    /// Canceled before they ran.
    pub canceled: u64,
    /// Not run in time.
    pub expired: u64,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Grouped, not sent.
    Planned,
    /// The call that creates it is under way.
    Sending,
    /// The outcome of that call is not known yet.
    Uncertain,
    /// Anthropic works on it.
    InProgress,
    /// Asked to end early.
    Canceling,
    /// Ended at Anthropic; results are being read.
    Ended,
    /// Every result is stored.
    Ingested,
    /// Proved never to have been created; its jobs go into another.
    Refuted,
    /// Refused as a whole; its jobs go into smaller ones.
    Rejected,
}

/// Why a batch was closed when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// It held as many jobs as one may.
    ItemLimit,
    /// It was as long as one may be.
    ByteLimit,
    /// Its oldest job had waited long enough.
    Age,
    /// Nothing new had come for a while.
    Idle,
    /// A deadline was near.
    Urgency,
    /// It waited longer, because batches may not be created faster.
    CreateRate,
    /// It was cut short, because no more may be queued at Anthropic.
    QueueFull,
}
