use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_domain::id::PersonId;
use offpeak_store::person;
use offpeak_wire::Problem;

use crate::caller::{KeysManage, May};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Remove somebody
///
/// From now on they cannot sign in, and what they have open ends within five seconds.
#[utoipa::path(
    delete, path = "/v1/people/{id}", tag = "people", operation_id = "remove_person",
    params(("id" = String, Path, description = "`per_…`")),
    responses(
        (status = 204, description = "Nothing opens for them any more"),
        (status = 404, description = "There is nobody like that", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<KeysManage>,
    Segment(id): Segment,
    query: Query,
) -> Result<StatusCode> {
    query.end()?;
    let none = || Error::not_found("person");
    let id: PersonId = id.parse().map_err(|_| none())?;
    let mut tx = caller.begin().await?;
    if !person::remove_own(&mut tx, id).await? {
        return Err(none());
    }
    caller
        .note(&mut tx, Action::PersonRemove, &id.to_string(), "")
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
