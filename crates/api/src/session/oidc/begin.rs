use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::secret::SignInSecret;
use offpeak_wire::{Problem, SentAway};

use super::{LIFETIME, failed, proof, server};
use crate::asked::Asked;
use crate::caller::cookie::{self, OwnPage};
use crate::error::Result;
use crate::query::Query;
use crate::state::{State, rng};

/// Begin to sign in by the identity server
///
/// Answers with the address to which the browser goes, and sets the cookie by which it is
/// known when it comes back, within ten minutes.
#[utoipa::path(
    post, path = "/v1/session/oidc", tag = "me", operation_id = "begin_session_by_identity_server",
    responses(
        (status = 201, description = "The browser may go", body = SentAway,
            headers(("set-cookie" = String, description = "`__Host-offpeak_signin`"))),
        (status = 404, description = "No identity server is set up", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "This address has tried too often", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It does not answer", body = Problem, content_type = "application/problem+json"),
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
) -> Result<Response> {
    query.end()?;
    // Each try is a row for ten minutes.
    state.allowance.sign_in(asked.address)?;
    let server = server(&state)?;
    let secret = SignInSecret::generate(rng());
    let url = server.provider.authorize(&proof(&secret)).await;
    let url = url.map_err(|error| failed(&error))?;
    state
        .tenants
        .begin_attempt(&secret.digest(), LIFETIME)
        .await?;
    let cookie = cookie::set(
        cookie::SIGN_IN,
        &secret,
        LIFETIME,
        &headers,
        state.public_url(),
    );
    let set = [(header::SET_COOKIE, cookie)];
    Ok((StatusCode::CREATED, set, axum::Json(SentAway { url })).into_response())
}
