//! What jobs are expected to cost, for tenants with budgets; others' are not
//! estimated, which would be for nothing.
//!
//! That a tenant has budgets is only remembered here, with what its jobs have cost
//! lately, so that a submit need not read it: the store says so when it was
//! forgotten. If the process dies here, it is read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::id::TenantId;
use offpeak_store::budget;
use offpeak_store::estimates::Corrections;

use crate::caller::Caller;
use crate::error::Result;

/// How long what was read is good.
const GOOD: Duration = Duration::from_mins(1);
/// Tenants that are remembered, at most.
const TENANTS: usize = 10_000;

/// What is remembered of tenants with budgets.
#[derive(Debug, Default)]
pub(crate) struct Estimates(Mutex<HashMap<TenantId, (Instant, Arc<Corrections>)>>);

impl Estimates {
    /// What was read not long ago of a tenant that had budgets then.
    pub(crate) fn known(&self, tenant: TenantId) -> Option<Arc<Corrections>> {
        let known = self.lock();
        let (read, corrections) = known.get(&tenant)?;
        (read.elapsed() < GOOD).then(|| Arc::clone(corrections))
    }

    /// Reads it anew. Not to be called within a transaction: it needs a connection of
    /// its own.
    pub(crate) async fn read(&self, caller: &Caller) -> Result<Arc<Corrections>> {
        let mut tx = caller.begin().await?;
        let measured = budget::measured(&mut tx).await?;
        tx.commit().await?;
        let corrections = Arc::new(Corrections::of(measured.as_deref().unwrap_or_default()));
        let mut known = self.lock();
        if known.len() >= TENANTS {
            known.clear();
        }
        if measured.is_some() {
            let now = (Instant::now(), Arc::clone(&corrections));
            known.insert(caller.tenant(), now);
        } else {
            known.remove(&caller.tenant());
        }
        Ok(corrections)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, (Instant, Arc<Corrections>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
