//! The list of jobs: filters, a keyset, and a bound on what one page reads.
//!
//! Ended jobs are found through `result`, failed and canceled ones through an
//! index of their own, open ones through `ready` and `inflight`, a group's and a
//! user's through their indexes. Each step of such a walk looks at a bounded
//! number of rows and says how far it came; the page goes on from where the
//! shortest of its walks stopped while it has time, and then hands back a
//! cursor. So the cost of a page does not depend on what the filters match, only
//! how many pages it takes to find it. What cannot match anything, such as a
//! model that the tenant never used, is answered at once.

use std::time::{Duration, Instant};

use offpeak_domain::id::{BatchId, GroupId, JobId};
use offpeak_domain::job::{Outcome, State};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::job::{Job, by_ids};
use crate::{Result, TenantTx};

mod walk;

use walk::{Range, Walk};

/// Jobs that are counted at once.
const PIECE: usize = 1_000;

/// Which jobs; everything that is said must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states; empty for any.
    pub states: Vec<State>,
    /// Of this group.
    pub group: Option<GroupId>,
    /// Of this job type.
    pub job_type: Option<String>,
    /// With this label of the app.
    pub user: Option<String>,
    /// For this model.
    pub model: Option<String>,
    /// Failed, with this label.
    pub label: Option<String>,
    /// Whose last attempt is, or was, in this batch.
    pub batch: Option<BatchId>,
    /// Accepted then or later, to the millisecond.
    pub since: Option<OffsetDateTime>,
    /// Accepted before then.
    pub until: Option<OffsetDateTime>,
    /// Older than this one.
    pub before: Option<JobId>,
}

impl Filter {
    /// The same with what follows from it: only a failed job has a label. None when
    /// nothing can fit.
    fn narrowed(&self) -> Option<Self> {
        let mut narrowed = self.clone();
        if self.label.is_some() {
            if !self.states.is_empty() && !self.states.contains(&State::Failed) {
                return None;
            }
            narrowed.states = vec![State::Failed];
        }
        Some(narrowed)
    }

    /// Whether a job is one of those asked for, wherever it was found.
    fn holds(&self, job: &Job) -> bool {
        let label = job.end.as_ref().and_then(|end| end.label.as_ref());
        let of_type = job.job_type.as_ref().map(|(name, _)| name);
        (self.states.is_empty() || self.states.contains(&job.state))
            && (self.group.is_none() || self.group == job.group)
            && (self.job_type.is_none() || self.job_type.as_ref() == of_type)
            && (self.user.is_none() || self.user == job.user)
            && self.model.as_ref().is_none_or(|model| *model == job.model)
            && (self.label.is_none() || self.label.as_ref() == label)
            && (self.batch.is_none() || self.batch == job.batch)
    }
}

/// One page, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Jobs that fit; fewer than asked for, even none, when the bound was reached.
    pub jobs: Vec<Job>,
    /// For [`Filter::before`] of the next page; none at the end.
    pub next: Option<JobId>,
}

/// How many jobs fit, as far as that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// At least so many.
    pub jobs: u64,
    /// Whether these are all.
    pub whole: bool,
}

/// Counts the jobs that fit, up to about `most`, and for about as long as `within`.
pub async fn count(
    tx: &mut TenantTx,
    filter: &Filter,
    most: u64,
    within: Duration,
) -> Result<Count> {
    let begun = Instant::now();
    let (mut filter, mut jobs) = (filter.clone(), 0);
    loop {
        let page = page(tx, &filter, PIECE).await?;
        jobs += page.jobs.len() as u64;
        if page.next.is_none() || jobs >= most || begun.elapsed() >= within {
            let whole = page.next.is_none();
            return Ok(Count { jobs, whole });
        }
        filter.before = page.next;
    }
}

/// How much one page may read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows that one step of a walk looks at where they stand side by side.
    pub rows: i64,
    /// Where each stands on a page of its own, or needs a look into another table.
    pub probes: i64,
    /// Steps are added while they fit into this time.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rows: 2_000,
            probes: 1_000,
            time: Duration::from_millis(5),
        }
    }
}

/// Up to `limit` jobs that fit.
pub async fn page(tx: &mut TenantTx, filter: &Filter, limit: usize) -> Result<Page> {
    page_within(tx, filter, limit, Bounds::default()).await
}

/// The same within other bounds.
pub async fn page_within(
    tx: &mut TenantTx,
    filter: &Filter,
    limit: usize,
    bounds: Bounds,
) -> Result<Page> {
    let begun = Instant::now();
    let (mut ids, mut next) = (Vec::new(), filter.before);
    let Some(filter) = filter.narrowed() else {
        return Ok(Page::default());
    };
    let filter = &filter;
    let range = if walk::possible(tx, filter).await? {
        walk::range(tx, filter).await?
    } else {
        None
    };
    while let Some(range) = range {
        let step = Instant::now();
        let walks = step_of(tx, filter, range.before(next), bounds, limit - ids.len()).await?;
        let (found, stopped) = merge(walks, limit - ids.len());
        ids.extend(found);
        next = stopped;
        // The next step will take about as long as this one did.
        let ends = begun.elapsed() + step.elapsed();
        if next.is_none() || ids.len() >= limit || ends > bounds.time {
            break;
        }
    }
    if range.is_none() {
        next = None;
    }
    // A job that moved on between two statements is left out.
    let mut jobs = by_ids(tx, &ids).await?;
    jobs.retain(|job| filter.holds(job));
    Ok(Page { jobs, next })
}

/// One step down every index in which a job that fits may stand, in the order
/// in which a job passes through them: one that moves on meanwhile is met again.
async fn step_of(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    bounds: Bounds,
    limit: usize,
) -> Result<Vec<Walk>> {
    let take = limit.saturating_add(1);
    if let Some(batch) = filter.batch {
        return of_batch(tx, batch, range, bounds, take).await;
    }
    if filter.states.is_empty() {
        return Ok(vec![walk::jobs(tx, filter, range, bounds, take).await?]);
    }
    let mut walks = Vec::new();
    if filter.states.contains(&State::Queued) {
        walks.push(walk::ready(tx, filter, range, bounds, take).await?);
    }
    if filter.states.iter().any(|state| !state.is_final()) {
        walks.push(walk::inflight(tx, filter, range, bounds, take).await?);
    }
    let outcomes = outcomes(filter);
    if !outcomes.is_empty() {
        walks.push(walk::ended(tx, filter, range, &outcomes, bounds, take).await?);
    }
    Ok(walks)
}

/// The jobs of a batch: those that are in it, those that were billed by it, and where
/// those are not all, whoever ended by it without being billed.
async fn of_batch(
    tx: &mut TenantTx,
    batch: BatchId,
    range: Range,
    bounds: Bounds,
    take: usize,
) -> Result<Vec<Walk>> {
    let mut walks = vec![walk::of_batch(tx, batch, range, take).await?];
    if walk::left_unbilled(tx, batch).await? {
        let by_batch = Filter {
            batch: Some(batch),
            ..Filter::default()
        };
        let troubled = ["failed", "canceled"];
        walks.push(walk::ended(tx, &by_batch, range, &troubled, bounds, take).await?);
    }
    Ok(walks)
}

fn outcomes(filter: &Filter) -> Vec<&'static str> {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Completed => State::Completed,
        Outcome::Failed => State::Failed,
        Outcome::Canceled => State::Canceled,
    };
    [Outcome::Completed, Outcome::Failed, Outcome::Canceled]
        .iter()
        .filter(|outcome| filter.states.contains(&of(outcome)))
        .map(|outcome| outcome.as_str())
        .collect()
}

/// The newest `limit` of what several walks found, and where to go on. Below
/// the point where one walk stopped nobody knows what it would have found.
fn merge(walks: Vec<Walk>, limit: usize) -> (Vec<JobId>, Option<JobId>) {
    let stopped = walks.iter().filter_map(|walk| walk.stopped).max();
    let mut ids: Vec<Uuid> = walks.into_iter().flat_map(|walk| walk.ids).collect();
    ids.retain(|id| stopped.is_none_or(|stopped| *id >= stopped));
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let mut next = stopped;
    if ids.len() > limit {
        ids.truncate(limit);
        next = ids.last().copied();
    }
    let ids = ids.into_iter().map(JobId::from_uuid).collect();
    (ids, next.map(JobId::from_uuid))
}

#[cfg(test)]
mod tests {
    use super::{Filter, Walk, merge, outcomes};
    use offpeak_domain::id::JobId;
    use offpeak_domain::job::State;
    use uuid::Uuid;

    fn walk(ids: &[u128], stopped: Option<u128>) -> Walk {
        Walk {
            ids: ids.iter().copied().map(Uuid::from_u128).collect(),
            stopped: stopped.map(Uuid::from_u128),
        }
    }

    fn merged(walks: Vec<Walk>, limit: usize) -> (Vec<u128>, Option<u128>) {
        let number = |id: JobId| id.as_uuid().as_u128();
        let (ids, next) = merge(walks, limit);
        (ids.into_iter().map(number).collect(), next.map(number))
    }

    #[test]
    fn a_page_ends_where_its_shortest_walk_did() {
        assert_eq!(
            merged(vec![walk(&[9, 7], None), walk(&[8], None)], 5),
            (vec![9, 8, 7], None)
        );
        // The second walk has not looked below 6.
        assert_eq!(
            merged(vec![walk(&[9, 7, 3], None), walk(&[8], Some(6))], 5),
            (vec![9, 8, 7], Some(6))
        );
        assert_eq!(
            merged(vec![walk(&[9, 7, 3], Some(3)), walk(&[], Some(6))], 1),
            (vec![9], Some(9))
        );
        assert_eq!(merged(vec![walk(&[], Some(4))], 5), (vec![], Some(4)));
        assert_eq!(merged(vec![], 5), (vec![], None));
    }

    #[test]
    fn a_label_asks_for_failed_jobs() {
        let of = |states: &[State]| {
            let filter = Filter {
                states: states.to_vec(),
                label: Some("truncated".into()),
                ..Filter::default()
            };
            filter.narrowed().map(|narrowed| narrowed.states)
        };
        assert_eq!(of(&[]), Some(vec![State::Failed]));
        assert_eq!(
            of(&[State::Completed, State::Failed]),
            Some(vec![State::Failed])
        );
        assert_eq!(of(&[State::Completed]), None);
    }

    #[test]
    fn only_final_states_are_outcomes() {
        let filter = Filter {
            states: vec![State::Failed, State::Queued, State::Completed],
            ..Filter::default()
        };
        assert_eq!(outcomes(&filter), ["completed", "failed"]);
    }
}
