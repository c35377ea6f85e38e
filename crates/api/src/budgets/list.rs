use offpeak_store::budget;
use offpeak_wire::{Budgets, Problem};

use super::{estimate, view};
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;

/// Users or job types that are shown of a budget which is each one's.
const MOST: i64 = 100;

/// Your budgets, what is used of them, and how good estimates were
#[utoipa::path(
    get, path = "/v1/budgets", tag = "budgets", operation_id = "list_budgets",
    responses(
        (status = 200, description = "All of them; none at first", body = Budgets),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(caller: May<JobsRead>, query: Query) -> Result<axum::Json<Budgets>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let now = tx.now();
    let budgets = budget::list(&mut tx).await?;
    let uses = budget::uses(&mut tx, now, MOST).await?;
    let measured = budget::measured(&mut tx).await?.unwrap_or_default();
    tx.commit().await?;
    Ok(axum::Json(Budgets {
        budgets: budgets
            .into_iter()
            .map(|budget| view(budget, &uses, now))
            .collect(),
        estimates: measured.iter().map(estimate).collect(),
        as_of: now,
    }))
}
