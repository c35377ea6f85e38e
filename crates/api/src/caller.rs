//! Who is calling. Only this gives a handler a way to the store.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::TenantId;
use offpeak_store::job::NewJob;
use offpeak_store::job::one::{self, Claim, Submitted};
use offpeak_store::job_type::Newest;
use offpeak_store::{TenantTx, Tenants};

use crate::State;
use crate::error::{Code, Error, Result};

/// A tenant's program that presented a valid API key.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    tenants: Tenants,
    tenant: TenantId,
    hint: Arc<str>,
}

impl Caller {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The key's prefix and last four characters.
    pub(crate) fn key_hint(&self) -> &str {
        &self.hint
    }

    /// A transaction that sees the rows of this tenant and no others.
    pub(crate) async fn begin(&self) -> Result<TenantTx> {
        Ok(self.tenants.begin(self.tenant).await?)
    }

    /// Submits one job of this tenant, in a transaction of its own.
    pub(crate) async fn submit(
        &self,
        job: NewJob,
        claim: Option<Claim<'_>>,
        assumed: Option<Newest>,
    ) -> Result<Submitted> {
        Ok(one::submit(&self.tenants, self.tenant, job, claim, assumed).await?)
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        let refuse = |detail: String| Error::new(Code::Unauthenticated, detail);
        let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(refuse(
                "send the API key once, as `Authorization: Bearer ofp_live_…`".into(),
            ));
        };
        let key = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or_else(|| refuse("the header `authorization` is not `Bearer ofp_live_…`".into()))
            // The checksum spares the database a look-up for what cannot be a key.
            .and_then(|(_, key)| {
                ApiKey::parse(key.trim()).map_err(|error| refuse(error.to_string()))
            })?;
        let found = state
            .tenants
            .authenticate(&key.digest())
            .await?
            .ok_or_else(|| refuse("the API key is not known, or was revoked".into()))?;
        Ok(Self {
            tenants: state.tenants.clone(),
            tenant: found.tenant,
            hint: found.hint.into(),
        })
    }
}
