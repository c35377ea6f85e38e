use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

/// What a ticket is to open, and for how long. Exactly one of `user` and `group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// The jobs with this label of the app, those to come included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "u_42", min_length = 1, max_length = 256)]
    pub user: Option<String>,
    /// The jobs of this group, `grp_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Seconds from 10 to 3600; 600 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 3600, example = 600)]
    pub ttl: Option<u32>,
}

/// What lets a browser read one user's or one group's jobs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// `ofp_ticket_…`. Shown here and never again.
    pub ticket: String,
    /// Whose jobs it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group whose jobs it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When it ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Without the secret.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("user", &self.user)
            .field("group", &self.group)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Pages from which tickets may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Origins {
    /// At most 50, each `https://host[:port]` or `http://host[:port]`, in lower
    /// case, as browsers send it.
    #[schema(value_type = Vec<Origin>, max_items = 50, example = json!(["https://app.example.com"]))]
    pub origins: Vec<String>,
}

/// A page's origin, as browsers send it.
#[derive(ToSchema)]
#[schema(pattern = "^https?://[^A-Z]+$")]
#[expect(
    dead_code,
    reason = "of a list, no attribute says what each item looks like"
)]
struct Origin(String);

#[cfg(test)]
mod tests {
    use super::Ticket;

    #[test]
    fn debug_does_not_show_the_secret() {
        let text =
            r#"{"ticket":"ofp_ticket_secret","user":"u_42","expires_at":"2026-11-27T19:00:00Z"}"#;
        let ticket: Ticket = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&ticket).unwrap(), text);
        let shown = format!("{ticket:?}");
        assert!(
            shown.contains("u_42") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
