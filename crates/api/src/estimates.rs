//! What jobs are expected to cost, for tenants with budgets; others' are not
//! estimated, which would be for nothing.
//!
//! That a tenant has budgets is only remembered here, with what its jobs have cost
//! lately, so that a submit need not read it: the store says so when it was
//! forgotten. If the process dies here, it is read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::budget::{Correction, Expected, expect};
use offpeak_domain::id::{JobId, TenantId};
use offpeak_domain::job::{Lane, Outcome};
use offpeak_domain::price::Prices;
use offpeak_store::budget::{self, Measured};
use offpeak_store::job::{self, NewJob};
use offpeak_store::{TenantTx, retry};
use time::Date;

use crate::caller::Caller;
use crate::error::Result;

/// How long what was read is good.
const GOOD: Duration = Duration::from_mins(1);
/// Tenants that are remembered, at most.
const TENANTS: usize = 10_000;

/// How a tenant's estimates are corrected, by job type and model.
#[derive(Debug, Default)]
pub(crate) struct Corrections(HashMap<(Option<String>, String), Correction>);

impl Corrections {
    pub(crate) fn of(measured: &[Measured]) -> Self {
        let each = measured.iter().map(|one| {
            let kind = (one.job_type.clone(), one.model.clone());
            (kind, one.correction())
        });
        Self(each.collect())
    }

    /// What a new job is expected to cost.
    pub(crate) fn expect(&self, job: &NewJob, today: Date, prices: &Prices) -> Expected {
        let job_type = job.job_type.as_ref().map(|(name, _)| name.clone());
        self.cost(
            &job.params,
            &(job_type, job.model.clone()),
            job.lane,
            today,
            prices,
        )
    }

    /// By how much the estimates of a job type and model are corrected, in thousandths.
    pub(crate) fn permille(&self, kind: &(Option<String>, String)) -> u32 {
        let correction = self.0.get(kind).copied().unwrap_or(Correction::NONE);
        correction.permille()
    }

    /// What a job of this type and model is expected to cost in a lane.
    pub(crate) fn cost(
        &self,
        params: &[u8],
        kind: &(Option<String>, String),
        lane: Lane,
        today: Date,
        prices: &Prices,
    ) -> Expected {
        let correction = self.0.get(kind).copied().unwrap_or(Correction::NONE);
        expect(params, &kind.1, lane, today, prices, correction)
    }
}

/// What jobs that are to be retried are expected to cost, where that matters. One
/// prompt after the other is read, whatever they are together.
pub(crate) async fn of_ended(
    tx: &mut TenantTx,
    ids: &[JobId],
    outcomes: &[Outcome],
    prices: &Prices,
) -> Result<BTreeMap<JobId, Expected>> {
    let Some(measured) = budget::measured(tx).await? else {
        return Ok(BTreeMap::new());
    };
    let (corrections, today) = (Corrections::of(&measured), tx.now().date());
    let mut expected = BTreeMap::new();
    for again in retry::ended(tx, ids, outcomes).await? {
        let params = job::params(tx, again.job).await?;
        let kind = (again.job_type, again.model);
        let cost = corrections.cost(&params, &kind, again.lane, today, prices);
        expected.insert(again.job, cost);
    }
    Ok(expected)
}

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
