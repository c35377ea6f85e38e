//! Jobs that come into the queue, those that are wanted soon among them.

use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use offpeak_domain::budget::{Expected, Period, Scope};
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::{GroupId, JobId, Minter, TenantId};
use offpeak_domain::job::{Lane, OnLate, OnUnknown};
use offpeak_domain::money::Pico;
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::share::Sharing;
use offpeak_store::{TenantTx, budget, upstream};
use time::OffsetDateTime;

use super::{MODEL, World, params};

/// What every job is said to cost.
pub const EXPECTED: Expected = Expected {
    plain: Pico(70_000_000),
    cost: Pico(80_000_000),
};

/// What a job asks for.
pub fn terms(within: Duration, on_late: OnLate) -> Terms {
    Terms {
        within: Some(within),
        on_late: Some(on_late),
        on_unknown: None,
    }
}

/// The same, to be called for again when an answer is lost.
pub fn insistent(within: Duration) -> Terms {
    Terms {
        on_unknown: Some(OnUnknown::Retry),
        ..terms(within, OnLate::Escalate)
    }
}

fn plain(id: JobId, text: &str) -> NewJob {
    NewJob {
        id,
        group: None,
        job_type: None,
        user: None,
        model: MODEL.to_owned(),
        upstream: upstream::OWN,
        lane: Lane::Batch,
        terms: Terms::default(),
        priority: 0,
        metadata: None,
        params: params(text),
        structured: false,
        prefix: None,
        sharing: None,
        expected: Some(EXPECTED),
    }
}

impl World {
    /// Puts jobs with these texts into the queue, ungrouped.
    pub async fn submit(&mut self, texts: &[&str]) -> Result<Vec<JobId>> {
        self.submit_as(self.tenant, None, texts).await
    }

    /// Puts jobs of a tenant, maybe of a group, into the queue.
    pub async fn submit_as(
        &mut self,
        tenant: TenantId,
        group: Option<GroupId>,
        texts: &[&str],
    ) -> Result<Vec<JobId>> {
        let tx = self.tenants.begin(tenant).await?;
        let at = tx.now();
        self.submit_within(tx, at, group, texts).await
    }

    /// Puts jobs into the queue whose ids are minted now, as far as this world's
    /// clock knows, which may be long after the database's time.
    pub async fn submit_now(&mut self, texts: &[&str]) -> Result<Vec<JobId>> {
        let at = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = self.tenants.begin(self.tenant).await?;
        self.submit_within(tx, at, None, texts).await
    }

    /// Gives the tenant a budget that is never used up, so that what every job costs is
    /// reserved and settled.
    pub async fn budget(&mut self) -> Result<()> {
        let mut tx = self.tenants.begin(self.tenant).await?;
        let id = Minter::new(tx.now(), &mut self.rng).mint();
        let terms = budget::Terms {
            scope: Scope::Tenant,
            name: None,
            period: Period::Month,
            limit: offpeak_domain::budget::MAX_LIMIT,
            hard: true,
        };
        budget::set(&mut tx, id, terms).await?;
        Ok(tx.commit().await?)
    }

    async fn submit_within(
        &mut self,
        mut tx: TenantTx,
        at: OffsetDateTime,
        group: Option<GroupId>,
        texts: &[&str],
    ) -> Result<Vec<JobId>> {
        let mut minter = Minter::new(at, &mut self.rng);
        let jobs: Vec<NewJob> = texts
            .iter()
            .map(|text| NewJob {
                group,
                ..plain(minter.mint(), text)
            })
            .collect();
        offpeak_store::job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
        let at = tx.now();
        budget::reserve(&mut tx, at, &jobs).await?;
        tx.commit().await?;
        Ok(jobs.iter().map(|job| job.id).collect())
    }

    /// Puts jobs into the queue of a lane, with deadlines that count from now, as
    /// far as this world's clock knows.
    pub async fn submit_urgent(
        &mut self,
        lane: Lane,
        jobs: &[(&str, Terms)],
    ) -> Result<Vec<JobId>> {
        self.submit_on_terms(lane, jobs, false).await
    }

    /// The same, and those that ask the same share one attempt.
    pub async fn submit_sharing(
        &mut self,
        lane: Lane,
        jobs: &[(&str, Terms)],
    ) -> Result<Vec<JobId>> {
        self.submit_on_terms(lane, jobs, true).await
    }

    async fn submit_on_terms(
        &mut self,
        lane: Lane,
        jobs: &[(&str, Terms)],
        share: bool,
    ) -> Result<Vec<JobId>> {
        let mut minter = Minter::new(self.time(), &mut self.rng);
        let jobs: Vec<NewJob> = jobs
            .iter()
            .map(|(text, terms)| NewJob {
                lane,
                terms: *terms,
                sharing: share.then(|| Sharing::of(upstream::OWN, &params(text), None)),
                ..plain(minter.mint(), text)
            })
            .collect();
        let mut tx = self.tenants.begin(self.tenant).await?;
        offpeak_store::job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
        let at = tx.now();
        budget::reserve(&mut tx, at, &jobs).await?;
        tx.commit().await?;
        Ok(jobs.iter().map(|job| job.id).collect())
    }
}
