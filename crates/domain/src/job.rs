//! The words for where a job stands and how it can end.
//!
//! A job has no state column and no transitions of its own: where its id
//! stands in the store decides (one view, `job_state`). These are the words
//! for what that view and the result rows say.

use crate::label::labels;

labels! {
    /// Where a job stands, as clients see it.
    pub enum State as "job state", as_str {
        /// Accepted and durable; not yet at Anthropic. [`Detail`] says more.
        Queued = "queued",
        /// Part of a message batch that is in progress or being canceled.
        Submitted = "submitted",
        /// Its batch has ended and results are being read, or its direct call runs.
        Processing = "processing",
        /// Ended with a good result.
        Completed = "completed",
        /// Ended without one; a [`Failure`] says why.
        Failed = "failed",
        /// Ended because somebody asked for it.
        Canceled = "canceled",
    }
}

impl State {
    /// Whether nothing but a user's retry can change it any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Submitted | Self::Processing => false,
            Self::Completed | Self::Failed | Self::Canceled => true,
        }
    }
}

labels! {
    /// What a queued job waits for.
    pub enum Detail as "queue detail", as_str {
        /// For its bucket to be due, or for its turn.
        Waiting = "waiting",
        /// In a batch that is planned or on its way to Anthropic.
        Sending = "sending",
        /// In a batch whose create call had no clear answer yet.
        Confirming = "confirming",
        /// For the result of another job, which asks the same.
        Sharing = "sharing",
    }
}

labels! {
    /// How a job reaches Anthropic.
    pub enum Lane as "lane", as_str {
        /// In a message batch: half the token price, up to 24 hours.
        Batch = "batch",
        /// By a call of its own, at once, at the normal price.
        Direct = "direct",
    }
}

labels! {
    /// What is done for a job whose deadline nears while it has no answer.
    pub enum OnLate as "policy for late jobs", as_str {
        /// Nothing: the deadline chose the lane, and the answer comes when it does.
        Wait = "wait",
        /// It is called for directly, in time to make it; its batch is paid as well
        /// if that answers all the same.
        Escalate = "escalate",
        /// At the deadline it ends as failed.
        Fail = "fail",
    }
}

labels! {
    /// What is done for a job whose direct call was sent and not answered.
    pub enum OnUnknown as "policy for lost answers", as_str {
        /// It ends as failed: nothing is paid twice.
        Fail = "fail",
        /// It is called for again, though the first call may have been billed.
        Retry = "retry",
    }
}

labels! {
    /// How a job ended.
    pub enum Outcome as "outcome", as_str {
        /// With a good result.
        Completed = "completed",
        /// Without one; a [`Failure`] says why.
        Failed = "failed",
        /// By somebody's wish.
        Canceled = "canceled",
    }
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Failed => Self::Failed,
            Outcome::Canceled => Self::Canceled,
        }
    }
}

labels! {
    /// Every way in which a job can fail. The list is closed: a client may
    /// match on the labels, and no other ever appears.
    pub enum Failure as "failure label", label {
        /// Anthropic found the request itself invalid.
        InvalidRequest = "invalid_request",
        /// The answer breaks the output schema of its job.
        SchemaInvalid = "schema_invalid",
        /// The answer was cut off at `max_tokens`.
        Truncated = "truncated",
        /// The model declined to answer.
        Refused = "refused",
        /// Prompt and answer together exceed the model's context window.
        ContextExceeded = "context_exceeded",
        /// The model paused its turn (`pause_turn`) instead of ending it.
        Paused = "paused",
        /// Sent as the only request of a batch, the batch was refused.
        RejectedAlone = "rejected_alone",
        /// Every permitted try ended in an error of Anthropic's side.
        TooManyTries = "too_many_tries",
        /// The batch ended, and its results hold no line for this job.
        ResultMissing = "result_missing",
        /// The result line cannot be read.
        ResultUnreadable = "result_unreadable",
        /// A direct call was sent and its answer lost; it may have been billed.
        OutcomeUnknown = "outcome_unknown",
        /// Its deadline passed, and it was to fail then.
        DeadlineMissed = "deadline_missed",
        /// A fault of offpeak itself.
        Internal = "internal",
    }
}

impl Failure {
    /// One sentence for a person. It never holds text of a prompt or a result.
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "Anthropic rejected the request as invalid; change it before you send it again."
            }
            Self::SchemaInvalid => "The answer does not match the output schema of its job.",
            Self::Truncated => {
                "The answer was cut off at max_tokens; allow more tokens and submit again."
            }
            Self::Refused => "The model declined to answer this request.",
            Self::ContextExceeded => {
                "Prompt and answer together exceed the model's context window; shorten the input."
            }
            Self::Paused => "The model paused before its answer was complete.",
            Self::RejectedAlone => {
                "Anthropic refused to accept the request, even in a batch of its own."
            }
            Self::TooManyTries => {
                "Every permitted try ended in an error on Anthropic's side; retry it later."
            }
            Self::ResultMissing => {
                "The batch ended without a result for this job; it may have been billed."
            }
            Self::ResultUnreadable => "The result cannot be read; it may have been billed.",
            Self::OutcomeUnknown => {
                "The request was sent and its answer was lost; it may have been billed."
            }
            Self::DeadlineMissed => {
                "There was no answer before the deadline of this job; it may still be billed."
            }
            Self::Internal => "An error inside offpeak ended this job.",
        }
    }

    /// Whether any other job with the same params would have ended like this in its
    /// place: then those that wait for its result end as it did. Otherwise it says
    /// nothing of them, and they go on without it.
    pub const fn is_shared(self) -> bool {
        match self {
            Self::InvalidRequest
            | Self::SchemaInvalid
            | Self::Truncated
            | Self::Refused
            | Self::ContextExceeded
            | Self::Paused
            | Self::RejectedAlone
            // They would have had the same tries at the same time; one after the other
            // they would wait without an end.
            | Self::TooManyTries
            | Self::ResultUnreadable => true,
            Self::ResultMissing
            | Self::OutcomeUnknown
            | Self::DeadlineMissed
            | Self::Internal => false,
        }
    }

    /// Whether the very same request may well succeed when a user retries it.
    ///
    /// This is advice for a person and for the retry button. It forbids
    /// nothing: retrying a truncated job is allowed, and likely a waste.
    pub const fn is_retriable_by_user(self) -> bool {
        match self {
            Self::SchemaInvalid
            | Self::Paused
            | Self::TooManyTries
            | Self::ResultMissing
            | Self::ResultUnreadable
            | Self::OutcomeUnknown
            | Self::DeadlineMissed
            | Self::Internal => true,
            Self::InvalidRequest
            | Self::Truncated
            | Self::Refused
            | Self::ContextExceeded
            | Self::RejectedAlone => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outcome, State};

    #[test]
    fn outcomes_are_exactly_the_final_states() {
        let finals: Vec<State> = State::ALL
            .iter()
            .copied()
            .filter(|s| s.is_final())
            .collect();
        let outcomes: Vec<State> = Outcome::ALL.iter().copied().map(State::from).collect();
        assert_eq!(finals, outcomes);
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str(), State::from(*outcome).as_str());
        }
    }

    /// The labels are an interface: a change here breaks clients.
    #[test]
    fn failure_labels_are_stable() {
        let table: Vec<String> = Failure::ALL
            .iter()
            .map(|f| {
                let (label, retry) = (f.label(), f.is_retriable_by_user());
                format!("{label:<18} retry {retry:<5} shared {}", f.is_shared())
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        invalid_request    retry false shared true
        schema_invalid     retry true  shared true
        truncated          retry false shared true
        refused            retry false shared true
        context_exceeded   retry false shared true
        paused             retry true  shared true
        rejected_alone     retry false shared true
        too_many_tries     retry true  shared true
        result_missing     retry true  shared false
        result_unreadable  retry true  shared true
        outcome_unknown    retry true  shared false
        deadline_missed    retry true  shared false
        internal           retry true  shared false
        ");
    }

    #[test]
    fn messages_are_single_sentences() {
        for failure in Failure::ALL {
            let message = failure.message();
            assert!(
                message.ends_with('.') && message.matches(". ").count() == 0,
                "{message}"
            );
        }
    }
}
