//! The list of jobs: filters, a keyset, and a bound on what one page reads.
//!
//! Ended jobs are found through `result`, failed and canceled ones through an
//! index of their own, open ones through `ready` and `inflight`, a group's
//! through its index. Each such walk looks at a bounded number of rows and says
//! how far it came; a page ends where the shortest of its walks did, and hands
//! back a cursor. So the cost of a page does not depend on what the filters
//! match, only how many pages it takes to find it.

use offpeak_domain::id::{GroupId, JobId};
use offpeak_domain::job::{Outcome, State};
use uuid::Uuid;

use crate::job::{Job, by_ids};
use crate::{Result, TenantTx};

mod walk;

use walk::Walk;

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
    /// Older than this one.
    pub before: Option<JobId>,
}

/// One page, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Jobs that fit; fewer than asked for, even none, when the bound was reached.
    pub jobs: Vec<Job>,
    /// For [`Filter::before`] of the next page; none at the end.
    pub next: Option<JobId>,
}

/// Up to `limit` jobs that fit.
pub async fn page(tx: &mut TenantTx, filter: &Filter, limit: usize) -> Result<Page> {
    let take = limit.saturating_add(1);
    let mut walks = Vec::new();
    if filter.states.is_empty() {
        walks.push(walk::jobs(tx, filter, take).await?);
    } else if let Some(range) = walk::range(tx, filter).await? {
        let outcomes = outcomes(filter);
        if !outcomes.is_empty() {
            walks.push(walk::ended(tx, filter, range, &outcomes, take).await?);
        }
        if filter.states.contains(&State::Queued) {
            walks.push(walk::ready(tx, filter, range, take).await?);
        }
        if filter.states.iter().any(|state| !state.is_final()) {
            walks.push(walk::inflight(tx, filter, range, take).await?);
        }
    }
    let (ids, next) = merge(walks, limit);
    // A job that moved on between two statements is left out.
    let mut jobs = by_ids(tx, &ids).await?;
    jobs.retain(|job| filter.states.is_empty() || filter.states.contains(&job.state));
    Ok(Page { jobs, next })
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
    fn only_final_states_are_outcomes() {
        let filter = Filter {
            states: vec![State::Failed, State::Queued, State::Completed],
            ..Filter::default()
        };
        assert_eq!(outcomes(&filter), ["completed", "failed"]);
    }
}
