//! `/v1/organizations/analytics/usage` and `…/cost`: one row for each combination
//! of the dimensions asked for, with or without buckets of time.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use crate::price;
use crate::refusal::Refusal;
use crate::world::World;

use super::{Ask, DAY, Group, HOUR, MINUTE, Query, Sum, stamp, width};

const GROUPS: [&str; 11] = [
    "actor",
    "actor_type",
    "api_key_id",
    "context_window",
    "inference_geo",
    "model",
    "organization_id",
    "service_tier",
    "speed",
    "user_profile_id",
    "workspace_id",
];
/// Dimensions of costs that do not count towards the most that may be asked for.
const FAN_OUT: [&str; 2] = ["cost_type", "token_type"];
const MOST_GROUPS: usize = 5;
const FILTERS: [(&str, &str); 8] = [
    ("models", "model"),
    ("service_tiers", "service_tier"),
    ("api_key_ids", "api_key_id"),
    ("workspace_ids", "workspace_id"),
    ("inference_geos", "inference_geo"),
    ("context_windows", "context_window"),
    ("speeds", "speed"),
    ("user_profile_ids", "user_profile_id"),
];

/// 2026-01-01, before which there is nothing.
const EPOCH: i64 = 1_767_225_600;

/// Writes a row, which may become several.
type Write<'a> = dyn Fn(&Row, &Map<String, Value>) -> Vec<Value> + 'a;

struct Row {
    start: i64,
    group: Group,
    sum: Sum,
}

pub(crate) fn usage(world: &World, query: &Query) -> Result<Value, Refusal> {
    let ask = ask(world, query, query.groups(&GROUPS)?)?;
    let rank = |sum: &Sum| -> u128 {
        match query.one("order_by") {
            Some("output_tokens") => sum.tokens[4].into(),
            Some("uncached_input_tokens") => sum.tokens[0].into(),
            Some("requests") => sum.requests.into(),
            _ => sum.total_tokens().into(),
        }
    };
    answer(world, query, &ask, &rank, &|row, group| {
        let mut usage = row.sum.usage();
        usage["requests"] = row.sum.requests.into();
        usage["total_tokens"] = row.sum.total_tokens().into();
        vec![json!({
            "starting_at": stamp(row.start),
            "ending_at": stamp(ask.end_of(row.start)),
            "group": group,
            "usage": usage,
        })]
    })
}

pub(crate) fn cost(world: &World, query: &Query) -> Result<Value, Refusal> {
    let allowed: Vec<&str> = GROUPS.into_iter().chain(FAN_OUT).collect();
    let mut groups = query.groups(&allowed)?;
    let by_type = groups.iter().any(|group| group == "cost_type");
    let by_token = groups.iter().any(|group| group == "token_type");
    groups.retain(|group| !FAN_OUT.contains(&group.as_str()));
    let ask = ask(world, query, groups)?;
    answer(world, query, &ask, &Sum::total_cost, &|row, group| {
        let line = |group: &Map<String, Value>, cost: u128| {
            json!({
                "starting_at": stamp(row.start),
                "ending_at": stamp(ask.end_of(row.start)),
                "group": group,
                "cost": {
                    "amount": price::cents(cost),
                    "list_amount": price::cents(cost),
                    "currency": "USD",
                    "requests": row.sum.requests,
                },
            })
        };
        let mut group = group.clone();
        if by_type {
            group.insert("cost_type".to_owned(), "tokens".into());
        }
        if !by_token {
            return vec![line(&group, row.sum.total_cost())];
        }
        let kinds = price::KINDS.into_iter().zip(row.sum.cost);
        kinds
            .filter(|(_, cost)| *cost > 0)
            .map(|(kind, cost)| {
                group.insert("token_type".to_owned(), kind.into());
                line(&group, cost)
            })
            .collect()
    })
}

impl Ask {
    fn end_of(&self, start: i64) -> i64 {
        self.width.map_or(self.to, |width| start + width)
    }
}

fn ask(world: &World, query: &Query, groups: Vec<String>) -> Result<Ask, Refusal> {
    if groups.len() > MOST_GROUPS {
        return Err(Refusal::invalid(format!(
            "group_by: List should have at most {MOST_GROUPS} items"
        )));
    }
    let now = world.now().unix_timestamp();
    let start = query.start()?;
    if start < EPOCH || start < now - 365 * DAY {
        return Err(Refusal::invalid(
            "starting_at: must be within the last 365 days and not before 2026-01-01",
        ));
    }
    let bucket = query.one("time_bucket_width");
    let width = bucket
        .map(|text| width(text, "time_bucket_width"))
        .transpose()?;
    let end = match query.time("ending_at")? {
        Some(end) => end,
        None if width.is_some() => {
            return Err(Refusal::invalid(
                "ending_at: required with time_bucket_width",
            ));
        }
        // What is newer than the last full hour would be cut off below.
        None => (now + HOUR).min(start + 31 * DAY),
    };
    let longest = if width == Some(MINUTE) { DAY } else { 31 * DAY };
    if end <= start || end - start > longest {
        return Err(Refusal::invalid(
            "ending_at: the range is empty or too long",
        ));
    }
    let grain = width.unwrap_or(HOUR);
    Ok(Ask {
        from: start - start.rem_euclid(grain),
        to: if width.is_some() {
            end + (grain - end.rem_euclid(grain)) % grain
        } else {
            end - end.rem_euclid(grain)
        },
        width,
        groups,
        filters: query.filters(&FILTERS),
    })
}

fn answer(
    world: &World,
    query: &Query,
    ask: &Ask,
    rank: &dyn Fn(&Sum) -> u128,
    write: &Write<'_>,
) -> Result<Value, Refusal> {
    let rows = ask.gather(world)?;
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|((start, group), sum)| Row { start, group, sum })
        .collect();
    let by_time = query.one("order_by") == Some("time") && ask.width.is_some();
    rows.sort_by_key(|row| {
        let time = if by_time { row.start } else { 0 };
        (Reverse(time), Reverse(rank(&row.sum)))
    });
    if query.one("order") == Some("asc") {
        rows.reverse();
    }
    let limit = query.number("limit", 20, 1_000)?;
    let skip: usize = match query.one("page") {
        None => 0,
        Some(page) => page
            .strip_prefix("page_")
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| Refusal::invalid("page: not a cursor of this report"))?,
    };
    let next = Some(skip.saturating_add(limit)).filter(|next| *next < rows.len());
    let data: Vec<Value> = rows
        .iter()
        .skip(skip)
        .take(limit)
        .flat_map(|row| {
            let values = row.group.iter().map(|value| json!(value));
            let group = ask.groups.iter().cloned().zip(values).collect();
            write(row, &group)
        })
        .collect();
    Ok(json!({
        "data": data,
        "has_more": next.is_some(),
        "next_page": next.map(|next| format!("page_{next}")),
        "data_refreshed_at": stamp(world.now().unix_timestamp()),
    }))
}
