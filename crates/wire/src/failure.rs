use serde::Serialize;
use utoipa::ToSchema;

/// Why a job failed: a closed list, to which a newer version may add.
// It is there for the document: the fields themselves are strings, so that this
// client reads what a newer server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureLabel {
    /// Anthropic found the request itself invalid.
    InvalidRequest,
    /// The answer breaks the output schema of its job.
    SchemaInvalid,
    /// The answer was cut off at `max_tokens`.
    Truncated,
    /// The model declined to answer.
    Refused,
    /// Prompt and answer together exceed the model's context window.
    ContextExceeded,
    /// The model paused its turn (`pause_turn`) instead of ending it.
    Paused,
    /// Sent as the only request of a batch, the batch was refused.
    RejectedAlone,
    /// Every permitted try ended in an error of Anthropic's side.
    TooManyTries,
    /// The batch ended, and its results hold no line for this job.
    ResultMissing,
    /// The result line cannot be read.
    ResultUnreadable,
    /// A direct call was sent and its answer lost; it may have been billed.
    OutcomeUnknown,
    /// Its deadline passed, and it was to fail then.
    DeadlineMissed,
    /// A fault of offpeak itself.
    Internal,
}
