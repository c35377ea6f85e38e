//! Usage and cost reports, both the older family and the analytics one, added up
//! from the journal. No report knows batches: they tell days, models, keys,
//! workspaces and tiers.

pub(crate) mod analytics;
pub(crate) mod legacy;
mod query;

use std::collections::BTreeMap;
use std::io;

use offpeak_anthropic::shape::ServiceTier;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::caller;
use crate::journal::Billed;
use crate::price;
use crate::refusal::Refusal;
use crate::world::World;

pub(crate) use query::Query;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// What one row adds up.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    tokens: [u64; 5],
    /// Pico-dollars, by kind of token.
    cost: [u128; 5],
    requests: u64,
}

impl Sum {
    fn total_tokens(&self) -> u64 {
        self.tokens.iter().sum()
    }

    fn total_cost(&self) -> u128 {
        self.cost.iter().sum()
    }

    /// The token fields that both families share.
    fn usage(&self) -> Value {
        let [uncached, short, long, read, output] = self.tokens;
        json!({
            "uncached_input_tokens": uncached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": short,
                "ephemeral_1h_input_tokens": long,
            },
            "cache_read_input_tokens": read,
            "output_tokens": output,
            "server_tool_use": { "web_search_requests": 0 },
        })
    }
}

/// The values of the dimensions that rows are grouped by.
type Group = Vec<Option<String>>;
/// Rows by the start of their bucket and their group.
type Rows = BTreeMap<(i64, Group), Sum>;

/// What a report is about.
#[derive(Debug)]
struct Ask {
    /// Seconds since 1970, end exclusive.
    from: i64,
    to: i64,
    /// Length of a bucket; `None` = the whole span is one.
    width: Option<i64>,
    groups: Vec<String>,
    /// Dimension and the values that are let through.
    filters: Vec<(&'static str, Vec<String>)>,
}

impl Ask {
    fn gather(&self, world: &World) -> io::Result<Rows> {
        let mut rows = Rows::new();
        let unbilled = world.behavior().refusals_reported;
        let free = unbilled.then(|| world.unbilled.entries()).transpose()?;
        let paid = world.journal.entries()?.map(|entry| (entry, true));
        let free = free.into_iter().flatten().map(|entry| (entry, false));
        for (entry, billed) in paid.chain(free) {
            let entry = entry?;
            let at = entry.at.unix_timestamp();
            let passes = self.filters.iter().all(|(name, allowed)| {
                let value = dimension(&entry, name);
                let value = value.unwrap_or_else(|| "not_available".to_owned());
                allowed.contains(&value)
            });
            if !(self.from..self.to).contains(&at) || !passes {
                continue;
            }
            let start = self
                .width
                .map_or(self.from, |width| at - at.rem_euclid(width));
            let group = self
                .groups
                .iter()
                .map(|name| dimension(&entry, name))
                .collect();
            let sum = rows.entry((start, group)).or_default();
            sum.requests += 1;
            for (sum, more) in sum.tokens.iter_mut().zip(price::tokens(&entry.usage)) {
                *sum += more;
            }
            if billed {
                let cost = price::cost(&entry.model, &entry.usage, entry.at);
                for (sum, more) in sum.cost.iter_mut().zip(cost) {
                    *sum += more;
                }
            }
        }
        Ok(rows)
    }
}

/// The value of a dimension, if the entry has one.
fn dimension(entry: &Billed, name: &str) -> Option<String> {
    match name {
        "model" => Some(entry.model.clone()),
        "service_tier" => entry.usage.service_tier.as_ref().map(tier),
        "workspace_id" => entry.workspace_id.clone(),
        "api_key_id" => entry.api_key_id.clone(),
        "inference_geo" => entry.usage.inference_geo.clone(),
        "context_window" => {
            let prompt: u64 = price::tokens(&entry.usage)[..4].iter().sum();
            let long = prompt > 200_000;
            Some(if long { "200k-1M" } else { "0-200k" }.to_owned())
        }
        "user_profile_id" => entry.user_profile_id.clone(),
        "speed" => Some("standard".to_owned()),
        "organization_id" => Some(caller::organization_id()),
        // Accounts and actors are not told apart here.
        _ => None,
    }
}

fn tier(tier: &ServiceTier) -> String {
    match serde_json::to_value(tier) {
        Ok(Value::String(text)) => text,
        _ => "standard".to_owned(),
    }
}

fn stamp(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn width(text: &str, field: &str) -> Result<i64, Refusal> {
    match text {
        "1m" => Ok(MINUTE),
        "1h" => Ok(HOUR),
        "1d" => Ok(DAY),
        _ => Err(Refusal::invalid(format!(
            "{field}: Input should be '1m', '1h' or '1d'"
        ))),
    }
}
