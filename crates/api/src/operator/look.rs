use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::audit::Action;
use offpeak_domain::id::Minter;
use offpeak_domain::secret::SessionSecret;
use offpeak_store::session::{self, By};
use offpeak_wire::{LookRequest, Problem, SignedIn};

use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::{Operator, cookie};
use crate::error::{Error, Result};
use crate::query::Query;
use crate::segment::Segment;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

/// How long an operator may look.
const LOOK: Duration = Duration::from_mins(30);

const FIELDS: &[Field] = &[Field {
    name: "reason",
    expected: "a string",
    required: true,
    fits: reads_as::<String>,
}];

/// Look at a tenant's content
///
/// A session of that tenant for 30 minutes, which may read and nothing else. The tenant
/// finds in its audit log who looked, when and why.
#[utoipa::path(
    post, path = "/v1/operator/tenants/{id}/look", tag = "operator", operation_id = "look_at_tenant",
    params(("id" = String, Path, description = "`ten_…`")),
    request_body = LookRequest,
    responses(
        (status = 201, description = "The session's secret comes as the cookie `offpeak_session`", body = SignedIn,
            headers(("set-cookie" = String, description = "`offpeak_session`"))),
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
    headers: HeaderMap,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: LookRequest = small(&body, FIELDS, "the request of a look")?;
    text::label("/reason", &request.reason, MAX_LABEL)
        .map_err(|fault| Error::input(vec![fault]))?;
    let mut tx = operator.begin().await?;
    let id = super::tenant(&mut tx, &id).await?;
    tx.commit().await?;
    let secret = SessionSecret::generate(rng());
    let mut tx = operator.begin_in(id).await?;
    let new = session::New {
        id: Minter::new(tx.now(), rng()).mint(),
        by: By::Operator(operator.id),
        digest: &secret.digest(),
        lifetime: LOOK,
    };
    let expires_at = session::create(&mut tx, &new).await?;
    operator
        .note(&mut tx, Action::OperatorLook, "", &request.reason)
        .await?;
    tx.commit().await?;
    let cookie = cookie::set(cookie::SESSION, &secret, LOOK, &headers, state.public_url());
    let shown = axum::Json(SignedIn {
        operator: true,
        expires_at,
    });
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], shown).into_response())
}
