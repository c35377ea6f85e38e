//! A rule: which calls it meets, how often, and what goes wrong with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lines::LineFault;
use super::plan::Plan;

/// A call of the API, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Every call.
    Any,
    /// `POST /v1/messages/batches`.
    Create,
    /// `GET /v1/messages/batches/{id}`.
    Retrieve,
    /// `GET /v1/messages/batches`.
    List,
    /// `POST /v1/messages/batches/{id}/cancel`.
    Cancel,
    /// `DELETE /v1/messages/batches/{id}`.
    Delete,
    /// `GET /v1/messages/batches/{id}/results`.
    Results,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /v1/models` and one of them.
    Models,
    /// Everything under `/v1/organizations`.
    Organization,
}

/// Something that goes wrong, and when. Rules are tried in order; each one that
/// meets a call has its effect on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls it meets.
    #[serde(default = "any")]
    pub on: Vec<Call>,
    /// Only calls with this API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only calls about this batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Only calls about a batch that is younger than this, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub younger_ms: Option<u64>,
    /// So many calls that it would meet pass untouched first.
    #[serde(default)]
    pub skip: u32,
    /// How often it has an effect; then it is gone.
    #[serde(default)]
    pub times: Times,
    /// How likely it has an effect on a call that it meets, 0 to 1. Drawn from the
    /// stand-in's seed; a call that is spared counts for neither `skip` nor `times`.
    #[serde(default = "certain")]
    pub chance: f64,
    /// What goes wrong.
    pub fault: Fault,
}

impl Rule {
    /// A rule that has its effect on the next of these calls, once.
    pub fn new(on: impl Into<Vec<Call>>, fault: Fault) -> Self {
        Self {
            on: on.into(),
            key: None,
            batch: None,
            younger_ms: None,
            skip: 0,
            times: Times::default(),
            chance: 1.0,
            fault,
        }
    }
}

/// How often a rule has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// So often.
    Count(u32),
    /// Until the faults are cleared.
    Word(Always),
}

/// The word `always`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Always {
    /// Until the faults are cleared.
    Always,
}

impl Times {
    /// Until the faults are cleared.
    pub const ALWAYS: Self = Self::Word(Always::Always);
}

impl Default for Times {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error in place of the answer.
    Status(Status),
    /// The connection is reset.
    Reset {
        /// At which point.
        when: Reset,
        /// After so many bytes (of the upload or of the answer's body).
        #[serde(default)]
        bytes: u64,
    },
    /// The call waits, evenly between these, before it is looked at.
    Delay {
        /// At least so long, in milliseconds.
        min_ms: u64,
        /// At most so long, in milliseconds.
        max_ms: u64,
    },
    /// The call is never answered.
    Hang,
    /// The answer is a redirect to the same path with `redirected=1`, which no
    /// `redirect` meets again.
    Redirect {
        /// Scheme and host; by default those that the client used.
        #[serde(default)]
        to: Option<String>,
        /// HTTP status.
        #[serde(default = "found")]
        status: u16,
    },
    /// Headers are set on the answer (or removed, when empty).
    Headers(BTreeMap<String, String>),
    /// The first half of the answer's body: as a whole one with a length that
    /// fits, or with the connection closed in the middle.
    Half {
        /// Whether the length fits.
        framed: bool,
    },
    /// The answer's body comes slowly.
    Drip {
        /// So many bytes at a time.
        bytes: usize,
        /// One piece in so many milliseconds.
        every_ms: u64,
    },
    /// The body is so many spaces, compressed, whatever the client accepts.
    GzipBomb {
        /// Bytes after decompression.
        bytes: u64,
    },
    /// Batches are shown with these fields changed, added or (`null`) emptied;
    /// objects are merged.
    Patch(Map<String, Value>),
    /// Batches are shown with wrong counts.
    Counts {
        /// Added to the largest count; may make it negative.
        #[serde(default)]
        add: i64,
        /// Up to so much more, another number each time.
        #[serde(default)]
        wander: u64,
    },
    /// `results_url` names another scheme and host.
    ResultsHost {
        /// Such as `http://localhost:9`.
        origin: String,
    },
    /// Lists leave out batches that are younger than this.
    ListLag {
        /// In milliseconds.
        ms: u64,
    },
    /// Lists leave out batches by chance.
    ListMiss {
        /// How likely each is left out, 0 to 1.
        chance: f64,
    },
    /// Pages of lists come in the wrong order.
    ListReverse,
    /// A create makes batches of somebody else in the same workspace, too.
    Foreign {
        /// So many.
        #[serde(default = "once")]
        batches: u32,
        /// With so many items; by default as many as the create's own.
        #[serde(default)]
        items: Option<u32>,
    },
    /// What becomes of the batch that is created.
    Batch(Plan),
    /// Lines of results are damaged.
    Lines(LineFault),
}

/// At which point a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Before the body of the request is read.
    Request,
    /// In the middle of the upload.
    Upload,
    /// When the call has had its effect, before a byte of the answer.
    Answer,
    /// In the middle of the answer's body.
    Body,
}

/// An error in place of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// HTTP status.
    pub status: u16,
    /// Whether the call has its effect (the batch is stored) before.
    #[serde(default)]
    pub stored: bool,
    /// `error.type`; follows from the status by default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `error.message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `error.details.error_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `retry-after`, as it is to stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// `retry-after-ms`, as it is to stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<String>,
    /// `x-should-retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub should_retry: Option<bool>,
    /// The form of the body.
    #[serde(default)]
    pub body: Form,
}

/// The form of an error's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The documented envelope.
    #[default]
    Envelope,
    /// A web page, as something in front of the API would answer.
    Html,
    /// Plain text.
    Text,
    /// Nothing.
    Empty,
    /// JSON that breaks off.
    Broken,
}

fn any() -> Vec<Call> {
    vec![Call::Any]
}

fn certain() -> f64 {
    1.0
}

fn found() -> u16 {
    302
}

fn once() -> u32 {
    1
}
