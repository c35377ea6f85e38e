use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{JobRequest, Lane};

/// Jobs whose cost is asked for; nothing of them is stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateRequest {
    /// As they would be submitted; from one to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub jobs: Vec<JobRequest>,
}

/// What jobs are expected to cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// One for each job, in the order in which they were given.
    pub jobs: Vec<JobEstimate>,
    /// The sum of them.
    pub total: EstimateSum,
}

/// What one job is expected to cost: its own tokens, nothing from a cache and nothing
/// shared, at today's prices. It is what budgets reserve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEstimate {
    /// Name of its job type; absent for a job with its own `params`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The version that it would run with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_version: Option<u32>,
    /// The model asked for.
    pub model: String,
    /// How it would reach Anthropic, by its `deliver_within`.
    pub lane: Lane,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// The most likely length of the answer.
    pub output_tokens: u64,
    /// On what that guess is founded.
    pub answer_basis: AnswerBasis,
    /// What it would cost in a batch, in dollars; null where no price is known.
    #[schema(required, example = "0.0008125")]
    pub cost_batch: Option<String>,
    /// What it would cost by a call of its own.
    #[schema(required, example = "0.001625")]
    pub cost_direct: Option<String>,
    /// By how much both are corrected, by what jobs of this type and model have really
    /// cost; 1.000 where nothing was measured, which budgets do.
    #[schema(example = "1.084")]
    pub correction: String,
}

/// On what the guessed length of an answer is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBasis {
    /// The schema that the answer has to fit.
    Schema,
    /// The number of words that the prompt allows.
    Words,
    /// Nothing: a round number.
    Nothing,
}

/// The sum of several estimates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EstimateSum {
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// The most likely length of the answers.
    pub output_tokens: u64,
    /// What all would cost in batches, in dollars.
    pub cost_batch: String,
    /// What all would cost by calls of their own.
    pub cost_direct: String,
    /// What they would cost, each in its lane.
    pub cost: String,
    /// Jobs whose model has no known price; they are in none of the amounts.
    pub unpriced: u64,
}
