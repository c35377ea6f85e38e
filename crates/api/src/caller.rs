//! Who is calling. Only this gives a handler a way to the store.
//!
//! A handler says by the type of its caller what that must be allowed to do:
//! [`May<JobsWrite>`](May) is a [`Caller`] with the scope `jobs:write`. A caller is a
//! program with an API key, or a page of ours in the browser of somebody who signed in.
//! [`Reader`] may be that, or the browser of a tenant's own user, with a ticket for some
//! jobs; a handler that takes it asks the [`Extent`] before it shows anything.
//! [`Operator`] is of the deployment, and of no tenant.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use offpeak_domain::audit::{Action, ActorKind};
use offpeak_domain::id::{KeyId, SessionId, TenantId};
use offpeak_domain::limits::Limits;
use offpeak_domain::scope::{Role, Scope, Scopes};
use offpeak_domain::secret::SessionSecret;
use offpeak_store::audit::Act;
use offpeak_store::credential::{self, Credential};
use offpeak_store::session::By;
use offpeak_store::{TenantTx, Tenants};
use time::OffsetDateTime;

use crate::State;
use crate::asked::Asked;
use crate::error::{Code, Error, Result, fault};
use crate::live::Holder;

pub(crate) mod cookie;
mod operator;
mod presented;
mod presumed;
mod reader;

pub(crate) use operator::Operator;
use presented::{Presented, presented};
pub(crate) use presumed::{Known, Presumed};
pub(crate) use reader::{Extent, Reader, Reads};

/// Who may do something that is a tenant's. [`May`] says what.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    tenants: Tenants,
    tenant: TenantId,
    by: By,
    shown: Arc<str>,
    role: Option<Role>,
    scopes: Scopes,
    credential: Credential,
    /// When a session ends by itself.
    until: Option<OffsetDateTime>,
    asked: Asked,
    /// As they were when it asked.
    limits: Limits,
}

impl Caller {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The API key or the person, or what the session was begun by.
    pub(crate) fn by(&self) -> By {
        self.by
    }

    /// The API key, or the one that the session was begun with; none for a person.
    pub(crate) fn key(&self) -> Option<KeyId> {
        match self.by {
            By::Key(id) => Some(id),
            By::Person(_) | By::Operator(_) => None,
        }
    }

    /// That key's prefix and last four characters, or the person's name.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// What it may do.
    pub(crate) fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The role of the person; none for a key.
    pub(crate) fn role(&self) -> Option<Role> {
        self.role
    }

    /// The session and when it ends by itself; none for an API key.
    pub(crate) fn session(&self) -> Option<(SessionId, OffsetDateTime)> {
        match (self.credential, self.until) {
            (Credential::Session(id), Some(until)) => Some((id, until)),
            _ => None,
        }
    }

    /// Its tenant's limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// By what the caller came in.
    pub(crate) fn credential(&self) -> Credential {
        self.credential
    }

    /// Whose live connections count together.
    pub(crate) fn holder(&self) -> Holder {
        match self.credential {
            Credential::Session(id) => Holder::Session(id),
            Credential::Key(id) => Holder::Key(id),
            Credential::Ticket(id) => Holder::Ticket(id),
        }
    }

    /// A transaction that sees the rows of this tenant and no others.
    pub(crate) async fn begin(&self) -> Result<TenantTx> {
        Ok(self.tenants.begin(self.tenant).await?)
    }

    /// The same in the middle of what may take long, a stream or an upload: an error once
    /// what the caller came in by opens nothing any more.
    pub(crate) async fn go_on(&self) -> Result<TenantTx> {
        let mut tx = self.begin().await?;
        let alive = credential::alive(&mut tx, &[self.credential]).await?;
        if alive.contains(&self.credential) {
            return Ok(tx);
        }
        Err(refuse(
            "the API key, or the session, by which this began is over",
        ))
    }

    /// Notes in the tenant's audit log what it does. Last in the transaction that does it:
    /// the log is locked until its end.
    pub(crate) async fn note(
        &self,
        tx: &mut TenantTx,
        action: Action,
        target: &str,
        detail: &str,
    ) -> Result<()> {
        let (kind, id) = match self.by {
            By::Key(id) => (ActorKind::Key, id.to_string()),
            By::Person(id) => (ActorKind::Person, id.to_string()),
            By::Operator(id) => (ActorKind::Operator, id.to_string()),
        };
        let actor = self.asked.actor(kind, id, &self.shown);
        let act = Act {
            action,
            target,
            detail,
        };
        Ok(offpeak_store::audit::note(tx, &actor, &act).await?)
    }

    /// An error unless it may do this.
    pub(crate) fn expect(&self, scope: Scope) -> Result<()> {
        if self.scopes.has(scope) {
            return Ok(());
        }
        let detail = match self.by {
            By::Key(_) => format!(
                "the API key has the scopes {:?}, and this takes {scope}: use one that has it, or \
                 make one in the dashboard's settings or with `POST /v1/keys`",
                self.scopes.words().join(" "),
            ),
            By::Person(_) => format!(
                "your role does not have the scope {scope}, which this takes: an admin of the \
                 tenant can give you another role",
            ),
            By::Operator(_) => format!(
                "who looks at a tenant as its operator may only read; this takes the scope {scope}",
            ),
        };
        Err(Error::new(Code::MissingScope, detail))
    }

    /// An error unless it may do all of this itself: nobody gives away more than they have.
    pub(crate) fn expect_all(&self, scopes: Scopes, field: &str) -> Result<()> {
        if self.scopes.covers(scopes) {
            return Ok(());
        }
        let message = format!(
            "goes beyond what you may do yourself, which is {}",
            self.scopes.words().join(", "),
        );
        Err(Error::input(vec![fault(
            field,
            "beyond_own_scopes",
            message,
        )]))
    }

    /// Who came in: the one way from what was presented to a caller.
    async fn of(parts: &mut Parts, state: &State) -> Result<Self> {
        let asked = Asked::of(parts, state);
        let caller = match presented(parts)? {
            Presented::Key(key) => {
                let caller = by_key(&state.tenants, &state.known, &key.digest()).await?;
                Self { asked, ..caller }
            }
            Presented::Session(session) => {
                cookie::expect_own_page(parts, state.public_url())?;
                let caller = by_session(&state.tenants, &session).await?;
                Self { asked, ..caller }
            }
            // Whether it still holds makes no difference here.
            Presented::Ticket(_) => {
                return Err(Error::new(
                    Code::TicketScope,
                    "a ticket opens one user's or one group's jobs to read: GET /v1/jobs, \
                     /v1/jobs/{id}, /v1/jobs/{id}/result, /v1/live and /v1/events, nothing else; \
                     an API key is needed here",
                ));
            }
        };
        caller.admitted(state).await
    }

    /// The same, if its tenant may ask once more.
    async fn admitted(self, state: &State) -> Result<Self> {
        let limits = state.allowance.request(&self.tenants, self.tenant).await?;
        Ok(Self { limits, ..self })
    }
}

/// A scope as a type, for what a handler takes.
pub(crate) trait Needs: Send + Sync {
    /// Which; none for what every caller may do.
    const SCOPE: Option<Scope>;
}

macro_rules! needs {
    ($($name:ident = $scope:expr;)+) => { $(
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl Needs for $name {
            const SCOPE: Option<Scope> = $scope;
        }
    )+ };
}

needs! {
    Anything = None;
    JobsRead = Some(Scope::JobsRead);
    ResultsRead = Some(Scope::ResultsRead);
    JobsWrite = Some(Scope::JobsWrite);
    SettingsManage = Some(Scope::SettingsManage);
    KeysManage = Some(Scope::KeysManage);
}

/// A caller that may do what its type says.
#[derive(Clone, Debug)]
pub(crate) struct May<N>(Caller, PhantomData<N>);

impl<N> May<N> {
    /// The caller, for what goes on after its handler.
    pub(crate) fn into_caller(self) -> Caller {
        self.0
    }
}

impl<N> Deref for May<N> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<N: Needs> FromRequestParts<State> for May<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        let caller = Caller::of(parts, state).await?;
        if let Some(scope) = N::SCOPE {
            caller.expect(scope)?;
        }
        Ok(Self(caller, PhantomData))
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
        by: By::Key(found.key),
        shown: found.hint.into(),
        role: None,
        scopes: found.scopes,
        credential: Credential::Key(found.key),
        until: None,
        asked: Asked::default(),
        limits: Limits::default(),
    };
    known.put(*digest, caller.clone());
    Ok(caller)
}

/// Sessions are not remembered: what was ended is over at once.
async fn by_session(tenants: &Tenants, session: &SessionSecret) -> Result<Caller> {
    let found = tenants.session(&session.digest()).await?.ok_or_else(over)?;
    // An operator is of no tenant, and opens nothing that is one's.
    let scopes = found.scopes.ok_or_else(|| {
        refuse(
            "you are signed in as an operator, who sees no tenant's content this way: open a \
             tenant from the operator's page, or sign in as one of its people",
        )
    })?;
    Ok(Caller {
        tenants: tenants.clone(),
        tenant: found.tenant,
        by: found.by,
        shown: found.shown.into(),
        role: found.role,
        scopes,
        credential: Credential::Session(found.session),
        until: Some(found.expires_at),
        asked: Asked::default(),
        limits: Limits::default(),
    })
}

/// The refusal of a session that opens nothing.
fn over() -> Error {
    refuse(
        "the session is over, or who began it may not sign in any more: sign in with \
         `POST /v1/session`",
    )
}
