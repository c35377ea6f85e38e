use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::{BatchState, Counts, UsageTotal};

/// A tenant's work at a glance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// When this was read.
    #[serde(with = "rfc3339")]
    pub as_of: OffsetDateTime,
    /// All jobs by state.
    pub jobs: Counts,
    /// Since when the job has been waiting that has waited longest; null when none
    /// waits.
    #[serde(default, with = "rfc3339::option")]
    #[schema(required)]
    pub waiting_since: Option<OffsetDateTime>,
    /// How many came and ended.
    pub pace: Pace,
    /// The batches that are under way, by state; states without one are left out.
    pub batches: Vec<OpenBatches>,
    /// What was billed since midnight (UTC): the total of `GET /v1/usage` for today, of
    /// up to five seconds ago, and longer where a day has many entries.
    pub spend_today: UsageTotal,
    /// How long results took in the last seven days, by job type.
    pub time_to_result: Vec<TimeToResult>,
    /// What happened to jobs of yours and is not settled, newest first; at most 50.
    pub incidents: Vec<OpenIncident>,
    /// Why nothing is sent to Anthropic; null while it is.
    #[schema(required)]
    pub pause: Option<UpstreamPause>,
}

/// Jobs by time, in steps of one length. The last step is not over yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pace {
    /// When the first step begins.
    #[serde(with = "rfc3339")]
    pub from: OffsetDateTime,
    /// How long each is.
    pub step_seconds: u64,
    /// Accepted in each.
    pub accepted: Vec<u64>,
    /// Ended with a good result.
    pub completed: Vec<u64>,
    /// Ended without one.
    pub failed: Vec<u64>,
    /// Ended by somebody's wish.
    pub canceled: Vec<u64>,
}

/// Batches in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenBatches {
    /// Which.
    pub state: BatchState,
    /// How many.
    pub batches: u64,
    /// Jobs in them when they were planned. Those of `in_progress` and `canceling` are
    /// at Anthropic.
    pub items: u64,
}

/// How long completed jobs of one type took from their submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimeToResult {
    /// The job type; null for jobs with their own `params`.
    #[serde(rename = "type")]
    #[schema(required)]
    pub r#type: Option<String>,
    /// How many.
    pub results: u64,
    /// Half of them took no longer; null until there are 20.
    #[schema(required)]
    pub p50_seconds: Option<u64>,
    /// 95 of a hundred took no longer; null until there are 20.
    #[schema(required)]
    pub p95_seconds: Option<u64>,
}

/// Something that happened to jobs of yours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenIncident {
    /// `inc_…`, by which your operator finds it.
    pub id: String,
    /// What happened, as `offpeak incidents` calls it.
    #[schema(example = "batch_overdue")]
    pub kind: String,
    /// When it was seen first.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// `bat_…` that it concerns.
    #[schema(required)]
    pub batch: Option<String>,
    /// One sentence for a person.
    pub detail: String,
}

/// Why nothing is sent to Anthropic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamPause {
    /// In words, for whoever runs this server.
    pub reason: String,
    /// When one more try is made.
    #[serde(with = "rfc3339")]
    pub until: OffsetDateTime,
}
