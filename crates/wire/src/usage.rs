use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

time::serde::format_description!(day, Date, "[year]-[month]-[day]");

/// What was used and billed in a span of days (UTC).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// First day.
    #[serde(with = "day")]
    pub from: time::Date,
    /// Last day, included.
    #[serde(with = "day")]
    pub to: time::Date,
    /// One row for each combination asked for, newest day first.
    pub rows: Vec<UsageRow>,
    /// The sum of all rows.
    pub total: UsageTotal,
    /// When this was read.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
}

/// Usage of one day, model and type, as far as the question asked for them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// The day.
    #[serde(default, with = "day::option", skip_serializing_if = "Option::is_none")]
    pub day: Option<time::Date>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The job type; absent for jobs with their own `params`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The app's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The sums.
    pub total: UsageTotal,
}

/// Sums over billed attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageTotal {
    /// Attempts that were billed; a retried job counts once for each.
    pub attempts: u64,
    /// Input tokens that were neither written to nor read from a cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// What was billed, in dollars, exact.
    pub cost: String,
    /// What the same usage would have cost synchronously, in dollars, exact.
    pub cost_sync: String,
    /// `cost_sync` − `cost`.
    pub saved: String,
}

#[cfg(test)]
mod tests {
    use super::{UsageRow, UsageTotal};
    use time::macros::date;

    #[test]
    fn days_are_plain_dates() {
        let row = UsageRow {
            day: Some(date!(2026 - 02 - 03)),
            model: None,
            r#type: None,
            user: None,
            total: UsageTotal::default(),
        };
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.starts_with(r#"{"day":"2026-02-03","total""#), "{text}");
        assert_eq!(
            serde_json::from_str::<UsageRow>(&text).unwrap().day,
            row.day
        );
    }
}
