//! The frames of `GET /v1/live` and `GET /v1/events`: `docs/live.md` says what
//! they mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::{BatchState, Counts, JobState, OperationState};

/// Which stream of frames a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every event, in order.
    #[default]
    Events,
    /// The last state of what is on the screen, and counts.
    View,
}

/// What a client says, over WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub enum Say {
    /// The first message.
    Hello {
        /// Every event, or the last state.
        #[serde(default)]
        mode: Mode,
        /// `jobs`, `batches`, `usage`, `group:grp_…`, `user:LABEL`.
        topics: Vec<String>,
        /// Events after this one; from now on without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The jobs on the screen, instead of those of before.
    Watch {
        /// `job_…`, at most 200.
        jobs: Vec<String>,
    },
    /// What the client has applied.
    Ack {
        /// The cursor of the last frame.
        cursor: String,
    },
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Frame {
    /// The first frame.
    Hello {
        /// Events after this one follow.
        cursor: String,
        /// The oldest cursor from which events can still be read.
        oldest: String,
        /// A frame comes at least so often.
        heartbeat_s: u32,
        /// The server's version: another one may bring another page.
        build: String,
    },
    /// Mode `events`: what happened, in order.
    Events {
        /// Of the last event that was looked at, shown or not.
        cursor: String,
        /// In the order of their numbers.
        events: Vec<LiveEvent>,
    },
    /// Mode `view`: the last state of what changed.
    Rows {
        /// Of the last event that was looked at.
        cursor: String,
        /// Jobs that are watched, or belong to a topic.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        jobs: Vec<JobRow>,
        /// With the topic `batches`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        batches: Vec<BatchRow>,
        /// With the topic `jobs`; never for a ticket.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operations: Vec<OperationRow>,
    },
    /// Mode `view`: sums, once a second while they change.
    Counts {
        /// The tenant's jobs by state; with the topic `jobs`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jobs: Option<Counts>,
        /// The jobs by state of each group that is a topic.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        groups: BTreeMap<String, Counts>,
        /// What was billed in all; with the topic `usage`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<LiveUsage>,
    },
    /// Nothing else came for a while.
    Beat {
        /// Of the last event that was looked at.
        cursor: String,
    },
    /// Events are missing: read anew over HTTP what is shown.
    Resync {
        /// From where it goes on.
        cursor: String,
        /// `too_old`, `epoch` or `overflow`.
        why: Resync,
    },
    /// The connection is closed next.
    Bye {
        /// One word, as in the table of close codes.
        why: Bye,
        /// From where the next connection goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// Not to reconnect before; null when that would be of no use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    /// Events stay for seven days.
    TooOld,
    /// The database is another one, or the cursor is none of it.
    Epoch,
    /// The client is further behind than is read or kept for one.
    Overflow,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bye {
    /// What the client sent is no message that belongs here (4400).
    BadMessage,
    /// Key, session or ticket is over (4401).
    Unauthenticated,
    /// The ticket does not open that topic (4403).
    TicketScope,
    /// The client reads too slowly (4408).
    TooSlow,
    /// Too many connections (4429).
    TooMany,
    /// The server stops, or lost its database (1012).
    Restarting,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveEvent {
    /// Its number among the tenant's events, which has no gap.
    pub n: u64,
    /// When it happened.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    #[serde(flatten)]
    pub what: LiveWhat,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LiveWhat {
    /// Jobs came into a state.
    Job {
        /// Which state.
        state: JobState,
        /// Why they failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<crate::FailureLabel>)]
        label: Option<String>,
        /// By which batch; never for a ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// `job_…`.
        jobs: Vec<String>,
        /// What the attempt that ended each of them cost, in dollars; never for a
        /// ticket.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        costs: Vec<String>,
    },
    /// A batch came into a state.
    Batch {
        /// `bat_…`.
        batch: String,
        /// Which state.
        state: BatchState,
    },
    /// Attempts were billed.
    Usage(LiveUsage),
    /// A budget is used up, or four fifths of a hard one; told once in a period.
    Budget {
        /// `bgt_…`.
        budget: String,
        /// Whether it refuses what would exceed it.
        hard: bool,
        /// What is reserved and spent, in dollars.
        used: String,
        /// How much it is, in dollars.
        limit: String,
    },
    /// An operation came further, or to its end.
    Operation {
        /// `op_…`.
        operation: String,
        /// How far it is.
        state: OperationState,
    },
    /// Something that this version does not know.
    Other,
}

/// What was billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveUsage {
    /// Attempts.
    pub attempts: u64,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// In dollars, exact.
    pub cost: String,
    /// What it would have cost synchronously and without a cache, in dollars, exact.
    pub cost_sync: String,
    /// Attempts whose model has no known price; their money is in neither amount.
    #[serde(default)]
    pub unpriced: u64,
}

/// The last state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobRow {
    /// `job_…`.
    pub id: String,
    /// The number of the event that brought it there; of a row that was read because
    /// the client began to watch it, of the last event before that.
    pub rev: u64,
    /// Where it stands.
    pub state: JobState,
    /// Since when; of a row that was read and has not ended, when it was submitted.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::FailureLabel>)]
    pub label: Option<String>,
    /// What the attempt that ended it cost, in dollars; never for a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

/// The last state of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationRow {
    /// `op_…`.
    pub id: String,
    /// The number of the event that brought it there.
    pub rev: u64,
    /// How far it is.
    pub state: OperationState,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
}

/// The last state of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchRow {
    /// `bat_…`.
    pub id: String,
    /// The number of the event that brought it there.
    pub rev: u64,
    /// Where it stands.
    pub state: BatchState,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::{Frame, Mode, Say};

    #[test]
    fn what_stands_in_the_docs_reads_back_as_it_was() {
        for text in [
            r#"{"t":"hello","cursor":"1f0c9a3e.41","oldest":"1f0c9a3e.1","heartbeat_s":20,"build":"0.1.0"}"#,
            r#"{"t":"events","cursor":"e.43","events":[{"n":42,"at":"2026-11-27T12:00:00Z","kind":"job","state":"completed","batch":"bat_1","jobs":["job_1"],"costs":["0.0008"]},{"n":43,"at":"2026-11-27T12:00:00Z","kind":"batch","batch":"bat_1","state":"ingested"}]}"#,
            r#"{"t":"rows","cursor":"e.43","jobs":[{"id":"job_1","rev":42,"state":"failed","at":"2026-11-27T12:00:00Z","label":"truncated"}]}"#,
            r#"{"t":"beat","cursor":"e.43"}"#,
            r#"{"t":"resync","cursor":"e.43","why":"too_old"}"#,
            r#"{"t":"bye","why":"too_slow","cursor":"e.43","retry_ms":740}"#,
        ] {
            let frame: Frame = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&frame).unwrap(), text);
        }
    }

    #[test]
    fn a_client_may_say_little() {
        let hello: Say = serde_json::from_str(r#"{"t":"hello","topics":["jobs"]}"#).unwrap();
        let Say::Hello { mode, cursor, .. } = hello else {
            unreachable!("it says hello");
        };
        assert_eq!((mode, cursor), (Mode::Events, None));
        assert!(serde_json::from_str::<Say>(r#"{"t":"hello"}"#).is_err());
        assert!(serde_json::from_str::<Say>(r#"{"t":"wave"}"#).is_err());
    }
}
