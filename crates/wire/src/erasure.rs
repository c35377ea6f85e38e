use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// That all of a tenant's is to be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureRequest {
    /// The name of the tenant, once more: nobody can take it back.
    pub name: String,
}

/// How far the erasure of a tenant is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantErasure {
    /// `refusing`: its jobs are being ended. `canceling`: its batches are, at Anthropic.
    /// `deleting`: what Anthropic keeps is being deleted, and what is known of it here.
    /// `done`: nothing is left but numbers.
    pub state: String,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub asked_at: OffsetDateTime,
    /// When the last of it went.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "rfc3339::option"
    )]
    pub done_at: Option<OffsetDateTime>,
    /// Jobs that are gone.
    pub jobs: u64,
    /// Message batches that were deleted at Anthropic.
    pub message_batches: u64,
    /// Message batches that were left at the tenant's own upstream: its key is gone, so
    /// that nobody can end or delete them there.
    pub message_batches_left: u64,
    /// Everything else that is gone here, in rows.
    pub rows: u64,
}
