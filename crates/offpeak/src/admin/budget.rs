//! `offpeak budget`.

use clap::{Args as Arguments, Subcommand};
use offpeak_domain::audit::Action;
use offpeak_domain::budget::{MAX_LIMIT, Period, Scope, deviation};
use offpeak_domain::id::{BudgetId, Minter};
use offpeak_domain::money::Pico;
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::budget::{self, Budget, Measured, Terms, Use};
use offpeak_store::{TenantTx, Tenants};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{database, store, system, tenant_named};
use crate::config::Config;
use crate::entropy;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, count, money};

/// Users or job types that are shown of a budget which is each one's.
const MOST: i64 = 100;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set a budget, or give one another limit
    Set(Set),
    /// List a tenant's budgets, what is used of them, and how good estimates were
    List {
        /// The tenant's name
        #[arg(long, value_name = "NAME")]
        tenant: String,
    },
    /// Remove a budget, and forget what it has counted
    Remove {
        /// The tenant's name
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// `bgt_…`
        id: BudgetId,
    },
}

#[derive(Debug, Arguments)]
pub struct Set {
    /// The tenant's name
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// How much, in dollars
    #[arg(long, value_name = "DOLLARS")]
    limit: Pico,
    /// For how long, in UTC: day or month
    #[arg(long, value_name = "PERIOD")]
    per: Period,
    /// Refuse what would exceed it; without this, it only tells
    #[arg(long)]
    hard: bool,
    /// Of this user alone
    #[arg(long, value_name = "LABEL", group = "of")]
    user: Option<String>,
    /// Of each user that has none of its own
    #[arg(long, group = "of")]
    each_user: bool,
    /// Of this job type alone
    #[arg(long = "type", value_name = "NAME", group = "of")]
    job_type: Option<String>,
    /// Of each job type that has none of its own
    #[arg(long, group = "of")]
    each_type: bool,
}

impl Set {
    fn terms(self) -> anyhow::Result<Terms> {
        anyhow::ensure!(
            (Pico::ZERO..=MAX_LIMIT).contains(&self.limit),
            "--limit must be from 0 to {MAX_LIMIT} dollars"
        );
        let (scope, name) = match (self.user, self.job_type) {
            (Some(user), _) => (Scope::User, Some(user)),
            (None, Some(job_type)) => (Scope::Type, Some(job_type)),
            (None, None) if self.each_user => (Scope::User, None),
            (None, None) if self.each_type => (Scope::Type, None),
            (None, None) => (Scope::Tenant, None),
        };
        let fits = |name: &str| (1..=256).contains(&name.chars().count()) && !name.contains('\0');
        anyhow::ensure!(
            name.as_deref().is_none_or(fits),
            "a name has 1 to 256 characters, none of them U+0000"
        );
        Ok(Terms {
            scope,
            name,
            period: self.per,
            limit: self.limit,
            hard: self.hard,
        })
    }
}

pub(super) async fn run(command: Command, config: &Config, output: Output) -> Ended {
    match command {
        Command::Set(set) => {
            let mut tx = begin(config, &set.tenant).await?;
            let terms = set.terms().map_err(Failure::usage)?;
            let random = entropy::source().map_err(Failure::server)?;
            let id = Minter::new(tx.now(), random).mint();
            let made = budget::set(&mut tx, id, terms).await.map_err(database)?;
            let Some((budget, new)) = made else {
                return Err(Failure::usage(anyhow::anyhow!(
                    "there are {} budgets already; remove others first",
                    budget::MAX
                )));
            };
            note(&mut tx, Action::BudgetSet, budget.id).await?;
            tx.commit().await.map_err(database)?;
            if output.json {
                output.value(&as_json(&budget, &[]))?;
            } else {
                output.line(&budget.id.to_string())?;
                let done = if new {
                    "counts from now on"
                } else {
                    "was there, and is changed"
                };
                output.talk(&format!("the budget of {} {done}", whose(&budget)));
            }
        }
        Command::List { tenant } => {
            let mut tx = begin(config, &tenant).await?;
            let now = tx.now();
            let budgets = budget::list(&mut tx).await.map_err(database)?;
            let uses = budget::uses(&mut tx, now, MOST).await.map_err(database)?;
            let measured = budget::measured(&mut tx).await.map_err(database)?;
            show(&budgets, &uses, &measured.unwrap_or_default(), now, output)?;
        }
        Command::Remove { tenant, id } => {
            let mut tx = begin(config, &tenant).await?;
            if !budget::remove(&mut tx, id).await.map_err(database)? {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{tenant} has no budget {id}"
                )));
            }
            note(&mut tx, Action::BudgetRemove, id).await?;
            tx.commit().await.map_err(database)?;
            if output.json {
                output.value(&json!({ "id": id, "removed": true }))?;
            } else {
                output.line(&format!("{id} limits nothing any more"))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// In the tenant's audit log.
async fn note(tx: &mut TenantTx, action: Action, id: BudgetId) -> Result<(), Failure> {
    let act = Act {
        action,
        target: &id.to_string(),
        detail: "",
    };
    audit::note(tx, &Actor::command(), &act)
        .await
        .map_err(database)
}

/// A transaction of the tenant of that name.
async fn begin(config: &Config, tenant: &str) -> Result<TenantTx, Failure> {
    let tenant = tenant_named(&system(config)?, tenant).await?;
    let options = store(config).map_err(Failure::usage)?;
    let tenants = Tenants::new(&options);
    tenants.begin(tenant.id).await.map_err(database)
}

fn show(
    budgets: &[Budget],
    uses: &[Use],
    measured: &[Measured],
    now: OffsetDateTime,
    output: Output,
) -> std::io::Result<()> {
    if output.json {
        let estimates: Vec<Value> = measured.iter().map(error_json).collect();
        let budgets: Vec<Value> = budgets.iter().map(|one| as_json(one, uses)).collect();
        return output.value(&json!({ "budgets": budgets, "estimates": estimates }));
    }
    if budgets.is_empty() {
        output.talk("no budgets");
        return Ok(());
    }
    let exact = |amount: Pico| money(&amount.to_usd_string());
    let mut rows = Vec::new();
    for budget in budgets {
        let terms = &budget.terms;
        let nothing = Use {
            budget: budget.id,
            name: None,
            since: terms.period.start(now.date()),
            reserved: Pico::ZERO,
            spent: Pico::ZERO,
            warned_at: None,
        };
        let of = || uses.iter().filter(|one| one.budget == budget.id);
        let of: Vec<&Use> = if of().next().is_some() {
            of().collect()
        } else {
            vec![&nothing]
        };
        for used in of {
            let name = used.name.as_deref().or(terms.name.as_deref());
            rows.push(vec![
                budget.id.to_string(),
                terms.scope.to_string(),
                name.unwrap_or(if terms.scope == Scope::Tenant {
                    ""
                } else {
                    "each"
                })
                .to_owned(),
                terms.period.to_string(),
                if terms.hard { "hard" } else { "soft" }.to_owned(),
                exact(terms.limit),
                exact(used.reserved),
                exact(used.spent),
                exact((terms.limit - used.reserved - used.spent).max(Pico::ZERO)),
            ]);
        }
    }
    output.table(
        &[
            "BUDGET",
            "OF",
            "NAME",
            "PER",
            "KIND",
            ">LIMIT",
            ">RESERVED",
            ">SPENT",
            ">LEFT",
        ],
        &rows,
    )?;
    if measured.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|one| {
            vec![
                one.job_type.clone().unwrap_or_default(),
                one.model.clone(),
                count(one.jobs),
                exact(one.estimated),
                exact(one.settled),
                percent(one).map_or_else(String::new, |off| format!("{off} %")),
            ]
        })
        .collect();
    output.table(
        &["TYPE", "MODEL", ">JOBS", ">ESTIMATED", ">SETTLED", ">ERROR"],
        &rows,
    )
}

fn whose(budget: &Budget) -> String {
    match (budget.terms.scope, &budget.terms.name) {
        (Scope::Tenant, _) => "the whole tenant".to_owned(),
        (Scope::User, Some(_)) => "that user".to_owned(),
        (Scope::User, None) => "each user".to_owned(),
        (Scope::Type, Some(_)) => "that job type".to_owned(),
        (Scope::Type, None) => "each job type".to_owned(),
    }
}

/// The error of estimates in percent, such as `+2.4`.
fn percent(one: &Measured) -> Option<String> {
    let tenths = deviation(one.estimated, one.settled)?;
    let sign = if tenths < 0 { "-" } else { "+" };
    let tenths = tenths.unsigned_abs();
    Some(format!("{sign}{}.{}", tenths / 10, tenths % 10))
}

fn as_json(budget: &Budget, uses: &[Use]) -> Value {
    let terms = &budget.terms;
    let of = uses.iter().filter(|one| one.budget == budget.id);
    let uses: Vec<Value> = of
        .map(|one| {
            json!({
                "name": one.name,
                "since": one.since.to_string(),
                "reserved": one.reserved,
                "spent": one.spent,
                "left": (terms.limit - one.reserved - one.spent).max(Pico::ZERO),
            })
        })
        .collect();
    json!({
        "id": budget.id,
        "scope": terms.scope,
        "name": terms.name,
        "period": terms.period,
        "limit": terms.limit,
        "hard": terms.hard,
        "uses": uses,
        "created_at": budget.created_at.format(&Rfc3339).unwrap_or_default(),
    })
}

fn error_json(one: &Measured) -> Value {
    json!({
        "type": one.job_type,
        "model": one.model,
        "jobs": one.jobs,
        "estimated": one.estimated,
        "settled": one.settled,
        "deviation_percent": percent(one),
    })
}
