use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::Me;

/// A browser that is signed in. Its secret is in the cookie and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// As in `GET /v1/me`; `key` or `person` is who began the session.
    #[serde(flatten)]
    pub me: Me,
    /// When the session ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
}
