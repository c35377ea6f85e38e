use axum::extract::State as Extract;
use axum::response::Response;
use offpeak_domain::audit::Action;
use offpeak_wire::{Invitation, Invited, Problem};

use crate::State;
use crate::body::{Json, small};
use crate::caller::Operator;
use crate::error::Result;
use crate::once;
use crate::people::{FIELDS, expect_name, invited};
use crate::query::Query;
use crate::scopes;
use crate::segment::Segment;

/// Invite somebody of a tenant
///
/// Its first admin mostly. Answers with a link that signs them in, once, within a day.
#[utoipa::path(
    post, path = "/v1/operator/tenants/{id}/people", tag = "operator", operation_id = "invite_person_of_tenant",
    params(("id" = String, Path, description = "`ten_…`")),
    request_body = Invitation,
    responses(
        (status = 201, description = "May sign in by the link", body = Invited),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    operator: Operator,
    Segment(id): Segment,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: Invitation = small(&body, FIELDS, "an invitation")?;
    expect_name(&request.name)?;
    let role = scopes::read_role(request.role);
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    tx.commit().await?;
    let mut tx = operator.begin_in(id).await?;
    let made: Invited = invited(&mut tx, &request.name, role, state.public_url()).await?;
    operator
        .note(&mut tx, Action::PersonInvite, &made.id, role.as_str())
        .await?;
    tx.commit().await?;
    Ok(once::made(made))
}
