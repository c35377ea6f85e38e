//! What was used and billed.

use axum::Router;
use axum::routing::get;
use offpeak_store::usage::{self, By, Row};
use offpeak_wire::{Problem, UsageReport, UsageRow, UsageTotal};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration};

use crate::State;
use crate::caller::Caller;
use crate::error::{Result, fault};
use crate::query::Query;

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Days of a report, at most.
const MAX_DAYS: i64 = 366;
/// Rows of a report, at most.
const MAX_ROWS: i64 = 10_000;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/usage", get(handle))
}

/// Tokens and cost by day, model, job type and user
///
/// Days are in UTC. `cost_sync` is what the same usage would have cost without
/// batches. The first 10,000 rows; `total` always covers everything.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage", operation_id = "get_usage",
    params(
        ("from" = Option<String>, Query, description = "First day, as in 2026-11-01; 29 days before `to` unless said"),
        ("to" = Option<String>, Query, description = "Last day, included; today unless said"),
        ("by" = Option<String>, Query, description = "One or several of day, model, type, user, separated by commas; day,model,type unless said"),
    ),
    responses(
        (status = 200, description = "The sums", body = UsageReport),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(caller: Caller, mut query: Query) -> Result<axum::Json<UsageReport>> {
    // PostgreSQL knows fewer years than the parser.
    let day = |text: &str| Date::parse(text, DAY).ok().filter(|day| day.year() > 0);
    let from = query.parsed("from", "a day, as in 2026-11-01", day);
    let to = query.parsed("to", "a day, as in 2026-11-01", day);
    let mut by = query.words("by", "day, model, type, user", |word| match word {
        "day" => Some(By::Day),
        "model" => Some(By::Model),
        "type" => Some(By::Type),
        "user" => Some(By::User),
        _ => None,
    });
    if by.is_empty() {
        by = vec![By::Day, By::Model, By::Type];
    }

    let mut tx = caller.begin().await?;
    let as_of = tx.now();
    let to = to.unwrap_or(as_of.date());
    let from = from.unwrap_or_else(|| to.saturating_sub(Duration::days(29)));
    if from > to || (to - from).whole_days() >= MAX_DAYS {
        let message = format!("must not be after `to`, and a report is of at most {MAX_DAYS} days");
        query.refuse(fault("from", "invalid_value", message));
    }
    query.end()?;
    let rows = usage::report(&mut tx, from, to, &by, MAX_ROWS).await?;
    let total = usage::report(&mut tx, from, to, &[], 1).await?.pop();
    tx.commit().await?;
    Ok(axum::Json(UsageReport {
        from,
        to,
        rows: rows.into_iter().map(row).collect(),
        total: total.map_or_else(nothing, |all| sums(&all)),
        as_of,
    }))
}

fn row(row: Row) -> UsageRow {
    let total = sums(&row);
    UsageRow {
        day: row.day,
        model: row.model,
        r#type: row.job_type,
        user: row.user,
        total,
    }
}

fn sums(row: &Row) -> UsageTotal {
    UsageTotal {
        attempts: row.attempts,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cache_write_tokens: row.cache_write_tokens,
        cache_read_tokens: row.cache_read_tokens,
        cost: row.cost.to_usd_string(),
        cost_sync: row.cost_sync.to_usd_string(),
        saved: (row.cost_sync - row.cost).to_usd_string(),
    }
}

fn nothing() -> UsageTotal {
    let zero = || "0".to_owned();
    UsageTotal {
        cost: zero(),
        cost_sync: zero(),
        saved: zero(),
        ..UsageTotal::default()
    }
}
