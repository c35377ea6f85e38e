use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::Minter;
use offpeak_domain::secret::SessionSecret;
use offpeak_store::session;
use offpeak_wire::{Problem, Session};

use super::LIFETIME;
use crate::asked::Asked;
use crate::caller::{Anything, May, cookie};
use crate::error::{Code, Error, Result};
use crate::me;
use crate::query::Query;
use crate::state::{State, rng};

/// Sign in: a session for a browser
///
/// With an API key. The session's secret comes as the cookie `offpeak_session`,
/// which scripts cannot read. It opens what the key opens, for 12 hours, on
/// requests of this server's own pages; it ends with the key.
#[utoipa::path(
    post, path = "/v1/session", tag = "me", operation_id = "begin_session",
    responses(
        (status = 201, description = "Signed in", body = Session,
            headers(("set-cookie" = String, description = "`offpeak_session`; `Secure` where `x-forwarded-proto` or the `public_url` is `https`"))),
        (status = 401, description = "No API key, or none that holds", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "This address has tried too often", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    asked: Asked,
    caller: May<Anything>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    query.end()?;
    state.allowance.sign_in(asked.address)?;
    // One session cannot prolong itself by another.
    if caller.session().is_some() {
        return Err(Error::new(
            Code::Unauthenticated,
            "a session begins with an API key: send it as `Authorization: Bearer ofp_live_…`",
        ));
    }
    let secret = SessionSecret::generate(rng());
    let mut tx = caller.begin().await?;
    let new = session::New {
        id: Minter::new(tx.now(), rng()).mint(),
        by: caller.by(),
        digest: &secret.digest(),
        lifetime: LIFETIME,
    };
    let expires_at = session::create(&mut tx, &new).await?;
    let me = me::of(&state, &caller, &mut tx).await?;
    tx.commit().await?;
    let cookie = cookie::set(
        cookie::SESSION,
        &secret,
        LIFETIME,
        &headers,
        state.public_url(),
    );
    let set = [(header::SET_COOKIE, cookie)];
    let shown = axum::Json(Session { me, expires_at });
    Ok((StatusCode::CREATED, set, shown).into_response())
}
