use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::Lane;

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
    /// How it reached Anthropic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// The sums.
    pub total: UsageTotal,
}

/// Sums over billed attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageTotal {
    /// Attempts that were billed; a retried job counts once for each. One that was
    /// answered by the attempt of another job counts once, without tokens and cost.
    pub attempts: u64,
    /// Those of them whose model has no known price. Their tokens are counted
    /// here, their money is in none of these amounts.
    #[serde(default)]
    pub unpriced: u64,
    /// Input tokens that were neither written to nor read from a cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Web searches that the server made.
    #[serde(default)]
    pub web_searches: u64,
    /// What was billed, in dollars, exact.
    pub cost: String,
    /// What the same usage would have cost synchronously and without a cache, in
    /// dollars, exact: every prompt token at the price of input.
    pub cost_sync: String,
    /// `cost_sync` − `cost`, which is the sum of the three that follow.
    pub saved: String,
    /// What message batches saved.
    #[serde(default)]
    pub saved_batch: String,
    /// What reading from caches saved, less what writing to them cost more: below
    /// zero where little was read again.
    #[serde(default)]
    pub saved_cache: String,
    /// What was not run because another job had run it.
    #[serde(default)]
    pub saved_reuse: String,
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
            lane: None,
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
