//! The JSON of offpeak's public API: what a client sends and what it gets back.
//!
//! Plain data with serde and `OpenAPI` schemas, shared by the server that
//! writes it and by the command line that reads it. Ids, states and money are text
//! here, as they are on the wire; times are RFC 3339 in UTC.
//!
//! What it never does: decide, check or convert. A shape that parses is not a
//! request that is valid. Nothing runs here, so nothing can die here.

mod attempt;
mod audit;
mod batch;
mod budget;
mod bulk;
mod context;
mod erasure;
mod estimate;
mod export;
mod failure;
mod group;
mod health;
mod identity;
mod job;
mod job_type;
mod key;
pub mod live;
mod many;
mod me;
mod operation;
mod operator;
mod overview;
mod own_upstream;
mod page;
mod person;
mod problem;
mod request;
mod result;
mod retention;
mod session;
mod ticket;
mod usage;

pub use attempt::{Attempt, AttemptBill, AttemptOutcome, Attempts, BillItem, BillLine};
pub use audit::{ActorKind, AuditEntry};
pub use batch::{
    Batch, BatchCache, BatchState, CacheMark, CacheReason, CloseReason, ItemCounts, PrimeOutcome,
    UsualTime,
};
pub use budget::{
    Budget, BudgetPeriod, BudgetRequest, BudgetScope, BudgetUse, Budgets, EstimateError, OverBudget,
};
pub use bulk::BulkAnswer;
pub use context::{Context, ContextRequest};
pub use erasure::{ErasureRequest, TenantErasure};
pub use estimate::{AnswerBasis, Estimate, EstimateRequest, EstimateSum, JobEstimate};
pub use export::{ExportKind, ExportLine, ExportedContext, ExportedJob, FlawedLine, SetAside};
pub use failure::FailureLabel;
pub use group::{Canceled, Counts, Group, Retried, TimeLeft, TokenTotals};
pub use health::{Health, Ready};
pub use identity::{CameBack, Choice, Chosen, IdentityServer, SentAway, TenantName, Ways};
pub use job::{Ahead, Detail, Job, JobState, Lane, TokenUsage};
pub use job_type::{JobType, JobTypeRequest};
pub use key::{Key, KeyRequest, NewKey, RotateRequest};
pub use many::{CancelRequest, ManyCanceled, ManyRetried, NotDone, RetryRequest};
pub use me::{Me, Upstream};
pub use operation::{
    Operation, OperationAction, OperationFilter, OperationPreview, OperationRequest, OperationState,
};
pub use operator::{
    Deployment, LookRequest, NewTenant, OperatorIncident, OperatorSession, TenantChange, TenantDay,
    TenantDays, TenantLimit, TenantLimits, TenantLimitsChange, TenantRequest, TenantRow,
    TenantRows, UpstreamStatus,
};
pub use overview::{OpenBatches, OpenIncident, Overview, Pace, TimeToResult, UpstreamPause};
pub use own_upstream::{
    JobsGo, OwnUpstream, UpstreamDepends, UpstreamKey, UpstreamKeyRequest, UpstreamKeyState,
};
pub use page::Page;
pub use person::{Invitation, Invited, LinkRequest, Person, Role, Scope, SignedIn};
pub use problem::{FieldError, PROBLEM_JSON, Problem, ReachedLimit};
pub use request::{JobRequest, OnLate, OnUnknown, Priority};
pub use result::JobResult;
pub use retention::{Retention, RetentionRequest};
pub use session::Session;
pub use ticket::{Origins, Ticket, TicketRequest};
pub use usage::{UsageReport, UsageRow, UsageTotal};
