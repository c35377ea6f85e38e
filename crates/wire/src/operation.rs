use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// What is done with each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationAction {
    /// It ends, if it has not ended. What is at Anthropic already is paid for.
    Cancel,
    /// It is queued again, if it failed or was canceled.
    Retry,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// There may be jobs that it has not looked at.
    Running,
    /// It has looked at all of them.
    Done,
    /// It ended before that: somebody stopped it, or `problem` says why.
    Stopped,
}

/// Which jobs, as `GET /v1/jobs` takes it; everything that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationFilter {
    /// One or several states, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "failed,canceled")]
    pub state: Option<String>,
    /// Name of a job type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// `grp_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The app's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The model asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why they failed: one of the closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `bat_…` that their last attempt is or was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Accepted at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-28T05:00:00Z")]
    pub since: Option<String>,
    /// Accepted before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What is to be done, and with which jobs: `filter` says something, or `all` is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// What is done with each.
    pub action: OperationAction,
    /// Which jobs.
    #[serde(default)]
    pub filter: OperationFilter,
    /// True means every job of yours; then `filter` is empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// True retries completed jobs too: they are paid for again, and their answers are
    /// no longer shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// True only counts the jobs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What an operation would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationPreview {
    /// Jobs that match and that the action can change.
    pub jobs: u64,
    /// False when there are more: it stops counting at 100,000 jobs, or after two seconds.
    pub all_counted: bool,
}

/// What is done with every job that matched and was there when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// `op_…`.
    #[schema(example = "op_01kap3v0qne2w8x6c1d9m5r7zt")]
    pub id: String,
    /// What is done with each.
    pub action: OperationAction,
    /// How far it is.
    pub state: OperationState,
    /// Which jobs. Its states are those in which the action can change a job.
    pub filter: OperationFilter,
    /// Who asked for it: the hint of an API key, or the name of a person.
    pub by: String,
    /// Jobs that were found when it was asked for.
    pub expected: u64,
    /// False when there were more than `expected`.
    pub all_counted: bool,
    /// Jobs that it has looked at: `done` and `left`.
    pub matched: u64,
    /// Jobs that it canceled, or queued again.
    pub done: u64,
    /// Jobs that it left as they are: they ended meanwhile, or an attempt of theirs is
    /// still at Anthropic.
    pub left: u64,
    /// When it was asked for.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was done, or stopped.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
