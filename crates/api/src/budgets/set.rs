use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use offpeak_domain::audit::Action;
use offpeak_domain::budget::{MAX_LIMIT, Period, Scope};
use offpeak_domain::id::{BudgetId, Minter};
use offpeak_domain::money::Pico;
use offpeak_store::budget::{self, Terms};
use offpeak_wire::{Budget, BudgetPeriod, BudgetRequest, BudgetScope, FieldError, Problem};

use super::view;
use crate::body::{Field, Json, parse, reads_as};
use crate::caller::{May, SettingsManage};
use crate::error::{Error, Result, fault};
use crate::query::Query;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

const FIELDS: &[Field] = &[
    Field {
        name: "scope",
        expected: "\"tenant\", \"user\" or \"type\"",
        required: true,
        fits: reads_as::<BudgetScope>,
    },
    Field {
        name: "name",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "period",
        expected: "\"day\" or \"month\"",
        required: true,
        fits: reads_as::<BudgetPeriod>,
    },
    Field {
        name: "limit",
        expected: "a string, an amount of dollars such as \"12.50\"",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "hard",
        expected: "true or false",
        required: true,
        fits: reads_as::<bool>,
    },
];

/// Set a budget
///
/// There is one for each scope, name and period: set again it has another limit, and
/// keeps what it has counted. It counts what is submitted from when it is first set.
#[utoipa::path(
    put, path = "/v1/budgets", tag = "budgets", operation_id = "set_budget",
    request_body = BudgetRequest,
    responses(
        (status = 201, description = "It is new", body = Budget),
        (status = 200, description = "It was there, and has this limit from now on", body = Budget),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<SettingsManage>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: BudgetRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let terms = read(request).map_err(Error::input)?;
    let mut tx = caller.begin().await?;
    let now = tx.now();
    let id: BudgetId = Minter::new(now, rng()).mint();
    let Some((budget, new)) = budget::set(&mut tx, id, terms).await? else {
        let message = format!("would be one more than {}; remove others", budget::MAX);
        return Err(Error::input(vec![fault("", "too_many", message)]));
    };
    let uses = budget::uses(&mut tx, now, 1).await?;
    let detail = if budget.terms.hard { "hard" } else { "soft" };
    let detail = format!("{} USD, {detail}", budget.terms.limit);
    caller
        .note(&mut tx, Action::BudgetSet, &budget.id.to_string(), &detail)
        .await?;
    tx.commit().await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let shown: Budget = view(budget, &uses, now);
    Ok((status, axum::Json(shown)).into_response())
}

fn read(request: BudgetRequest) -> std::result::Result<Terms, Vec<FieldError>> {
    let mut faults = Vec::new();
    let scope = match request.scope {
        BudgetScope::Tenant => Scope::Tenant,
        BudgetScope::User => Scope::User,
        BudgetScope::Type => Scope::Type,
    };
    if let Some(name) = &request.name {
        if scope == Scope::Tenant {
            let message = "has no place in a budget of the whole tenant; leave it out";
            faults.push(fault("/name", "not_allowed", message));
        } else {
            faults.extend(text::label("/name", name, MAX_LABEL).err());
        }
    }
    let limit = match request.limit.parse::<Pico>() {
        Ok(limit) if (Pico::ZERO..=MAX_LIMIT).contains(&limit) => limit,
        Ok(_) => {
            let message = format!("must be from 0 to {MAX_LIMIT} dollars");
            faults.push(fault("/limit", "invalid_value", message));
            Pico::ZERO
        }
        Err(error) => {
            let message = format!("is no amount of dollars: {error}");
            faults.push(fault("/limit", "invalid_value", message));
            Pico::ZERO
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Terms {
        scope,
        name: request.name,
        period: match request.period {
            BudgetPeriod::Day => Period::Day,
            BudgetPeriod::Month => Period::Month,
        },
        limit,
        hard: request.hard,
    })
}
