use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::{Minter, SessionId};
use offpeak_domain::secret::SessionSecret;
use offpeak_store::session;
use offpeak_wire::{Problem, Session};

use super::LIFETIME;
use crate::caller::{Caller, cookie};
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
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    query.end()?;
    // One session cannot prolong itself by another.
    if caller.session().is_some() {
        return Err(Error::new(
            Code::Unauthenticated,
            "a session begins with an API key: send it as `Authorization: Bearer ofp_live_…`",
        ));
    }
    let secret = SessionSecret::generate(rng());
    let mut tx = caller.begin().await?;
    let id: SessionId = Minter::new(tx.now(), rng()).mint();
    let expires_at = session::create(&mut tx, id, caller.key(), &secret.digest(), LIFETIME).await?;
    let me = me::of(&state, &caller, &mut tx).await?;
    tx.commit().await?;
    let cookie = cookie::set(&secret, LIFETIME, &headers, state.public_url());
    let set = [(header::SET_COOKIE, cookie)];
    let shown = axum::Json(Session { me, expires_at });
    Ok((StatusCode::CREATED, set, shown).into_response())
}
