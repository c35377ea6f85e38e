//! The operator: of the deployment, and of no tenant.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use offpeak_domain::audit::{Action, ActorKind};
use offpeak_domain::id::{PersonId, SessionId, TenantId};
use offpeak_domain::secret::SessionSecret;
use offpeak_store::audit::{self, Act};
use offpeak_store::person::OPERATORS;
use offpeak_store::session::By;
use offpeak_store::{OperatorTx, Operators, TenantTx, Tenants};
use time::OffsetDateTime;

use super::{cookie, over, refuse};
use crate::State;
use crate::asked::Asked;
use crate::error::{Error, Result};

/// An operator in the browser in which they signed in. Sees counts of every tenant.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    operators: Operators,
    tenants: Tenants,
    pub(crate) id: PersonId,
    pub(crate) name: String,
    pub(crate) session: SessionId,
    pub(crate) expires_at: OffsetDateTime,
    asked: Asked,
}

impl Operator {
    /// A transaction that sees what an operator sees.
    pub(crate) async fn begin(&self) -> Result<OperatorTx> {
        Ok(self.operators.begin().await?)
    }

    /// A transaction within a tenant, for what is noted there as this operator's doing.
    pub(crate) async fn begin_in(&self, tenant: TenantId) -> Result<TenantTx> {
        Ok(self.tenants.begin(tenant).await?)
    }

    /// Notes what they do: in the log of the tenant that the transaction is in. Last in
    /// it, as for [`Caller::note`](super::Caller::note).
    pub(crate) async fn note(
        &self,
        tx: &mut TenantTx,
        action: Action,
        target: &str,
        detail: &str,
    ) -> Result<()> {
        let id = self.id.to_string();
        let actor = self.asked.actor(ActorKind::Operator, id, &self.name);
        let act = Act {
            action,
            target,
            detail,
        };
        Ok(audit::note(tx, &actor, &act).await?)
    }

    /// The same for what concerns the deployment itself, in a transaction of its own: to be
    /// called before what it tells is committed, so that nothing is done unnoted.
    pub(crate) async fn note_own(&self, action: Action, target: &str, detail: &str) -> Result<()> {
        let mut tx = self.begin_in(OPERATORS).await?;
        self.note(&mut tx, action, target, detail).await?;
        Ok(tx.commit().await?)
    }
}

impl FromRequestParts<State> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        let session: SessionSecret =
            cookie::read(&parts.headers, cookie::OPERATOR)?.ok_or_else(no_operator)?;
        cookie::expect_own_page(parts, state.public_url())?;
        let found = state
            .tenants
            .session(&session.digest())
            .await?
            .ok_or_else(over)?;
        let (By::Person(id), None) = (found.by, found.scopes) else {
            return Err(no_operator());
        };
        Ok(Self {
            operators: state.operators.clone(),
            tenants: state.tenants.clone(),
            id,
            name: found.shown,
            session: found.session,
            expires_at: found.expires_at,
            asked: Asked::of(parts, state),
        })
    }
}

fn no_operator() -> Error {
    refuse(
        "this is the operator's: sign in by a link that `offpeak operator invite <NAME>` makes \
         on the server's machine",
    )
}
