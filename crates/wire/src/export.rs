use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::{Context, Job, JobResult};

/// One line of an export.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ExportLine {
    /// What it is.
    pub kind: ExportKind,
    /// The thing, as the route of that name shows it; a job, a context and the end
    /// have forms of their own.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

/// What a line of an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportKind {
    /// Who you are: as `GET /v1/me`.
    Tenant,
    /// An API key, without its secret.
    Key,
    /// Somebody who may sign in.
    Person,
    /// The `origin` of a page on which tickets may be used.
    Origin,
    /// Your own Anthropic key, without what it is: as `GET /v1/upstream`.
    Upstream,
    /// How long things are kept.
    Retention,
    /// A budget with what is used of it.
    Budget,
    /// A version of a job type.
    JobType,
    /// A context with its text.
    Context,
    /// A group.
    Group,
    /// A batch.
    Batch,
    /// A line of a batch's results that could not be taken as it came.
    FlawedLine,
    /// An entry of the audit log.
    Audit,
    /// A job with its request, its result and what was set aside.
    Job,
    /// The last line: how many `lines` stand before it.
    End,
}

/// A context with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedContext {
    /// As `GET /v1/contexts` shows it.
    #[serde(flatten)]
    pub context: Context,
    /// The text.
    pub text: String,
}

/// A line of a batch's results that could not be taken as it came.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FlawedLine {
    /// `bat_…`.
    pub batch: String,
    /// When it was first read.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// What is wrong with it: `not_json`, `conflict`, … (`docs/operating.md` has them all).
    pub flaw: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of it in hex; of its beginning, where it is above 32 MB.
    pub sha256: String,
    /// How it begins, at most 64 kB, if it names a job of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
}

/// A job with all that there is of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedJob {
    /// As `GET /v1/jobs/{id}` shows it.
    #[serde(flatten)]
    pub job: Job,
    /// The params, as Anthropic gets them; absent once their retention is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub request: Option<Box<RawValue>>,
    /// As `GET /v1/jobs/{id}/result` shows it; absent while the job has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Attempts that ended without ending the job, and results that a retry set aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
}

/// An attempt that did not end its job, or whose result was set aside.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SetAside {
    /// From 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `bat_…`, where it was in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// When.
    #[serde(with = "rfc3339")]
    pub ended_at: OffsetDateTime,
    /// Anthropic's line as it came, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}
