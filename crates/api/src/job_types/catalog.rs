use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use offpeak_domain::id::TenantId;
use offpeak_domain::job_type::{Compiled, JobType};
use offpeak_store::job_type;

use crate::caller::Caller;
use crate::error::{Error, Result};

/// Compiled job types kept in memory, at most.
const MAX_KEPT: usize = 1_000;

/// Job types as they run. A version never changes, so what was compiled once
/// stays good; only which version is the newest is asked each time.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    compiled: Mutex<HashMap<Key, Arc<Compiled>>>,
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
        let owner = (!newest.shipped).then(|| caller.tenant());
        let key = (owner, name.to_owned(), newest.version);
        if let Some(found) = self.kept().get(&key) {
            return Ok(Some((newest.version, found.clone())));
        }
        let Some(stored) = job_type::get(&mut tx, name, Some(newest.version)).await? else {
            return Ok(None);
        };
        tx.commit().await?;
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

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
