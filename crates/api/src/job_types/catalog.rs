use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offpeak_domain::id::TenantId;
use offpeak_domain::job_type::{Compiled, JobType};
use offpeak_store::job_type::{self, Newest};

use crate::caller::Caller;
use crate::error::{Error, Result};

/// Compiled job types kept in memory, at most.
const MAX_KEPT: usize = 1_000;

/// Names whose newest version is remembered, at most.
const MAX_REMEMBERED: usize = 10_000;

/// Job types as they run. A version never changes, so what was compiled once
/// stays good; which version is the newest is asked each time, or assumed and
/// confirmed by whoever stores the job.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    compiled: Mutex<HashMap<Key, Arc<Compiled>>>,
    newest: Mutex<HashMap<(TenantId, String), Newest>>,
}

/// Whose (none: shipped), name, version.
type Key = (Option<TenantId>, String, u32);

impl Catalog {
    /// The newest version of that name for the caller's tenant.
    pub(crate) async fn newest(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<(u32, Arc<Compiled>)>> {
        // What can be no name is not looked up, and PostgreSQL has no U+0000.
        if name.len() > 63 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Ok(None);
        }
        let mut tx = caller.begin().await?;
        let Some(newest) = job_type::newest(&mut tx, name).await? else {
            return Ok(None);
        };
        self.remember(caller.tenant(), name, newest);
        let key = key(caller.tenant(), name, newest);
        if let Some(found) = self.kept().get(&key) {
            return Ok(Some((newest.version, found.clone())));
        }
        let Some(stored) = job_type::get(&mut tx, name, Some(newest.version)).await? else {
            return Ok(None);
        };
        tx.commit().await?;
        // A version of the tenant's own with the same number may have come between
        // the two reads, and must not be kept as everybody's.
        let key = self::key(
            caller.tenant(),
            name,
            Newest {
                version: stored.version,
                shipped: stored.shipped,
            },
        );
        let definition: JobType =
            serde_json::from_str(&stored.definition).map_err(|error| Error::internal(&error))?;
        let compiled =
            Arc::new(Compiled::new(definition).map_err(|error| Error::internal(&error))?);
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, compiled.clone());
        Ok(Some((newest.version, compiled)))
    }

    /// The newest version of that name when it was last asked for, as long as
    /// its compiled form is at hand. It may have been replaced since.
    pub(crate) fn remembered(
        &self,
        tenant: TenantId,
        name: &str,
    ) -> Option<(Newest, Arc<Compiled>)> {
        let named = (tenant, name.to_owned());
        let newest = *lock(&self.newest).get(&named)?;
        let compiled = self.kept().get(&key(tenant, name, newest))?.clone();
        Some((newest, compiled))
    }

    fn remember(&self, tenant: TenantId, name: &str, version: Newest) {
        let mut newest = lock(&self.newest);
        if newest.len() >= MAX_REMEMBERED {
            newest.clear();
        }
        newest.insert((tenant, name.to_owned()), version);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Arc<Compiled>>> {
        lock(&self.compiled)
    }
}

fn key(tenant: TenantId, name: &str, newest: Newest) -> Key {
    let owner = (!newest.shipped).then_some(tenant);
    (owner, name.to_owned(), newest.version)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
