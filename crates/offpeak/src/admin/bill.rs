//! `offpeak bill`: the ledger beside Anthropic's own reports.

mod reports;

use anyhow::Context as _;
use clap::Args as Arguments;
use offpeak_anthropic::{Client, Config as ClientConfig};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::Prices;
use offpeak_domain::statement::{self, Charge, Compared, Item, Said, Side, Tokens};
use offpeak_store::{System, booked};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration};

use self::reports::Filter;
use super::{database, system};
use crate::client::Target;
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, count, money};

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Days that are compared at once, at most.
const MAX_DAYS: i64 = 366;
/// Days that are compared unless said.
const USUAL: i64 = 7;
/// What web searches are called in reports.
const WEB_SEARCH: &str = "web_search";
/// Any such key is an Admin key for the stand-in.
const STANDIN_KEY: &str = "sk-ant-admin-standin";

#[derive(Debug, Arguments)]
#[command(
    after_help = "The exit code is 1 when they differ by more than rounding. The reports are of the \
                  whole organization: name the workspace that only offpeak uses."
)]
pub struct Args {
    /// First day (UTC), as 2026-02-03; six days before the last one unless said
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Date>,
    /// Last day, included; yesterday unless said, as the reports of today are not complete
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Date>,
    /// Only what Anthropic reports of this workspace: `wrkspc_…`, or `default`
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// Only message batches (`batch`), or only calls at the normal price (`direct`)
    #[arg(long)]
    lane: Option<Lane>,
    /// Show what agrees, too
    #[arg(long)]
    all: bool,
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, DAY).map_err(|_| format!("{text:?} is no day: write it like 2026-02-03"))
}

pub(super) async fn run(args: Args, config: &Config, output: Output) -> Ended {
    let client = client(config).map_err(Failure::usage)?;
    let prices = config.prices.list().map_err(Failure::usage)?;
    let system = system(config)?;
    let yesterday = system.now().await.map_err(database)?.date() - Duration::DAY;
    let to = args.to.unwrap_or(yesterday);
    let from = args.from.unwrap_or(to - Duration::days(USUAL - 1));
    if from > to || (to - from).whole_days() >= MAX_DAYS {
        return Err(Failure::usage(anyhow::anyhow!(
            "--from must not be after --to, and at most {MAX_DAYS} days are compared at once"
        )));
    }
    let filter = Filter {
        from,
        to,
        workspace: args.workspace,
        lane: args.lane,
    };
    let ours = ledger(&system, &prices, &filter).await?;
    let (theirs, unit) = reports::read(&client, &prices, &filter).await?;
    let compared = statement::compare(&ours, &theirs, unit);
    let differ = compared.iter().filter(|one| !one.verdict.agrees()).count();
    if output.json {
        output.value(&json!({
            "from": from.to_string(),
            "to": to.to_string(),
            "agrees": differ == 0,
            "items": compared.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
    } else {
        show(&compared, args.all, &filter, output)?;
    }
    Ok(if differ == 0 {
        Exit::Ok
    } else {
        Exit::SomeFailed
    })
}

/// A client that may read the reports, or how to come to one.
fn client(config: &Config) -> anyhow::Result<Client> {
    let dev = match config.database.url {
        Some(_) => None,
        None => Target::running(&config.dev.data),
    };
    let (url, key) = match (
        dev.and_then(|dev| dev.standin_url),
        &config.anthropic.admin_key,
    ) {
        // That of the `offpeak dev` that runs here, as is its database.
        (Some(standin), _) => (standin, SecretString::from(STANDIN_KEY.to_owned())),
        (None, Some(key)) => (config.base_url()?.to_owned(), key.clone()),
        (None, None) => anyhow::bail!(
            "no Admin key: set ANTHROPIC_ADMIN_KEY (admin_key in [anthropic]) to one that begins \
             with sk-ant-admin, which an administrator of your organization makes in Anthropic's \
             Console under Admin keys; the key that jobs are sent with cannot read reports"
        ),
    };
    Client::new(ClientConfig::new(url, key)).context("ANTHROPIC_BASE_URL or ANTHROPIC_ADMIN_KEY")
}

/// The name under which a model is compared: its first, where the list knows it.
fn name<'a>(prices: &'a Prices, model: &'a str) -> &'a str {
    prices.model(model).map_or(model, |known| known.id.as_str())
}

/// What the ledger says, a day at a time.
async fn ledger(system: &System, prices: &Prices, filter: &Filter) -> Result<Side, Failure> {
    let mut side = Side::new();
    let mut day = filter.from;
    loop {
        for row in booked::on(system, day).await.map_err(database)? {
            if filter.lane.is_some_and(|lane| lane != row.lane) {
                continue;
            }
            // Reports keep them apart, and no lane or model changes their price.
            let searches = if row.unpriced == 0 {
                prices.web_search() * row.web_searches
            } else {
                Pico::ZERO
            };
            let tokens = Said {
                tokens: Tokens {
                    input: row.input_tokens,
                    cache_write_5m: row.cache_write_5m,
                    cache_write_1h: row.cache_write_1h,
                    cache_read: row.cache_read_tokens,
                    output: row.output_tokens,
                },
                cost: row.cost - searches,
                rounded: 0,
                unpriced: row.unpriced,
            };
            let item = Item::of_model(day, name(prices, &row.model), row.lane);
            side.entry(item).or_default().add(tokens);
            if searches != Pico::ZERO {
                let item = Item::other(day, WEB_SEARCH);
                side.entry(item).or_default().cost += searches;
            }
        }
        match day.next_day().filter(|next| *next <= filter.to) {
            Some(next) => day = next,
            None => return Ok(side),
        }
    }
}

fn show(compared: &[Compared], all: bool, filter: &Filter, output: Output) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = compared
        .iter()
        .filter(|one| all || !one.verdict.agrees())
        .map(|one| {
            let (Charge::Model(what) | Charge::Other(what)) = &one.item.charge;
            vec![
                one.item.day.to_string(),
                what.clone(),
                one.item.lane.unwrap_or_default().to_owned(),
                money(&one.ledger.cost.to_usd_string()),
                money(&one.report.cost.to_usd_string()),
                money(&(one.report.cost - one.ledger.cost).to_usd_string()),
                tokens(one),
                one.verdict.as_str().to_owned(),
            ]
        })
        .collect();
    let agree = compared.iter().filter(|one| one.verdict.agrees()).count();
    let ours: Pico = compared.iter().map(|one| one.ledger.cost).sum();
    let theirs: Pico = compared.iter().map(|one| one.report.cost).sum();
    if !rows.is_empty() {
        output.table(
            &[
                "DAY",
                "WHAT",
                "LANE",
                ">LEDGER",
                ">REPORT",
                ">DIFFERENCE",
                "TOKENS THAT DIFFER",
                "VERDICT",
            ],
            &rows,
        )?;
        output.line("")?;
    }
    output.line(&format!(
        "{} to {}: ledger {}, report {}; {} of {} agree",
        filter.from,
        filter.to,
        money(&ours.to_usd_string()),
        money(&theirs.to_usd_string()),
        count(agree as u64),
        count(compared.len() as u64),
    ))
}

/// By how many tokens the report has more or less than the ledger.
fn tokens(one: &Compared) -> String {
    let pairs = one.ledger.tokens.kinds().into_iter();
    let differ = pairs
        .zip(one.report.tokens.kinds())
        .filter_map(|(ours, theirs)| {
            let (name, ours, theirs) = (ours.0, ours.1, theirs.1);
            match theirs.cmp(&ours) {
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(format!("{name} +{}", count(theirs - ours))),
                std::cmp::Ordering::Less => Some(format!("{name} -{}", count(ours - theirs))),
            }
        });
    differ.collect::<Vec<_>>().join(", ")
}

fn as_json(one: &Compared) -> Value {
    let (kind, what) = match &one.item.charge {
        Charge::Model(name) => ("model", name),
        Charge::Other(name) => ("other", name),
    };
    let side = |said: &Said| {
        json!({
            "cost": said.cost,
            "tokens": {
                "input": said.tokens.input,
                "cache_write_5m": said.tokens.cache_write_5m,
                "cache_write_1h": said.tokens.cache_write_1h,
                "cache_read": said.tokens.cache_read,
                "output": said.tokens.output,
            },
        })
    };
    let mut ledger = side(&one.ledger);
    ledger["unpriced"] = one.ledger.unpriced.into();
    json!({
        "day": one.item.day.to_string(),
        "kind": kind,
        "what": what,
        "lane": one.item.lane,
        "ledger": ledger,
        "report": side(&one.report),
        "difference": one.report.cost - one.ledger.cost,
        "verdict": one.verdict.as_str(),
        "agrees": one.verdict.agrees(),
    })
}
