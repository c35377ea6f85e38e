use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Response;
use offpeak_domain::secret::LinkSecret;
use offpeak_wire::{LinkRequest, Problem, SignedIn};

use super::enter;
use crate::asked::Asked;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::cookie::OwnPage;
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::State;

const FIELDS: &[Field] = &[Field {
    name: "link",
    expected: "a string",
    required: true,
    fits: reads_as::<String>,
}];

/// Sign in by a link
///
/// As a person of a tenant or as an operator, by a link that opens once. The session's
/// secret comes as a cookie, which scripts cannot read: `offpeak_session`, or
/// `offpeak_operator` for an operator. It lasts 12 hours, and ends when the person is
/// removed.
#[utoipa::path(
    post, path = "/v1/session/link", tag = "me", operation_id = "begin_session_by_link",
    request_body = LinkRequest,
    responses(
        (status = 201, description = "Signed in", body = SignedIn,
            headers(("set-cookie" = String, description = "`offpeak_session` or `offpeak_operator`"))),
        (status = 401, description = "The link opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "This address has tried too often", body = Problem, content_type = "application/problem+json"),
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
    state.allowance.sign_in(asked.address)?;
    let request: LinkRequest = small(&body, FIELDS, "a link")?;
    let link = LinkSecret::parse(&request.link)
        .map_err(|error| Error::input(vec![fault("/link", "invalid_value", error.to_string())]))?;
    let found = state.tenants.use_link(&link.digest()).await?;
    let signed = found.ok_or_else(|| {
        Error::new(
            Code::Unauthenticated,
            "the link was used before, or its time is over: ask whoever sent it for another one",
        )
    })?;
    let tx = state.tenants.begin(signed.tenant).await?;
    enter(&state, &asked, &headers, tx, &signed, "").await
}
