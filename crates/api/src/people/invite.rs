use axum::extract::State as Extract;
use axum::response::Response;
use offpeak_domain::audit::Action;
use offpeak_wire::{Invitation, Invited, Problem};

use super::{FIELDS, expect_name, invited};
use crate::State;
use crate::body::{Json, small};
use crate::caller::{KeysManage, May};
use crate::error::Result;
use crate::once;
use crate::query::Query;
use crate::scopes;

/// Invite somebody
///
/// Answers with a link that signs them in, once, within a day. Whoever is called so
/// already gets the role that is given, and another link.
#[utoipa::path(
    post, path = "/v1/people", tag = "people", operation_id = "invite_person",
    request_body = Invitation,
    responses(
        (status = 201, description = "May sign in by the link", body = Invited),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<KeysManage>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: Invitation = small(&body, FIELDS, "an invitation")?;
    expect_name(&request.name)?;
    let role = scopes::read_role(request.role);
    caller.expect_all(role.scopes(), "/role")?;
    let mut tx = caller.begin().await?;
    let made: Invited = invited(&mut tx, &request.name, role, state.public_url()).await?;
    caller
        .note(&mut tx, Action::PersonInvite, &made.id, role.as_str())
        .await?;
    tx.commit().await?;
    Ok(once::made(made))
}
