//! Sign in by a company's identity server.
//!
//! A page of ours asks for an address (`begin`) and goes there. The server sends the
//! browser back to a page of ours, which hands over what it came with (`come_back`); who
//! belongs to several tenants then says which (`choose`). All three are asked by our own
//! pages alone, so that no other page can sign anybody in, as anybody.
//!
//! That the browser that comes back is the one that went is shown by a cookie. What comes
//! back is handed over by a page of ours and not by the address itself: so that cookie may
//! be `SameSite=Strict`, which a request that the identity server sends the browser on is
//! not given (it would have to be `Lax`, and be shown to links of any page).

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use offpeak_domain::secret::SignInSecret;
use offpeak_domain::signin;
use offpeak_oidc::{Proof, Unproven};
use offpeak_store::identity::{self, Entry};

use super::enter;
use crate::asked::Asked;
use crate::caller::cookie;
use crate::error::{Code, Error, Result};
use crate::state::{IdentityServer, State};

pub(crate) mod begin;
pub(crate) mod choose;
pub(crate) mod come_back;

/// How long somebody may be away, and then choose.
const LIFETIME: Duration = Duration::from_mins(10);

fn server(state: &State) -> Result<&IdentityServer> {
    state.identity_server().ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "no identity server is set up here: whoever runs the server does so in [oidc]; an API \
             key or a link signs in as well",
        )
    })
}

/// What the cookie of a sign-in under way holds, if this browser has one that can be read.
fn under_way(headers: &HeaderMap) -> Result<SignInSecret> {
    cookie::read(headers, cookie::SIGN_IN)
        .ok()
        .flatten()
        .ok_or_else(|| {
            over("this browser has no sign-in under way, or it began more than ten minutes ago")
        })
}

fn proof(secret: &SignInSecret) -> Proof {
    Proof {
        state: signin::state(secret),
        nonce: signin::nonce(secret),
        verifier: signin::verifier(secret),
    }
}

/// Nothing comes of it any more.
fn over(why: &str) -> Error {
    Error::new(
        Code::SignInOver,
        format!("{why}: begin again on the page on which one signs in"),
    )
}

/// Nobody has added them.
fn not_invited(address: Option<&str>) -> Error {
    match address {
        Some(address) => Error::new(
            Code::NotInvited,
            format!(
                "nobody has added {address} here: ask an admin of your tenant to add you under \
                 this address; who was added, and has a new account since, has to be removed and \
                 added again"
            ),
        ),
        None => Error::new(
            Code::AddressNotVerified,
            "the identity server does not say that it has verified your address, and you did not \
             sign in by it before: verify the address there, or ask those who run it",
        ),
    }
}

/// Signs somebody in, and ties them to their identity the first time.
async fn enter_as(
    state: &State,
    asked: &Asked,
    headers: &HeaderMap,
    entry: &Entry,
    who: &identity::Vouched,
) -> Result<Response> {
    let mut tx = state.tenants.begin(entry.as_whom.tenant).await?;
    if !identity::tie(&mut tx, entry.as_whom.person, &who.identity).await? {
        let detail = "you were removed a moment ago: ask an admin of your tenant to add you again";
        return Err(Error::new(Code::NotInvited, detail));
    }
    let detail = if entry.known {
        "by the identity server"
    } else {
        "by the identity server, for the first time"
    };
    enter(state, asked, headers, tx, &entry.as_whom, detail).await
}

/// Why the identity server did not say who it is. The log has the cause.
fn failed(error: &offpeak_oidc::Error) -> Error {
    use offpeak_oidc::Error as Cause;
    if !matches!(error, Cause::Code | Cause::Busy) {
        tracing::warn!(%error, "nobody could be signed in by the identity server");
    }
    let down = |detail: &str| Error::new(Code::IdentityServerDown, detail);
    match error {
        Cause::Unavailable { .. } => down(
            "the identity server does not answer: try again in a moment; an API key or a link signs \
             in as well",
        ),
        Cause::Busy => down("too many people are signing in at this moment: try again"),
        Cause::Setting { .. } | Cause::Description { .. } | Cause::Client => down(
            "the identity server and this one do not agree about how they work together: whoever \
             runs this server finds out why by `offpeak doctor` and in its log",
        ),
        Cause::Code => over("the identity server does not take what it sent any more"),
        Cause::Unproven(Unproven::Time) => Error::new(
            Code::IdentityUnproven,
            "what the identity server sent is over, or not valid yet: the clock of one of both is \
             wrong; tell whoever runs this server",
        ),
        Cause::Unproven(why) => Error::new(
            Code::IdentityUnproven,
            format!(
                "what the identity server sent proves nothing ({why}): begin again; if it stays, \
                 tell whoever runs this server"
            ),
        ),
    }
}
