//! What an Admin key may ask: rate limits, usage and cost reports.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::models;
use crate::rates;
use crate::refusal::Refusal;
use crate::report::{self, analytics, legacy};
use crate::world::World;

use super::blocking;

/// What the analytics endpoints want to be asked with.
const ANALYTICS_BETA: &str = "analytics-usage-cost-2026-08-24";

type Answer = Result<Json<Value>, Refusal>;
type Asked = Query<report::Query>;
type Make = fn(&World, &report::Query) -> Result<Value, Refusal>;

pub(super) async fn rate_limits(State(world): State<Arc<World>>, Query(query): Asked) -> Answer {
    let limits = world.limits;
    let mut entries = rates::list(limits.calls_per_minute, limits.max_queued);
    if let Some(kind) = query.one("group_type") {
        entries.retain(|entry| entry["group"]["type"] == kind);
    }
    if let Some(name) = query.one("model") {
        let known = models::find(name).map(|model| model.id);
        entries.retain(|entry| {
            let names = entry["models"].as_array();
            names.is_some_and(|names| names.iter().any(|id| id.as_str() == known))
        });
        if entries.is_empty() {
            return Err(Refusal::not_found(format!("model: {name}")));
        }
    }
    let limit = query.number("limit", entries.len().max(1), 1_000)?;
    let skip = match query.one("page").map(|page| page.strip_prefix("page_")) {
        None => 0,
        Some(page) => page
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| Refusal::invalid("page: not a cursor of this list"))?,
    };
    let next = Some(skip + limit).filter(|next| *next < entries.len());
    let data: Vec<Value> = entries.into_iter().skip(skip).take(limit).collect();
    Ok(Json(json!({
        "data": data,
        "next_page": next.map(|next| format!("page_{next}")),
    })))
}

/// No workspace has limits of its own.
pub(super) async fn overrides(Path(_workspace): Path<String>) -> Answer {
    Ok(Json(json!({ "data": [], "next_page": null })))
}

pub(super) async fn usage(State(world): State<Arc<World>>, Query(query): Asked) -> Answer {
    make(world, query, legacy::usage).await
}

pub(super) async fn cost(State(world): State<Arc<World>>, Query(query): Asked) -> Answer {
    make(world, query, legacy::cost).await
}

pub(super) async fn analytics_usage(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Query(query): Asked,
) -> Answer {
    beta(&caller)?;
    make(world, query, analytics::usage).await
}

pub(super) async fn analytics_cost(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Query(query): Asked,
) -> Answer {
    beta(&caller)?;
    make(world, query, analytics::cost).await
}

fn beta(caller: &Caller) -> Result<(), Refusal> {
    if caller.betas.iter().any(|beta| beta == ANALYTICS_BETA) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "anthropic-beta: this endpoint needs {ANALYTICS_BETA}"
    )))
}

async fn make(world: Arc<World>, query: report::Query, report: Make) -> Answer {
    world.settle_due().await;
    blocking(move || report(&world, &query)).await.map(Json)
}
