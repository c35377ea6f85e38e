use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Response;
use offpeak_domain::id::TenantId;
use offpeak_wire::{Chosen, Problem, SignedIn};

use super::{enter_as, over, server, under_way};
use crate::asked::Asked;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::cookie::OwnPage;
use crate::error::{Error, Result};
use crate::query::Query;
use crate::state::State;

const FIELDS: &[Field] = &[Field {
    name: "tenant",
    expected: "a string",
    required: true,
    fits: reads_as::<String>,
}];

/// Choose a tenant
///
/// After the identity server has said who somebody is, of several tenants: the one to sign
/// in to. Once, in the browser that came back.
#[utoipa::path(
    post, path = "/v1/session/oidc/tenant", tag = "me", operation_id = "choose_tenant",
    request_body = Chosen,
    responses(
        (status = 201, description = "Signed in", body = SignedIn,
            headers(("set-cookie" = String, description = "`offpeak_session`"))),
        (status = 404, description = "No tenant of theirs, or no identity server is set up", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Chosen before, or over (`sign_in_over`)", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    _own: OwnPage,
    asked: Asked,
    headers: HeaderMap,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: Chosen = small(&body, FIELDS, "the choice of a tenant")?;
    server(&state)?;
    let secret = under_way(&headers)?;
    let who = state.tenants.end_attempt(&secret.digest()).await?;
    let who = who.ok_or_else(|| over("there is nothing to choose any more"))?;
    let none = || Error::not_found("tenant of yours");
    let tenant: TenantId = request.tenant.parse().map_err(|_| none())?;
    let entries = state.tenants.entries(&who).await?;
    let entry = entries
        .iter()
        .find(|entry| entry.as_whom.tenant == tenant)
        .ok_or_else(none)?;
    enter_as(&state, &asked, &headers, entry, &who).await
}
