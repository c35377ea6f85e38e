use axum::extract::State as Extract;
use offpeak_domain::price::{Item, Line, Prices, Usage};
use offpeak_store::attempts::{self, Booked};
use offpeak_store::job;
use offpeak_wire::{Attempt, AttemptBill, AttemptOutcome, Attempts, BillItem, BillLine, Problem};

use super::get::parse_id;
use super::view;
use crate::State;
use crate::batches;
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// Everything that was tried for a job
///
/// Each attempt with its times, its batch, how it ended and what it cost, item by
/// item.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/attempts", tag = "jobs", operation_id = "list_job_attempts",
    params(("id" = String, Path, description = "`job_…`")),
    responses(
        (status = 200, description = "The attempts, in order", body = Attempts),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Attempts>> {
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    // A staged one is not there.
    job::get(&mut tx, id).await?;
    let all = attempts::of(&mut tx, id).await?;
    tx.commit().await?;
    Ok(axum::Json(Attempts {
        job: id.to_string(),
        created_at: id.minted_at(),
        attempts: all
            .into_iter()
            .map(|one| shown(one, &state.prices))
            .collect(),
    }))
}

fn shown(one: attempts::Attempt, prices: &Prices) -> Attempt {
    Attempt {
        number: one.number,
        outcome: one.outcome.as_deref().and_then(outcome),
        label: one.label,
        is_result: one.decides,
        lane: one.lane.map(view::lane),
        batch: one.batch.map(|batch| batch.to_string()),
        batch_state: one.batch_state.map(batches::state),
        upstream_batch: one.upstream_batch,
        waits_from: one.waits_from,
        grouped_at: one.grouped_at,
        sent_at: one.sent_at,
        created_at: one.created_at,
        answered_at: one.answered_at,
        ended_at: one.ended_at,
        still_at_anthropic: one.late,
        bill: one.booked.map(|booked| bill(booked, prices)),
    }
}

/// The words of two tables.
fn outcome(word: &str) -> Option<AttemptOutcome> {
    Some(match word {
        "completed" => AttemptOutcome::Completed,
        "failed" => AttemptOutcome::Failed,
        "canceled" => AttemptOutcome::Canceled,
        "expired" => AttemptOutcome::Expired,
        "errored" => AttemptOutcome::Errored,
        "refuted" => AttemptOutcome::Refuted,
        "rejected" => AttemptOutcome::Rejected,
        _ => return None,
    })
}

fn bill(booked: Booked, prices: &Prices) -> AttemptBill {
    let lines = match lines(&booked, prices) {
        Some(lines) => lines
            .iter()
            .map(|line| BillLine {
                item: item(line.item),
                units: line.units,
                each: Some(line.each.to_usd_string()),
                cost: Some(line.cost().to_usd_string()),
            })
            .collect(),
        None => booked
            .usage
            .items()
            .map(|(of, units)| BillLine {
                item: item(of),
                units,
                each: None,
                cost: None,
            })
            .collect(),
    };
    let known =
        |amount: offpeak_domain::money::Pico| (!booked.unpriced).then(|| amount.to_usd_string());
    AttemptBill {
        cost: known(booked.cost),
        cost_sync: known(booked.cost_sync),
        lane: view::lane(booked.lane),
        lines,
        model: booked.model,
    }
}

/// The lines of what was booked, where this price list makes the same sum of them:
/// where it ran is not booked, and a price list may have been changed since.
fn lines(booked: &Booked, prices: &Prices) -> Option<Vec<Line>> {
    if booked.unpriced {
        return None;
    }
    [false, true].into_iter().find_map(|geo_us| {
        let usage = Usage {
            geo_us,
            ..booked.usage
        };
        let lines = prices
            .lines(&usage, &booked.model, booked.day, booked.lane)
            .ok()?;
        let sum: offpeak_domain::money::Pico = lines.iter().map(Line::cost).sum();
        (sum == booked.cost).then_some(lines)
    })
}

fn item(item: Item) -> BillItem {
    match item {
        Item::Input => BillItem::Input,
        Item::Output => BillItem::Output,
        Item::CacheWrite5m => BillItem::CacheWrite5m,
        Item::CacheWrite1h => BillItem::CacheWrite1h,
        Item::CacheRead => BillItem::CacheRead,
        Item::WebSearch => BillItem::WebSearch,
    }
}
