//! Who is calling. Only this gives a handler a way to the store.
//!
//! [`Caller`] may do all that is a tenant's: a program with an API key, or a page
//! of ours in the browser of somebody who signed in with one. [`Reader`] may be
//! that, or the browser of a tenant's own user, with a ticket for some jobs; a
//! handler that takes it asks the [`Scope`] before it shows anything.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use offpeak_domain::id::{KeyId, SessionId, TenantId};
use offpeak_domain::secret::SessionSecret;
use offpeak_store::credential::Credential;
use offpeak_store::{TenantTx, Tenants};
use time::OffsetDateTime;

use crate::State;
use crate::error::{Code, Error, Result};
use crate::live::Holder;

pub(crate) mod cookie;
mod presented;
mod presumed;
mod reader;

use presented::{Presented, presented};
pub(crate) use presumed::{Known, Presumed};
pub(crate) use reader::{Reader, Scope};

/// Who may do all that is a tenant's.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    tenants: Tenants,
    tenant: TenantId,
    key: KeyId,
    hint: Arc<str>,
    session: Option<(SessionId, OffsetDateTime)>,
}

impl Caller {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The API key, or the one that the session was begun with.
    pub(crate) fn key(&self) -> KeyId {
        self.key
    }

    /// That key's prefix and last four characters.
    pub(crate) fn key_hint(&self) -> &str {
        &self.hint
    }

    /// The session and when it ends by itself; none for an API key.
    pub(crate) fn session(&self) -> Option<(SessionId, OffsetDateTime)> {
        self.session
    }

    /// By what the caller came in.
    pub(crate) fn credential(&self) -> Credential {
        match self.session {
            Some((id, _)) => Credential::Session(id),
            None => Credential::Key(self.key),
        }
    }

    /// Whose live connections count together.
    pub(crate) fn holder(&self) -> Holder {
        match self.session {
            Some((id, _)) => Holder::Session(id),
            None => Holder::Key(self.key),
        }
    }

    /// A transaction that sees the rows of this tenant and no others.
    pub(crate) async fn begin(&self) -> Result<TenantTx> {
        Ok(self.tenants.begin(self.tenant).await?)
    }
}

fn refuse(detail: impl Into<String>) -> Error {
    Error::new(Code::Unauthenticated, detail)
}

/// The refusal of a key that opens nothing.
pub(crate) fn unknown_key() -> Error {
    refuse("the API key is not known, or was revoked")
}

async fn by_key(tenants: &Tenants, known: &Known, digest: &[u8; 32]) -> Result<Caller> {
    let Some(found) = tenants.authenticate(digest).await? else {
        known.forget(digest);
        return Err(unknown_key());
    };
    let caller = Caller {
        tenants: tenants.clone(),
        tenant: found.tenant,
        key: found.key,
        hint: found.hint.into(),
        session: None,
    };
    known.put(*digest, caller.clone());
    Ok(caller)
}

/// Sessions are not remembered: what was ended is over at once.
async fn by_session(tenants: &Tenants, session: &SessionSecret) -> Result<Caller> {
    let found = tenants.session(&session.digest()).await?.ok_or_else(|| {
        refuse("the session is over, or its API key was revoked: sign in with `POST /v1/session`")
    })?;
    Ok(Caller {
        tenants: tenants.clone(),
        tenant: found.tenant,
        key: found.key,
        hint: found.hint.into(),
        session: Some((found.session, found.expires_at)),
    })
}

impl FromRequestParts<State> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        match presented(parts)? {
            Presented::Key(key) => by_key(&state.tenants, &state.known, &key.digest()).await,
            Presented::Session(session) => {
                cookie::expect_own_page(parts, state.public_url())?;
                by_session(&state.tenants, &session).await
            }
            // Whether it still holds makes no difference here.
            Presented::Ticket(_) => Err(Error::new(
                Code::TicketScope,
                "a ticket opens one user's or one group's jobs to read: GET /v1/jobs, \
                 /v1/jobs/{id}, /v1/jobs/{id}/result, /v1/live and /v1/events, nothing else; an \
                 API key is needed here",
            )),
        }
    }
}
