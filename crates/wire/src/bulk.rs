use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::FieldError;

/// What became of a bulk upload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BulkAnswer {
    /// `grp_…` that holds the jobs.
    pub group: String,
    /// Jobs accepted.
    pub jobs: u64,
    /// Bad lines that were left out; only with `partial=true`.
    pub skipped: u64,
    /// Lines read, blank ones included.
    pub lines: u64,
    /// True when this answer repeats what the same idempotency key made before.
    pub replayed: bool,
    /// The first 100 faults of the lines that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}
