//! The JSON shapes of the API: unknown fields are ignored, nullable fields may
//! be missing, and every closed list keeps a variant for what is not known yet.

mod batch;
mod direct;
mod envelope;
mod line;
mod model;
mod names;
mod report;
mod stamp;
mod usage;

pub use batch::{MessageBatch, Page, ProcessingStatus, RequestCounts};
pub use direct::{errored_line, succeeded_line};
pub use envelope::{ErrorBody, ErrorDetails, ErrorEnvelope, ErrorKind};
pub use line::{Errored, ResultKind, ResultLine, StopReason, Succeeded, Unreadable};
pub use model::ModelInfo;
pub use report::{CostReportRow, ReportDay, ReportPage, UsageReportRow};
pub use usage::{CacheCreation, ServerToolUse, ServiceTier, Usage};
