//! Whether a submit finds room in its tenant's queue and on the disk.
//!
//! What is known is kept for a moment, so that a busy tenant costs one small
//! read a second; what this process takes meanwhile is added. Several processes
//! may so exceed a limit by what they take in that moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::id::TenantId;
use offpeak_domain::limits::Limit;
use offpeak_domain::room::{Beyond, Level};
use offpeak_store::room::{self, Taken};

use crate::caller::Caller;
use crate::error::{Code, Error, Result};

/// How long counts are good near a limit.
const NEAR: Duration = Duration::from_secs(1);
/// And far from it.
const FAR: Duration = Duration::from_secs(10);
/// After which time something may have left a full queue.
const SOON: Duration = Duration::from_secs(10);
/// Tenants that are remembered, at most.
const TENANTS: usize = 10_000;

/// What was known of each tenant last.
#[derive(Debug, Default)]
pub(crate) struct Room {
    known: Mutex<HashMap<TenantId, (Instant, Taken)>>,
}

impl Room {
    /// Takes room for so many jobs, or says what is full. Not to be called
    /// within a transaction: it may need a connection of its own.
    pub(crate) async fn take(
        self: &Arc<Self>,
        caller: &Caller,
        jobs: u64,
        bytes: u64,
    ) -> Result<Place> {
        self.check(caller, jobs, bytes).await?;
        let tenant = caller.tenant();
        if let Some((_, taken)) = self.lock().get_mut(&tenant) {
            taken.jobs += jobs;
            taken.bytes += bytes;
        }
        Ok(Place {
            room: Some(Arc::clone(self)),
            tenant,
            jobs,
            bytes,
        })
    }

    /// Whether there is room for so many jobs, which nobody counts yet.
    pub(crate) async fn check(&self, caller: &Caller, jobs: u64, bytes: u64) -> Result<()> {
        let taken = self.taken(caller).await?;
        if taken.level != Level::Ok {
            return Err(Error::new(
                Code::StorageFull,
                "no more jobs are taken until the operator makes room; what was taken goes on",
            ));
        }
        let (jobs, bytes) = (taken.jobs + jobs, taken.bytes + bytes);
        let Err(beyond) = caller.limits().queue().allows(jobs, bytes) else {
            return Ok(());
        };
        let (code, limit, wait, what) = match beyond {
            Beyond::Jobs => (
                Code::TooManyQueuedJobs,
                Limit::QueuedJobs,
                taken.jobs,
                "jobs",
            ),
            Beyond::Bytes => (
                Code::TooManyQueuedBytes,
                Limit::QueuedBytes,
                taken.bytes,
                "bytes",
            ),
        };
        let value = caller.limits().get(limit);
        let detail = format!(
            "{wait} {what} of yours wait and {value} may ({limit}); send again when some have \
             left, or have the operator raise the limit"
        );
        Err(Error::new(code, detail).of_limit(limit.as_str(), value, SOON))
    }

    async fn taken(&self, caller: &Caller) -> Result<Taken> {
        let tenant = caller.tenant();
        if let Some(taken) = self.known(caller) {
            return Ok(taken);
        }
        let read = Instant::now();
        let taken = room::taken(&mut caller.begin().await?).await?;
        let mut known = self.lock();
        if known.len() >= TENANTS {
            known.clear();
        }
        known.insert(tenant, (read, taken));
        Ok(taken)
    }

    /// What is known and good. Once it is not, one caller hears so and reads
    /// anew, while the others make do with it.
    fn known(&self, caller: &Caller) -> Option<Taken> {
        let mut known = self.lock();
        let (read, taken) = known.get_mut(&caller.tenant())?;
        let is_far =
            taken.level == Level::Ok && caller.limits().queue().is_far(taken.jobs, taken.bytes);
        let good_for = if is_far { FAR } else { NEAR };
        if read.elapsed() < good_for {
            return Some(*taken);
        }
        *read = Instant::now();
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, (Instant, Taken)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that was taken: given back unless its jobs are stored.
#[derive(Debug)]
pub(crate) struct Place {
    room: Option<Arc<Room>>,
    tenant: TenantId,
    jobs: u64,
    bytes: u64,
}

impl Place {
    /// They are.
    pub(crate) fn keep(mut self) {
        self.room = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(room) = self.room.take() else { return };
        if let Some((_, taken)) = room.lock().get_mut(&self.tenant) {
            taken.jobs = taken.jobs.saturating_sub(self.jobs);
            taken.bytes = taken.bytes.saturating_sub(self.bytes);
        }
    }
}
