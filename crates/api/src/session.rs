//! Sessions: who signed in, with an API key, by a link or by an identity server, in a
//! browser that keeps none of it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use offpeak_domain::audit::{Action, ActorKind};
use offpeak_domain::id::Minter;
use offpeak_domain::secret::SessionSecret;
use offpeak_store::TenantTx;
use offpeak_store::audit::{self, Act};
use offpeak_store::person::{self, OPERATORS};
use offpeak_store::session::{self, By};
use offpeak_wire::SignedIn;

use crate::State;
use crate::asked::Asked;
use crate::caller::cookie;
use crate::error::{Code, Error, Result};
use crate::routes::Routes;
use crate::state::rng;

pub(crate) mod begin;
pub(crate) mod end;
pub(crate) mod get;
pub(crate) mod link;
pub(crate) mod oidc;
pub(crate) mod ways;

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_hours(12);

pub(crate) fn routes() -> Routes<State> {
    let session = post(begin::handle).get(get::handle).delete(end::handle);
    Routes::new()
        .at("/session", session)
        .at("/session/link", post(link::handle))
        .at("/session/ways", get(ways::handle))
        .at("/session/oidc", post(oidc::begin::handle))
        .at("/session/oidc/callback", post(oidc::come_back::handle))
        .at("/session/oidc/tenant", post(oidc::choose::handle))
}

/// Who came with an API key has none.
fn no_session() -> Error {
    Error::new(
        Code::Unauthenticated,
        "no session came with the request: sign in with `POST /v1/session`, and leave out the \
         header `authorization` afterwards",
    )
}

/// Signs a person in: their session, a note of it, and its cookie. `detail` says by what,
/// in a transaction that may have begun with something else.
async fn enter(
    state: &State,
    asked: &Asked,
    headers: &HeaderMap,
    mut tx: TenantTx,
    who: &person::SignedIn,
    detail: &str,
) -> Result<Response> {
    let secret = SessionSecret::generate(rng());
    let new = session::New {
        id: Minter::new(tx.now(), rng()).mint(),
        by: By::Person(who.person),
        digest: &secret.digest(),
        lifetime: LIFETIME,
    };
    let expires_at = session::create(&mut tx, &new).await?;
    let operator = who.tenant == OPERATORS;
    let (kind, name) = if operator {
        (ActorKind::Operator, cookie::OPERATOR)
    } else {
        (ActorKind::Person, cookie::SESSION)
    };
    let actor = asked.actor(kind, who.person.to_string(), &who.name);
    let act = Act {
        action: Action::PersonSignIn,
        target: "",
        detail,
    };
    audit::note(&mut tx, &actor, &act).await?;
    tx.commit().await?;
    let cookie = cookie::set(name, &secret, LIFETIME, headers, state.public_url());
    let shown = axum::Json(SignedIn {
        operator,
        expires_at,
    });
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], shown).into_response())
}
