//! A caller whose key may only be remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use offpeak_domain::scope::Scope;
use offpeak_store::job::NewJob;
use offpeak_store::job::one::{self, Claim, Submitted};
use offpeak_store::job_type::Newest;

use super::presented::{Presented, presented};
use super::{Caller, JobsWrite, May, by_key};
use crate::State;
use crate::error::{Error, Result};

/// Keys that are remembered, at most.
const MAX_KNOWN: usize = 10_000;
/// A key is looked up again after this, so that its use is noted.
const REMEMBERED: Duration = Duration::from_secs(30);

/// A caller that may submit, whose key may only be remembered: spares the look-up.
///
/// Nothing may be answered before the key is confirmed. [`Presumed::submit`]
/// does so where it stores the job; whoever refuses a request must call
/// [`Presumed::confirm`] first.
#[derive(Debug)]
pub(crate) struct Presumed {
    caller: Caller,
    /// The digest of a key that was not looked up for this request.
    unconfirmed: Option<([u8; 32], Arc<Known>)>,
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
            tenants, tenant, ..
        } = &self.caller;
        let key = self.caller.key();
        Ok(one::submit(tenants, (*tenant, key), job, claim, assumed).await?)
    }

    /// An error unless the key still holds.
    pub(crate) async fn confirm(&self) -> Result<()> {
        if let Some((digest, known)) = &self.unconfirmed {
            by_key(&self.caller.tenants, known, digest).await?;
        }
        Ok(())
    }
}

impl FromRequestParts<State> for Presumed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        if let Presented::Key(key) = presented(parts)?
            && let Some(caller) = state.known.get(&key.digest())
        {
            caller.expect(Scope::JobsWrite)?;
            let presumed = Self {
                caller,
                unconfirmed: Some((key.digest(), state.known.clone())),
            };
            return match presumed.caller.clone().admitted(state).await {
                Ok(caller) => Ok(Self { caller, ..presumed }),
                Err(error) => {
                    presumed.confirm().await?;
                    Err(error)
                }
            };
        }
        Ok(Self {
            caller: May::<JobsWrite>::from_request_parts(parts, state)
                .await?
                .into_caller(),
            unconfirmed: None,
        })
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

    pub(super) fn put(&self, digest: [u8; 32], caller: Caller) {
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(digest, (caller, Instant::now()));
    }

    pub(super) fn forget(&self, digest: &[u8; 32]) {
        self.lock().remove(digest);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Caller, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
