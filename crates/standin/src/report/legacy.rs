//! `/v1/organizations/usage_report/messages` and `/v1/organizations/cost_report`:
//! buckets of time with rows in them, empty buckets included.

use serde_json::{Map, Value, json};

use crate::price;
use crate::refusal::Refusal;
use crate::world::World;

use super::{Ask, DAY, Group, HOUR, Query, Rows, Sum, stamp, width};

const GROUPS: [&str; 9] = [
    "account_id",
    "api_key_id",
    "context_window",
    "inference_geo",
    "model",
    "service_account_id",
    "service_tier",
    "speed",
    "workspace_id",
];
const FILTERS: [(&str, &str); 6] = [
    ("models", "model"),
    ("service_tiers", "service_tier"),
    ("api_key_ids", "api_key_id"),
    ("workspace_ids", "workspace_id"),
    ("inference_geos", "inference_geo"),
    ("context_window", "context_window"),
];
/// What a cost is described by.
const DESCRIPTION: [&str; 4] = ["model", "service_tier", "context_window", "inference_geo"];

pub(crate) fn usage(world: &World, query: &Query) -> Result<Value, Refusal> {
    let width = width(query.one("bucket_width").unwrap_or("1d"), "bucket_width")?;
    let (default, max) = match width {
        DAY => (7, 31),
        HOUR => (24, 168),
        _ => (60, 1_440),
    };
    let span = Span::read(world, query, width, default, max)?;
    let ask = Ask {
        from: span.from,
        to: span.to,
        width: Some(width),
        groups: query.groups(&GROUPS)?,
        filters: query.filters(&FILTERS),
    };
    let rows = ask.gather(world)?;
    Ok(span.page(&rows, |group, sum, out| {
        let mut row = sum.usage();
        for name in GROUPS {
            let at = ask.groups.iter().position(|asked| asked == name);
            row[name] = json!(at.and_then(|at| group[at].clone()));
        }
        out.push(row);
    }))
}

pub(crate) fn cost(world: &World, query: &Query) -> Result<Value, Refusal> {
    let asked = query.groups(&["workspace_id", "description"])?;
    let by = |name: &str| asked.iter().any(|group| group == name);
    let (by_workspace, by_description) = (by("workspace_id"), by("description"));
    let mut groups = Vec::new();
    if by_workspace {
        groups.push("workspace_id".to_owned());
    }
    if by_description {
        groups.extend(DESCRIPTION.map(str::to_owned));
    }
    let span = Span::read(world, query, DAY, 7, 31)?;
    let ask = Ask {
        from: span.from,
        to: span.to,
        width: Some(DAY),
        groups,
        filters: Vec::new(),
    };
    let rows = ask.gather(world)?;
    Ok(span.page(&rows, |group, sum, out| {
        let (workspace, rest) = group.split_at(usize::from(by_workspace));
        let mut row = cost_row(workspace.first().and_then(Option::as_deref));
        if !by_description {
            row.insert("amount".to_owned(), price::cents(sum.total_cost()).into());
            return out.push(row.into());
        }
        for (kind, cost) in price::KINDS.into_iter().zip(sum.cost) {
            if cost == 0 {
                continue;
            }
            let mut row = row.clone();
            row.insert("amount".to_owned(), price::cents(cost).into());
            row.insert("cost_type".to_owned(), "tokens".into());
            row.insert("token_type".to_owned(), kind.into());
            for (name, value) in DESCRIPTION.into_iter().zip(rest) {
                row.insert(name.to_owned(), json!(value));
            }
            let model = rest.first().and_then(Option::as_deref).unwrap_or("");
            row.insert("description".to_owned(), format!("{model} {kind}").into());
            out.push(row.into());
        }
    }))
}

fn cost_row(workspace: Option<&str>) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("currency".to_owned(), "USD".into());
    for name in [
        "amount",
        "cost_type",
        "description",
        "model",
        "service_tier",
        "token_type",
        "context_window",
        "inference_geo",
    ] {
        row.insert(name.to_owned(), Value::Null);
    }
    row.insert("workspace_id".to_owned(), json!(workspace));
    row
}

/// The buckets of one page.
struct Span {
    from: i64,
    to: i64,
    width: i64,
    /// Where the next page begins.
    next: Option<i64>,
}

impl Span {
    fn read(
        world: &World,
        query: &Query,
        width: i64,
        default: usize,
        max: usize,
    ) -> Result<Self, Refusal> {
        let start = query.start()?;
        let now = world.now().unix_timestamp();
        let end = query.time("ending_at")?.unwrap_or(now.max(start) + 1);
        if end <= start {
            return Err(Refusal::invalid("ending_at: must be after starting_at"));
        }
        let from = match query.one("page") {
            None => start - start.rem_euclid(width),
            Some(page) => page
                .strip_prefix("page_")
                .and_then(|at| at.parse().ok())
                .ok_or_else(|| Refusal::invalid("page: not a cursor of this report"))?,
        };
        let end = end + (width - end.rem_euclid(width)) % width;
        let limit = i64::try_from(query.number("limit", default, max)?).unwrap_or(1);
        let to = end.min(from.saturating_add(limit * width));
        Ok(Self {
            from,
            to,
            width,
            next: (to < end).then_some(to),
        })
    }

    fn page(&self, rows: &Rows, mut write: impl FnMut(&Group, &Sum, &mut Vec<Value>)) -> Value {
        let mut data = Vec::new();
        let mut start = self.from;
        while start < self.to {
            let mut results = Vec::new();
            let bucket = (start, Vec::new())..(start + self.width, Vec::new());
            for ((_, group), sum) in rows.range(bucket) {
                write(group, sum, &mut results);
            }
            data.push(json!({
                "starting_at": stamp(start),
                "ending_at": stamp(start + self.width),
                "results": results,
            }));
            start += self.width;
        }
        json!({
            "data": data,
            "has_more": self.next.is_some(),
            "next_page": self.next.map(|next| format!("page_{next}")),
        })
    }
}
