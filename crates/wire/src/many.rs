use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Jobs to be canceled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// `job_…`, from one to 1,000 of them; each counts once.
    #[schema(min_items = 1, max_items = 1000)]
    pub ids: Vec<String>,
}

/// Jobs to be run once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// `job_…`, from one to 1,000 of them; each counts once.
    #[schema(min_items = 1, max_items = 1000)]
    pub ids: Vec<String>,
    /// True retries completed jobs too: they are paid for again, and their answers are
    /// no longer shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
}

/// What a cancel of many jobs did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManyCanceled {
    /// Jobs that this call canceled.
    pub canceled: u64,
    /// The others, each with why not.
    pub not_done: Vec<NotDone>,
}

/// What a retry of many jobs did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManyRetried {
    /// Jobs that are queued again.
    pub retried: u64,
    /// The others, each with why not.
    pub not_done: Vec<NotDone>,
}

/// A job that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotDone {
    /// As it was asked for.
    pub id: String,
    /// Why, as the call for this job alone would have answered; `job_ended` for one
    /// that had ended before it was canceled.
    #[schema(example = "job_not_ended")]
    pub code: String,
    /// The same for a person.
    pub detail: String,
}
