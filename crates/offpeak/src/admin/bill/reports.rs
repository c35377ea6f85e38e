//! Anthropic's usage and cost reports, page by page, as one side of a comparison.

use anyhow::{Context as _, bail};
use offpeak_anthropic::shape::{CostReportRow, ReportPage, ServiceTier, UsageReportRow};
use offpeak_anthropic::{Client, Error};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::Prices;
use offpeak_domain::statement::{Item, ROUNDING, Said, Side, Tokens};
use time::Date;

use super::name;
use crate::exit::Failure;

/// How the default workspace is named on the command line; reports name it null.
const DEFAULT: &str = "default";

/// Digits of a cent that can be held.
const CENT_DIGITS: u32 = 10;

/// What is compared.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) workspace: Option<String>,
    pub(super) lane: Option<Lane>,
}

impl Filter {
    fn passes(&self, workspace: Option<&str>, lane: Option<Lane>) -> bool {
        let named = workspace.unwrap_or(DEFAULT);
        self.workspace.as_deref().is_none_or(|asked| asked == named)
            // What a report gives no tier is of no lane.
            && self.lane.is_none_or(|asked| lane.is_none_or(|lane| lane == asked))
    }
}

/// What the reports say, and to what they round each amount.
pub(super) async fn read(
    client: &Client,
    prices: &Prices,
    filter: &Filter,
) -> Result<(Side, Pico), Failure> {
    let mut side = Side::new();
    let mut unit = ROUNDING;
    let (from, to) = (filter.from, filter.to);
    let mut at = None;
    loop {
        let page = client.usage_report(from, to, at.as_deref()).await;
        let page = page.map_err(refused)?.value;
        for day in &page.data {
            for row in &day.results {
                usage(&mut side, prices, filter, day.starting_at.date(), row);
            }
        }
        at = next(page, at.as_deref()).map_err(Failure::server)?;
        if at.is_none() {
            break;
        }
    }
    loop {
        let page = client.cost_report(from, to, at.as_deref()).await;
        let page = page.map_err(refused)?.value;
        for day in &page.data {
            for row in &day.results {
                unit = unit.min(finest(&row.amount));
                cost(&mut side, prices, filter, day.starting_at.date(), row)
                    .map_err(Failure::server)?;
            }
        }
        at = next(page, at.as_deref()).map_err(Failure::server)?;
        if at.is_none() {
            return Ok((side, unit));
        }
    }
}

/// Where the next page begins, if there is one.
fn next<T>(page: ReportPage<T>, last: Option<&str>) -> anyhow::Result<Option<String>> {
    let next = page.next_page.filter(|_| page.has_more);
    if next.is_some() && next.as_deref() == last {
        bail!("Anthropic's report names its own page as the next one");
    }
    Ok(next)
}

/// The last digit of an amount in cents. Zeros at the end are not written, so the
/// finest of all amounts is nearest to what a report rounds to.
fn finest(amount: &str) -> Pico {
    let digits = amount.split_once('.').map_or(0, |(_, digits)| digits.len());
    let digits = u32::try_from(digits).unwrap_or(u32::MAX).min(CENT_DIGITS);
    Pico(10_i128.pow(CENT_DIGITS - digits))
}

fn lane(tier: &ServiceTier) -> Lane {
    match tier {
        ServiceTier::Batch => Lane::Batch,
        ServiceTier::Standard | ServiceTier::Priority | ServiceTier::Other(_) => Lane::Direct,
    }
}

fn usage(side: &mut Side, prices: &Prices, filter: &Filter, day: Date, row: &UsageReportRow) {
    let lane = row.service_tier.as_ref().map_or(Lane::Direct, lane);
    if !filter.passes(row.workspace_id.as_deref(), Some(lane)) {
        return;
    }
    let model = row.model.as_deref().unwrap_or_default();
    let writes = row.cache_creation.unwrap_or_default();
    let said = Said {
        tokens: Tokens {
            input: row.uncached_input_tokens,
            cache_write_5m: writes.ephemeral_5m_input_tokens,
            cache_write_1h: writes.ephemeral_1h_input_tokens,
            cache_read: row.cache_read_input_tokens,
            output: row.output_tokens,
        },
        ..Said::default()
    };
    let item = Item::of_model(day, name(prices, model), lane);
    side.entry(item).or_default().add(said);
}

fn cost(
    side: &mut Side,
    prices: &Prices,
    filter: &Filter,
    day: Date,
    row: &CostReportRow,
) -> anyhow::Result<()> {
    let tier = row.service_tier.as_ref().map(lane);
    if !filter.passes(row.workspace_id.as_deref(), tier) {
        return Ok(());
    }
    if let Some(other) = row.currency.as_deref().filter(|name| *name != "USD") {
        bail!("Anthropic's cost report is in {other}, and the ledger in USD");
    }
    let cost = Pico::from_cents_str(&row.amount)
        .with_context(|| format!("the amount {:?} of Anthropic's cost report", row.amount))?;
    let other = row.cost_type.as_deref().filter(|kind| *kind != "tokens");
    let item = if let Some(kind) = other {
        Item::other(day, kind)
    } else {
        let model = row.model.as_deref().unwrap_or_default();
        Item::of_model(day, name(prices, model), tier.unwrap_or(Lane::Direct))
    };
    side.entry(item).or_default().add(Said {
        cost,
        rounded: 1,
        ..Said::default()
    });
    Ok(())
}

/// What to do about a report that is not given.
fn refused(error: Error) -> Failure {
    let remedy = match error.status() {
        Some(401 | 403) => {
            "Anthropic does not let this key read reports: ANTHROPIC_ADMIN_KEY must be an Admin \
             key (sk-ant-admin…) of an organization, not of an individual account"
        }
        Some(404) => "ANTHROPIC_BASE_URL has no usage and cost reports",
        _ => "Anthropic's reports",
    };
    Failure::server(anyhow::Error::new(error).context(remedy))
}
