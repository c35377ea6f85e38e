use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// Of this program.
    pub version: String,
}

/// Whether a submit would be accepted now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Both of the below.
    pub ready: bool,
    /// Whether the database answers.
    pub database: bool,
    /// Days, today included, for which there is room for jobs; below 1 none is accepted.
    pub partition_days: u32,
}
