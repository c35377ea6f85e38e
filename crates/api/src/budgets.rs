//! Budgets: what may be spent in all, by user and by job type.

use axum::routing::{delete, get};
use offpeak_domain::budget::{Period, Scope, deviation};
use offpeak_domain::money::Pico;
use offpeak_store::budget::{self, Measured, Refusal, Use};
use offpeak_wire::{Budget, BudgetPeriod, BudgetScope, BudgetUse, EstimateError, OverBudget};
use time::{Date, OffsetDateTime};

use crate::State;
use crate::error::{Code, Error};
use crate::routes::Routes;

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod set;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/budgets", get(list::handle).put(set::handle))
        .at("/budgets/{id}", delete(remove::handle))
}

fn scope(scope: Scope) -> BudgetScope {
    match scope {
        Scope::Tenant => BudgetScope::Tenant,
        Scope::User => BudgetScope::User,
        Scope::Type => BudgetScope::Type,
    }
}

fn period(period: Period) -> BudgetPeriod {
    match period {
        Period::Day => BudgetPeriod::Day,
        Period::Month => BudgetPeriod::Month,
    }
}

fn midnight(day: Date) -> OffsetDateTime {
    day.midnight().assume_utc()
}

/// A budget as clients see it, with what is used of it.
pub(crate) fn view(budget: budget::Budget, uses: &[Use], now: OffsetDateTime) -> Budget {
    let terms = budget.terms;
    let of = uses.iter().filter(|one| one.budget == budget.id);
    Budget {
        id: budget.id.to_string(),
        scope: scope(terms.scope),
        name: terms.name,
        period: period(terms.period),
        limit: terms.limit.to_usd_string(),
        hard: terms.hard,
        renews_at: midnight(terms.period.renews(terms.period.start(now.date()))),
        uses: of
            .map(|one| BudgetUse {
                name: one.name.clone(),
                reserved: one.reserved.to_usd_string(),
                spent: one.spent.to_usd_string(),
                left: left(terms.limit, one).to_usd_string(),
                warned_at: one.warned_at,
            })
            .collect(),
        created_at: budget.created_at,
    }
}

fn left(limit: Pico, used: &Use) -> Pico {
    (limit - used.reserved - used.spent).max(Pico::ZERO)
}

/// How good estimates were, as clients see it.
fn estimate(measured: &Measured) -> EstimateError {
    let permille = measured.correction().permille();
    EstimateError {
        r#type: measured.job_type.clone(),
        model: measured.model.clone(),
        jobs: measured.jobs,
        estimated: measured.estimated.to_usd_string(),
        settled: measured.settled.to_usd_string(),
        deviation_percent: deviation(measured.estimated, measured.settled).map(percent),
        correction: format!("{}.{:03}", permille / 1_000, permille % 1_000),
    }
}

/// Tenths of a percent as percent: `-5` is `-0.5`.
fn percent(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    let tenths = tenths.unsigned_abs();
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

/// What is said of a job that a hard budget has no room for.
pub(crate) fn refused(refusal: &Refusal) -> Error {
    let renews_at = midnight(refusal.renews);
    let budget = OverBudget {
        id: refusal.budget.to_string(),
        scope: scope(refusal.scope),
        name: refusal.name.clone(),
        period: period(refusal.period),
        limit: refusal.limit.to_usd_string(),
        left: refusal.left.to_usd_string(),
        estimate: refusal.wanted.to_usd_string(),
        renews_at,
    };
    // What does not fit into the whole of it never will.
    let fits = refusal.wanted <= refusal.limit;
    let until = (renews_at - refusal.at).whole_seconds().max(0) + 1;
    let retry_after = fits.then(|| until.unsigned_abs());
    Error::new(Code::BudgetExceeded, refusal.to_string()).of_budget(budget, retry_after)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percents_have_one_digit() {
        assert_eq!(
            [24, -5, 0, -1_234].map(percent),
            ["2.4", "-0.5", "0.0", "-123.4"]
        );
    }
}
