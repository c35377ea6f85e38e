use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// Whose spending a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// All of yours.
    Tenant,
    /// That for one user, or for each.
    User,
    /// That of one job type, or of each.
    Type,
}

/// For how long a budget is, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// A calendar month.
    Month,
}

/// A budget to be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetRequest {
    /// Whose spending it counts.
    pub scope: BudgetScope,
    /// A user's label or the name of a job type. Without it the budget is that of
    /// each user, or of each job type, that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// For how long it is.
    pub period: BudgetPeriod,
    /// How much it is, in dollars.
    #[schema(example = "12.50")]
    pub limit: String,
    /// True refuses what would exceed it (402); false only tells, by an event.
    pub hard: bool,
}

/// A budget, and how much of it is used in the present period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// `bgt_…`.
    pub id: String,
    /// Whose spending it counts.
    pub scope: BudgetScope,
    /// A user's label or the name of a job type; absent for each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For how long it is.
    pub period: BudgetPeriod,
    /// How much it is, in dollars.
    pub limit: String,
    /// Whether it refuses what would exceed it.
    pub hard: bool,
    /// When the next period begins.
    #[serde(with = "rfc3339")]
    pub renews_at: OffsetDateTime,
    /// How much of it is used: nothing before the first job of the period. Where the
    /// budget is each one's, the hundred that have used most.
    pub uses: Vec<BudgetUse>,
    /// Since when it counts.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
}

/// How much of a budget is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetUse {
    /// By which user or job type, where the budget is each one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What open jobs are expected to cost, in dollars.
    pub reserved: String,
    /// What was billed, in dollars, exact.
    pub spent: String,
    /// What is left, in dollars; at least 0.
    pub left: String,
    /// When an event told that little or nothing is left.
    #[serde(
        default,
        with = "rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub warned_at: Option<OffsetDateTime>,
}

/// Every budget, and how good estimates were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Budgets {
    /// Yours, then users', then job types'.
    pub budgets: Vec<Budget>,
    /// By job type and model, most jobs first; of the last some hundred jobs each.
    pub estimates: Vec<EstimateError>,
    /// When this was read.
    #[serde(with = "rfc3339")]
    pub as_of: OffsetDateTime,
}

/// What jobs were expected to cost when they were submitted, and have cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EstimateError {
    /// The job type; absent for jobs with their own `params`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The model that was asked for.
    pub model: String,
    /// Jobs that have ended.
    pub jobs: u64,
    /// What was reserved for them, in dollars.
    pub estimated: String,
    /// What they have cost, in dollars.
    pub settled: String,
    /// By how many percent the first is above the second; absent when they have cost
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "-2.4")]
    pub deviation_percent: Option<String>,
    /// What the estimate of the next job is multiplied by.
    #[schema(example = "1.090")]
    pub correction: String,
}

/// The budget that has no room for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverBudget {
    /// `bgt_…`.
    pub id: String,
    /// Whose spending it counts.
    pub scope: BudgetScope,
    /// Of which user or job type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For how long it is.
    pub period: BudgetPeriod,
    /// How much it is, in dollars.
    pub limit: String,
    /// What is left of it, in dollars: in an upload, after the lines before this one.
    pub left: String,
    /// What the job is expected to cost, in dollars.
    pub estimate: String,
    /// When the next period begins.
    #[serde(with = "rfc3339")]
    pub renews_at: OffsetDateTime,
}
