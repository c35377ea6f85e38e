//! The documented form of an error, on the HTTP level and inside a result line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::open_names;

open_names! {
    /// The API's names for what went wrong (`error.type`).
    ErrorKind {
        /// 400: the request itself is wrong, or a spend limit of one's own.
        InvalidRequest = "invalid_request_error",
        /// 401: bad, revoked or expired key.
        Authentication = "authentication_error",
        /// 402: payment problem.
        Billing = "billing_error",
        /// 403: the key lacks access.
        Permission = "permission_error",
        /// 404: unknown id, or another workspace's.
        NotFound = "not_found_error",
        /// 409: concurrent change.
        Conflict = "conflict_error",
        /// 413: too many bytes.
        TooLarge = "request_too_large",
        /// 429: a rate, a queue limit or a spend cap; the code tells which.
        RateLimit = "rate_limit_error",
        /// 500: internal.
        Api = "api_error",
        /// 504: timed out.
        Timeout = "timeout_error",
        /// 529: overloaded.
        Overloaded = "overloaded_error",
    }
}

/// `{"type":"error","error":{…},"request_id":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "error")]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
    /// The request that it belongs to.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// The inner object of an [`ErrorEnvelope`]. Its `Debug` hides the message, which
/// may quote the prompt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The stable name.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// Unstable wording for people.
    #[serde(default)]
    pub message: String,
    /// The machine code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
}

/// What `error.details` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetails {
    /// More exact than the kind, e.g. `enforced_spend_limit_reached`.
    #[serde(default)]
    pub error_code: Option<String>,
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBody")
            .field("kind", &self.kind)
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}
