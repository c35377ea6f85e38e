//! What is done with many jobs at once: in one transaction, all that can be done.

use std::collections::{BTreeMap, BTreeSet};

use offpeak_domain::id::JobId;
use offpeak_domain::job::State;
use offpeak_store::{TenantTx, job};
use offpeak_wire::{CancelRequest, NotDone, RetryRequest};

use crate::body::{Field, parse, reads_as};
use crate::error::{Code, Error, Result, fault};

pub(crate) mod cancel;
pub(crate) mod retry;

/// Jobs that one call names, at most: as many as one transaction takes.
const MOST: usize = 1_000;
/// Bytes of a request, at most.
const MAX_REQUEST: usize = 64 * 1024;

const IDS: Field = Field {
    name: "ids",
    expected: "an array of strings",
    required: true,
    fits: reads_as::<Vec<String>>,
};
const FIELDS: &[Field] = &[IDS];
const FIELDS_OF_RETRY: &[Field] = &[
    IDS,
    Field {
        name: "completed",
        expected: "true or false",
        required: false,
        fits: reads_as::<bool>,
    },
];

/// The jobs that a request names, and what it names that is no job.
#[derive(Debug, Default)]
struct Asked {
    jobs: Vec<JobId>,
    completed_too: bool,
    not_done: Vec<NotDone>,
}

impl Asked {
    fn to_cancel(body: &[u8]) -> Result<Self> {
        bounded(body)?;
        let CancelRequest { ids } = parse(body, FIELDS).map_err(Error::input)?;
        Self::of(ids, false)
    }

    fn to_retry(body: &[u8]) -> Result<Self> {
        bounded(body)?;
        let RetryRequest { ids, completed } = parse(body, FIELDS_OF_RETRY).map_err(Error::input)?;
        Self::of(ids, completed)
    }

    fn of(ids: Vec<String>, completed_too: bool) -> Result<Self> {
        if ids.is_empty() || ids.len() > MOST {
            let message = format!("must name from 1 to {MOST} jobs");
            return Err(Error::input(vec![fault("/ids", "invalid_value", message)]));
        }
        let mut asked = Self {
            completed_too,
            ..Self::default()
        };
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            match id.parse() {
                Ok(job) => asked.jobs.push(job),
                Err(_) => asked.not_done.push(not_done(id, &Error::not_found("job"))),
            }
        }
        Ok(asked)
    }

    /// Keeps the jobs that are there; another tenant's, and what is only being staged,
    /// are not.
    async fn find(&mut self, tx: &mut TenantTx) -> Result<()> {
        let there = states(tx, &self.jobs).await?;
        let (found, missing) = self.jobs.iter().partition(|id| there.contains_key(*id));
        self.jobs = found;
        let missing: Vec<JobId> = missing;
        let none = Error::not_found("job");
        self.not_done
            .extend(missing.iter().map(|id| not_done(id.to_string(), &none)));
        Ok(())
    }
}

fn bounded(body: &[u8]) -> Result<()> {
    if body.len() > MAX_REQUEST {
        let detail = format!("a list of jobs is at most {MAX_REQUEST} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    Ok(())
}

async fn states(tx: &mut TenantTx, ids: &[JobId]) -> Result<BTreeMap<JobId, State>> {
    let jobs = job::by_ids(tx, ids).await?;
    Ok(jobs.into_iter().map(|job| (job.id, job.state)).collect())
}

fn not_done(id: String, why: &Error) -> NotDone {
    NotDone {
        id,
        code: why.code().as_str().to_owned(),
        detail: why.detail().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, MOST};
    use serde_json::json;

    #[test]
    fn each_job_counts_once_and_what_is_none_is_not_found() {
        let job = "job_00000000000000000000000001";
        let body = json!({"ids": [job, "x", job, "ten_1"]}).to_string();
        let asked = Asked::to_cancel(body.as_bytes()).unwrap();
        assert_eq!(asked.jobs.len(), 1);
        let missing: Vec<_> = asked
            .not_done
            .iter()
            .map(|one| (one.id.as_str(), one.code.as_str()))
            .collect();
        assert_eq!(missing, [("ten_1", "not_found"), ("x", "not_found")]);
    }

    #[test]
    fn none_and_too_many_are_refused() {
        for ids in [vec![], vec!["x"; MOST + 1]] {
            let body = json!({"ids": ids}).to_string();
            let error = Asked::to_cancel(body.as_bytes()).unwrap_err();
            assert_eq!(error.faults()[0].field, "/ids");
        }
        let body = br#"{"ids":["x"],"completed":true}"#;
        assert!(Asked::to_cancel(body).is_err());
        assert!(Asked::to_retry(body).unwrap().completed_too);
    }
}
