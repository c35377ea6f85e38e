use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_domain::id::BudgetId;
use offpeak_store::budget;
use offpeak_wire::Problem;

use crate::caller::{May, SettingsManage};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Remove a budget
///
/// What was counted under it is forgotten: one that is set again counts from then on.
#[utoipa::path(
    delete, path = "/v1/budgets/{id}", tag = "budgets", operation_id = "remove_budget",
    params(("id" = String, Path, description = "`bgt_…`")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<SettingsManage>,
    Segment(id): Segment,
    query: Query,
) -> Result<StatusCode> {
    query.end()?;
    let none = || Error::not_found("budget");
    let id: BudgetId = id.parse().map_err(|_| none())?;
    let mut tx = caller.begin().await?;
    if !budget::remove(&mut tx, id).await? {
        return Err(none());
    }
    caller
        .note(&mut tx, Action::BudgetRemove, &id.to_string(), "")
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
