//! What was used and billed.

mod csv;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use offpeak_store::usage::{self, By, Row};
use offpeak_wire::{Problem, UsageReport, UsageRow, UsageTotal};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration};
use utoipa::ToSchema;

use crate::State;
use crate::caller::{JobsRead, May};
use crate::error::{Result, fault};
use crate::jobs::view;
use crate::query::Query;
use crate::routes::Routes;

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Days of a report, at most.
const MAX_DAYS: i64 = 366;
/// Rows of a report in JSON, at most.
const MAX_ROWS: i64 = 10_000;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/usage", get(handle))
}

/// In which form the report is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
enum Form {
    Json,
    Csv,
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Ask {
    from: Date,
    to: Date,
    by: Vec<By>,
}

/// Tokens and cost by day, model, job type, user and lane
///
/// Days are in UTC. `cost_sync` is what the same usage would have cost
/// synchronously and without a cache, and `saved_…` say what made the
/// difference. In JSON the first 10,000 rows, and `total` always covers
/// everything; as CSV, by `format=csv` or the header `Accept: text/csv`, every
/// row, without the total.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage", operation_id = "get_usage",
    params(
        ("from" = Option<String>, Query, description = "First day, as in 2026-11-01; 29 days before `to` unless said"),
        ("to" = Option<String>, Query, description = "Last day, included; today unless said"),
        ("by" = Option<String>, Query, description = "One or several of day, model, type, user, lane, separated by commas; day,model,type unless said"),
        ("format" = inline(Option<Form>), Query, description = "json or csv; goes before the header `Accept`"),
    ),
    responses(
        (status = 200, description = "The sums", content((UsageReport = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response> {
    // PostgreSQL knows fewer years than the parser.
    let day = |text: &str| Date::parse(text, DAY).ok().filter(|day| day.year() > 0);
    let from = query.parsed("from", "a day, as in 2026-11-01", day);
    let to = query.parsed("to", "a day, as in 2026-11-01", day);
    let mut by = query.words("by", "day, model, type, user, lane", |word| match word {
        "day" => Some(By::Day),
        "model" => Some(By::Model),
        "type" => Some(By::Type),
        "user" => Some(By::User),
        "lane" => Some(By::Lane),
        _ => None,
    });
    if by.is_empty() {
        by = vec![By::Day, By::Model, By::Type];
    }
    let form = query.parsed("format", "json or csv", |word| match word {
        "json" => Some(Form::Json),
        "csv" => Some(Form::Csv),
        _ => None,
    });

    let mut tx = caller.begin().await?;
    let as_of = tx.now();
    let to = to.unwrap_or(as_of.date());
    let from = from.unwrap_or_else(|| to.saturating_sub(Duration::days(29)));
    if from > to || (to - from).whole_days() >= MAX_DAYS {
        let message = format!("must not be after `to`, and a report is of at most {MAX_DAYS} days");
        query.refuse(fault("from", "invalid_value", message));
    }
    query.end()?;
    if form.unwrap_or_else(|| accepted(&headers)) == Form::Csv {
        tx.commit().await?;
        return csv::stream(caller.into_caller(), Ask { from, to, by }).await;
    }
    let rows = usage::report(&mut tx, from, to, &by, MAX_ROWS).await?;
    let total = usage::report(&mut tx, from, to, &[], 1).await?.pop();
    tx.commit().await?;
    Ok(axum::Json(UsageReport {
        from,
        to,
        rows: rows.into_iter().map(row).collect(),
        total: self::total(total.as_ref()),
        as_of,
    })
    .into_response())
}

/// The first of the two forms that the header names; JSON for whoever names none.
fn accepted(headers: &HeaderMap) -> Form {
    let mut named = headers.get_all(ACCEPT).iter().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',')
            .map(|one| one.split(';').next().unwrap_or_default().trim())
    });
    named
        .find_map(|kind| match kind {
            "application/json" => Some(Form::Json),
            "text/csv" => Some(Form::Csv),
            _ => None,
        })
        .unwrap_or(Form::Json)
}

fn row(row: Row) -> UsageRow {
    let total = sums(&row);
    UsageRow {
        day: row.day,
        model: row.model,
        r#type: row.job_type,
        user: row.user,
        lane: row.lane.map(view::lane),
        total,
    }
}

/// Sums, of nothing as well.
pub(crate) fn total(row: Option<&Row>) -> UsageTotal {
    row.map_or_else(nothing, sums)
}

fn sums(row: &Row) -> UsageTotal {
    UsageTotal {
        attempts: row.attempts,
        unpriced: row.unpriced,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cache_write_tokens: row.cache_write_tokens,
        cache_read_tokens: row.cache_read_tokens,
        web_searches: row.web_searches,
        cost: row.bill.cost.to_usd_string(),
        cost_sync: row.bill.sync.to_usd_string(),
        saved: row.bill.saved().to_usd_string(),
        saved_batch: row.bill.saved_batch.to_usd_string(),
        saved_cache: row.bill.saved_cache.to_usd_string(),
        saved_reuse: row.bill.saved_reuse.to_usd_string(),
    }
}

fn nothing() -> UsageTotal {
    let zero = || "0".to_owned();
    UsageTotal {
        cost: zero(),
        cost_sync: zero(),
        saved: zero(),
        saved_batch: zero(),
        saved_cache: zero(),
        saved_reuse: zero(),
        ..UsageTotal::default()
    }
}
