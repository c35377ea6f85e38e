use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::OverBudget;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Any answer from 400 on: problem details as in RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem; ends in `code`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid_input")]
    pub r#type: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time, in words for a person.
    pub detail: String,
    /// Stable; what a program matches on.
    #[schema(example = "invalid_input")]
    pub code: String,
    /// As in the header `x-request-id`.
    pub request_id: String,
    /// What is wrong where: at most the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Faults found in all, when there are more than `errors` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_count: Option<u64>,
    /// The budget that has no room, of a 402.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<OverBudget>>,
    /// The limit that is reached, of a 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<ReachedLimit>>,
}

/// A limit that does not allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedLimit {
    /// As in `GET /v1/limits`, or the setting of the deployment.
    #[schema(example = "requests_per_second")]
    pub name: String,
    /// How much it allows.
    pub value: u64,
}

/// One fault at one place of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Line of a bulk body, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// JSON pointer into the body or line, or the name of a query parameter
    /// or header; empty for the whole.
    #[schema(example = "/input/max_words")]
    pub field: String,
    /// Stable; what a program matches on.
    #[schema(example = "schema_violation")]
    pub code: String,
    /// In words for a person.
    pub message: String,
}
