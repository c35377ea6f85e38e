//! The JSON of offpeak's public API: what a client sends and what it gets back.
//!
//! Plain data with serde and `OpenAPI` schemas, shared by the server that
//! writes it and by the command line that reads it. Ids, states and money are text
//! here, as they are on the wire; times are RFC 3339 in UTC.
//!
//! What it never does: decide, check or convert. A shape that parses is not a
//! request that is valid. Nothing runs here, so nothing can die here.

mod attempt;
mod batch;
mod budget;
mod bulk;
mod context;
mod estimate;
mod group;
mod health;
mod job;
mod job_type;
mod key;
pub mod live;
mod many;
mod me;
mod overview;
mod page;
mod problem;
mod request;
mod result;
mod session;
mod ticket;
mod usage;

pub use attempt::{Attempt, AttemptBill, AttemptOutcome, Attempts, BillItem, BillLine};
pub use batch::{
    Batch, BatchCache, BatchState, CacheMark, CacheReason, CloseReason, ItemCounts, PrimeOutcome,
    UsualTime,
};
pub use budget::{
    Budget, BudgetPeriod, BudgetRequest, BudgetScope, BudgetUse, Budgets, EstimateError, OverBudget,
};
pub use bulk::BulkAnswer;
pub use context::{Context, ContextRequest};
pub use estimate::{AnswerBasis, Estimate, EstimateRequest, EstimateSum, JobEstimate};
pub use group::{Canceled, Counts, Group, Retried, TokenTotals};
pub use health::{Health, Ready};
pub use job::{Detail, Job, JobState, Lane, TokenUsage};
pub use job_type::{JobType, JobTypeRequest};
pub use key::{Key, KeyRequest, NewKey};
pub use many::{CancelRequest, ManyCanceled, ManyRetried, NotDone, RetryRequest};
pub use me::{Me, Upstream};
pub use overview::{OpenBatches, OpenIncident, Overview, Pace, TimeToResult, UpstreamPause};
pub use page::Page;
pub use problem::{FieldError, PROBLEM_JSON, Problem};
pub use request::{JobRequest, OnLate, OnUnknown, Priority};
pub use result::JobResult;
pub use session::Session;
pub use ticket::{Origins, Ticket, TicketRequest};
pub use usage::{UsageReport, UsageRow, UsageTotal};
