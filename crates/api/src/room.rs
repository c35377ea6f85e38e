//! Whether a submit finds room in its tenant's queue and on the disk.
//!
//! What is known is kept for a moment, so that a busy tenant costs one small
//! read a second; what this process takes meanwhile is added. Several processes
//! may so exceed a limit by what they take in that moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::id::TenantId;
use offpeak_domain::room::{Beyond, Level, Queue};
use offpeak_store::TenantTx;
use offpeak_store::room::{self, Taken};

use crate::error::{Code, Error, Result};

/// How long counts are good near a limit.
const NEAR: Duration = Duration::from_secs(1);
/// And far from it.
const FAR: Duration = Duration::from_secs(10);
/// Tenants that are remembered, at most.
const TENANTS: usize = 10_000;

/// The limits, and what was known of each tenant last.
#[derive(Debug, Default)]
pub(crate) struct Room {
    limits: Queue,
    known: Mutex<HashMap<TenantId, (Instant, Taken)>>,
}

impl Room {
    pub(crate) fn new(limits: Queue) -> Self {
        Self {
            limits,
            known: Mutex::default(),
        }
    }

    /// Takes room for so many jobs, or says what is full.
    pub(crate) async fn take(&self, tx: &mut TenantTx, jobs: usize, bytes: usize) -> Result<()> {
        let (jobs, bytes) = (jobs as u64, bytes as u64);
        self.check(tx, jobs, bytes).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, taken)) = known.get_mut(&tx.tenant()) {
            taken.jobs += jobs;
            taken.bytes += bytes;
        }
        Ok(())
    }

    /// Whether there is room for so many jobs, which nobody counts yet.
    pub(crate) async fn check(&self, tx: &mut TenantTx, jobs: u64, bytes: u64) -> Result<()> {
        let taken = self.taken(tx).await?;
        if taken.level != Level::Ok {
            return Err(Error::new(
                Code::StorageFull,
                "no more jobs are taken until the operator makes room; what was taken goes on",
            ));
        }
        let (jobs, bytes) = (taken.jobs + jobs, taken.bytes + bytes);
        match self.limits.allows(jobs, bytes) {
            Ok(()) => Ok(()),
            Err(Beyond::Jobs) => Err(Error::new(
                Code::TooManyQueuedJobs,
                format!(
                    "{} jobs of yours wait and {} may; send again when some have left",
                    taken.jobs, self.limits.max_jobs
                ),
            )),
            Err(Beyond::Bytes) => Err(Error::new(
                Code::TooManyQueuedBytes,
                format!(
                    "{} bytes of yours wait and {} may; send again when some have left",
                    taken.bytes, self.limits.max_bytes
                ),
            )),
        }
    }

    async fn taken(&self, tx: &mut TenantTx) -> Result<Taken> {
        let tenant = tx.tenant();
        if let Some(taken) = self.known(tenant) {
            return Ok(taken);
        }
        let read = Instant::now();
        let taken = room::taken(tx).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TENANTS {
            known.clear();
        }
        known.insert(tenant, (read, taken));
        Ok(taken)
    }

    fn known(&self, tenant: TenantId) -> Option<Taken> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, taken) = known.get(&tenant)?;
        let is_far = taken.level == Level::Ok && self.limits.is_far(taken.jobs, taken.bytes);
        let good_for = if is_far { FAR } else { NEAR };
        (read.elapsed() < good_for).then_some(*taken)
    }
}
