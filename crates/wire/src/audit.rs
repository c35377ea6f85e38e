use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// What did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// An API key.
    Key,
    /// A person of the tenant.
    Person,
    /// An operator of the deployment.
    Operator,
    /// The operator's command, on the server's machine.
    Command,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// From 1, without a gap.
    pub seq: i64,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// What did it.
    pub actor: ActorKind,
    /// Its id; empty for a command.
    pub actor_id: String,
    /// The key's hint or the person's name, as it was then.
    pub actor_name: String,
    /// What was done, such as `key.create`.
    pub action: String,
    /// To what; may be empty.
    pub target: String,
    /// More, in words; may be empty.
    pub detail: String,
    /// From where; empty where that is not known.
    pub address: String,
    /// The request's id; empty for a command.
    pub request_id: String,
    /// SHA-256 in hex, over the hash before and every field.
    pub hash: String,
}
