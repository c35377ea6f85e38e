use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_domain::id::IncidentId;
use offpeak_store::incident;
use offpeak_wire::Problem;

use crate::caller::Operator;
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Say that an incident is dealt with
#[utoipa::path(
    post, path = "/v1/operator/incidents/{id}/resolve", tag = "operator", operation_id = "resolve_incident",
    params(("id" = String, Path, description = "`inc_…`")),
    responses(
        (status = 204, description = "It is resolved"),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such open one", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    operator: Operator,
    Segment(id): Segment,
    query: Query,
) -> Result<StatusCode> {
    query.end()?;
    let none = || Error::not_found("open incident");
    let id: IncidentId = id.parse().map_err(|_| none())?;
    let mut tx = operator.begin().await?;
    if !incident::resolve_by_operator(&mut tx, id).await? {
        return Err(none());
    }
    operator
        .note_own(Action::IncidentResolve, &id.to_string(), "")
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
