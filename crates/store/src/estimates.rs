//! What jobs are expected to cost, for tenants with budgets; others' are not
//! estimated, which would be for nothing. The rules are those of
//! `offpeak_domain::budget`; here stands what they are applied to.

use std::collections::{BTreeMap, HashMap};

use offpeak_domain::budget::{Correction, Expected, expect};
use offpeak_domain::id::JobId;
use offpeak_domain::job::{Lane, Outcome};
use offpeak_domain::price::Prices;
use time::Date;

use crate::budget::{self, Measured};
use crate::job::{self, NewJob};
use crate::{Result, TenantTx, retry};

/// How a tenant's estimates are corrected, by job type and model.
#[derive(Debug, Default)]
pub struct Corrections(HashMap<(Option<String>, String), Correction>);

impl Corrections {
    /// From what its jobs were expected to cost, and have cost.
    pub fn of(measured: &[Measured]) -> Self {
        let each = measured.iter().map(|one| {
            let kind = (one.job_type.clone(), one.model.clone());
            (kind, one.correction())
        });
        Self(each.collect())
    }

    /// What a new job is expected to cost.
    pub fn expect(&self, job: &NewJob, today: Date, prices: &Prices) -> Expected {
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
    pub fn permille(&self, kind: &(Option<String>, String)) -> u32 {
        let correction = self.0.get(kind).copied().unwrap_or(Correction::NONE);
        correction.permille()
    }

    /// What a job of this type and model is expected to cost in a lane.
    pub fn cost(
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

/// What jobs that are to be retried are expected to cost, where that matters: nothing
/// of a tenant without budgets. One prompt after the other is read, whatever they are
/// together.
pub async fn of_ended(
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
