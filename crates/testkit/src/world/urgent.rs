//! Jobs that are wanted soon.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::{JobId, Minter};
use offpeak_domain::job::{Lane, OnLate, OnUnknown};
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::upstream;

use super::{MODEL, World, params};

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

impl World {
    /// Puts jobs into the queue of a lane, with deadlines that count from now, as
    /// far as this world's clock knows.
    pub async fn submit_urgent(
        &mut self,
        lane: Lane,
        jobs: &[(&str, Terms)],
    ) -> Result<Vec<JobId>> {
        let mut minter = Minter::new(self.time(), &mut self.rng);
        let jobs: Vec<NewJob> = jobs
            .iter()
            .map(|(text, terms)| NewJob {
                id: minter.mint(),
                group: None,
                job_type: None,
                user: None,
                model: MODEL.to_owned(),
                upstream: upstream::OWN,
                lane,
                terms: *terms,
                priority: 0,
                metadata: None,
                params: params(text),
                structured: false,
            })
            .collect();
        let mut tx = self.tenants.begin(self.tenant).await?;
        offpeak_store::job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
        tx.commit().await?;
        Ok(jobs.iter().map(|job| job.id).collect())
    }
}
