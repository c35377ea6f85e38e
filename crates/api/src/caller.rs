//! Who is calling. Only this gives a handler a way to the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::{KeyId, TenantId};
use offpeak_store::job::NewJob;
use offpeak_store::job::one::{self, Claim, Submitted};
use offpeak_store::job_type::Newest;
use offpeak_store::{TenantTx, Tenants};

use crate::State;
use crate::error::{Code, Error, Result};

/// Keys that are remembered, at most.
const MAX_KNOWN: usize = 10_000;
/// A key is looked up again after this, so that its use is noted.
const REMEMBERED: Duration = Duration::from_secs(30);

/// A tenant's program that presented a valid API key.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    tenants: Tenants,
    tenant: TenantId,
    key: KeyId,
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
}

/// A caller whose key may only be remembered: spares a submit the look-up.
///
/// Nothing may be answered before the key is confirmed. [`Presumed::submit`]
/// does so where it stores the job; whoever refuses a request must call
/// [`Presumed::confirm`] first.
#[derive(Debug)]
pub(crate) struct Presumed {
    caller: Caller,
    digest: [u8; 32],
    known: Arc<Known>,
    looked_up: bool,
}

impl Presumed {
    /// Who it is, if the key still holds.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Stores one job, if the key still holds.
    pub(crate) async fn submit(
        &self,
        job: NewJob,
        claim: Option<Claim<'_>>,
        assumed: Option<Newest>,
    ) -> Result<Submitted> {
        let Caller {
            tenants,
            tenant,
            key,
            ..
        } = &self.caller;
        Ok(one::submit(tenants, (*tenant, *key), job, claim, assumed).await?)
    }

    /// An error unless the key still holds.
    pub(crate) async fn confirm(&self) -> Result<()> {
        if !self.looked_up {
            look_up(&self.caller.tenants, &self.known, &self.digest).await?;
        }
        Ok(())
    }
}

/// Who presented which key a moment ago. Never enough to answer a request.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<[u8; 32], (Caller, Instant)>>);

impl Known {
    fn get(&self, digest: &[u8; 32]) -> Option<Caller> {
        let known = self.lock();
        let (caller, since) = known.get(digest)?;
        (since.elapsed() < REMEMBERED).then(|| caller.clone())
    }

    fn put(&self, digest: [u8; 32], caller: Caller) {
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(digest, (caller, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Caller, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(detail: impl Into<String>) -> Error {
    Error::new(Code::Unauthenticated, detail)
}

/// The refusal of a key that opens nothing.
pub(crate) fn unknown_key() -> Error {
    refuse("the API key is not known, or was revoked")
}

/// The digest of the key in a request's head.
fn presented(parts: &Parts) -> Result<[u8; 32]> {
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(refuse(
            "send the API key once, as `Authorization: Bearer ofp_live_…`",
        ));
    };
    let key = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| refuse("the header `authorization` is not `Bearer ofp_live_…`"))
        // The checksum spares the database a look-up for what cannot be a key.
        .and_then(|(_, key)| {
            ApiKey::parse(key.trim()).map_err(|error| refuse(error.to_string()))
        })?;
    Ok(key.digest())
}

async fn look_up(tenants: &Tenants, known: &Known, digest: &[u8; 32]) -> Result<Caller> {
    let Some(found) = tenants.authenticate(digest).await? else {
        known.lock().remove(digest);
        return Err(unknown_key());
    };
    let caller = Caller {
        tenants: tenants.clone(),
        tenant: found.tenant,
        key: found.key,
        hint: found.hint.into(),
    };
    known.put(*digest, caller.clone());
    Ok(caller)
}

impl FromRequestParts<State> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        look_up(&state.tenants, &state.known, &presented(parts)?).await
    }
}

impl FromRequestParts<State> for Presumed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        let digest = presented(parts)?;
        let remembered = state.known.get(&digest);
        let looked_up = remembered.is_none();
        let caller = match remembered {
            Some(caller) => caller,
            None => look_up(&state.tenants, &state.known, &digest).await?,
        };
        Ok(Self {
            caller,
            digest,
            known: state.known.clone(),
            looked_up,
        })
    }
}
