//! The list of jobs: filters, a keyset, and a bound on what one page reads.
//!
//! Queued and submitted jobs are found through `ready` and `inflight`, ended
//! ones through `result`, failed and canceled ones through an index of their
//! own, a group's through its index; whichever is walked, a page looks at no
//! more than [`SCAN`] jobs and then hands back where to go on.

use offpeak_domain::id::{GroupId, JobId};
use offpeak_domain::job::State;
use uuid::Uuid;

use crate::job::{Job, by_ids};
use crate::{Result, TenantTx};

/// Jobs that one page looks at, at most.
pub const SCAN: usize = 5_000;

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

/// Where the walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    All,
    Open,
    Ended,
    /// Failed or canceled.
    Troubled,
    Group(GroupId),
}

/// Up to `limit` jobs that fit.
pub async fn page(tx: &mut TenantTx, filter: &Filter, limit: usize) -> Result<Page> {
    let source = source(filter);
    let (mut jobs, mut seen, mut before) = (Vec::new(), 0, filter.before);
    // The first step is small, since most pages are full after it.
    let mut step = limit.saturating_add(1);
    loop {
        let heads = heads(tx, source, before, step).await?;
        let at_end = heads.len() < step;
        seen += heads.len();
        before = heads.last().copied().or(before);
        for job in by_ids(tx, &heads).await? {
            if fits(filter, &job) {
                jobs.push(job);
            }
            if jobs.len() > limit {
                jobs.truncate(limit);
                let next = jobs.last().map(|job| job.id);
                return Ok(Page { jobs, next });
            }
        }
        if at_end {
            return Ok(Page { jobs, next: None });
        }
        if seen >= SCAN {
            return Ok(Page { jobs, next: before });
        }
        step = (step * 4).min(1_000).min(SCAN - seen);
    }
}

fn source(filter: &Filter) -> Source {
    let troubled = |state: &State| state.is_final() && *state != State::Completed;
    if !filter.states.is_empty() && filter.states.iter().all(troubled) {
        return Source::Troubled;
    }
    if let Some(group) = filter.group {
        return Source::Group(group);
    }
    if filter.states.is_empty() {
        Source::All
    } else if filter.states.iter().all(|state| state.is_final()) {
        Source::Ended
    } else if filter.states.iter().any(|state| state.is_final()) {
        Source::All
    } else {
        Source::Open
    }
}

fn fits(filter: &Filter, job: &Job) -> bool {
    let is = |wanted: &Option<String>, is: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
    };
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && filter.group.is_none_or(|group| job.group == Some(group))
        && is(
            &filter.job_type,
            job.job_type.as_ref().map(|(name, _)| name.as_str()),
        )
        && is(&filter.user, job.user.as_deref())
        && is(&filter.model, Some(&job.model))
}

/// The next `limit` ids on the walk, newest first.
async fn heads(
    tx: &mut TenantTx,
    source: Source,
    before: Option<JobId>,
    limit: usize,
) -> Result<Vec<JobId>> {
    let tenant = tx.tenant().as_uuid();
    let before = before.map_or(Uuid::max(), JobId::as_uuid);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids = match source {
        Source::All => {
            sqlx::query_scalar!(
                "SELECT id FROM job
                  WHERE tenant_id = $1 AND id < $2
                  ORDER BY id DESC LIMIT $3",
                tenant,
                before,
                limit,
            )
            .fetch_all(tx.conn())
            .await?
        }
        Source::Ended => {
            sqlx::query_scalar!(
                "SELECT id FROM result
                  WHERE tenant_id = $1 AND id < $2
                  ORDER BY id DESC LIMIT $3",
                tenant,
                before,
                limit,
            )
            .fetch_all(tx.conn())
            .await?
        }
        Source::Troubled => {
            sqlx::query_scalar!(
                "SELECT id FROM result
                  WHERE tenant_id = $1 AND outcome <> 'completed' AND id < $2
                  ORDER BY id DESC LIMIT $3",
                tenant,
                before,
                limit,
            )
            .fetch_all(tx.conn())
            .await?
        }
        Source::Group(group) => {
            sqlx::query_scalar!(
                "SELECT id FROM job
                  WHERE tenant_id = $1 AND group_id = $4 AND id < $2
                  ORDER BY id DESC LIMIT $3",
                tenant,
                before,
                limit,
                group.as_uuid(),
            )
            .fetch_all(tx.conn())
            .await?
        }
        Source::Open => {
            // A job stands in one of the two, except for the moment in which a
            // claim moves it; UNION leaves one of each.
            sqlx::query_scalar!(
                r#"SELECT id AS "id!"
                     FROM (SELECT id FROM (SELECT id FROM ready
                                            WHERE tenant_id = $1 AND id < $2
                                            ORDER BY id DESC LIMIT $3) AS r
                            UNION
                           SELECT id FROM (SELECT id FROM inflight
                                            WHERE tenant_id = $1 AND id < $2 AND NOT canceled
                                            ORDER BY id DESC LIMIT $3) AS i) AS open
                    ORDER BY id DESC LIMIT $3"#,
                tenant,
                before,
                limit,
            )
            .fetch_all(tx.conn())
            .await?
        }
    };
    Ok(ids.into_iter().map(JobId::from_uuid).collect())
}

#[cfg(test)]
mod tests {
    use super::{Filter, Source, source};
    use offpeak_domain::job::State;

    #[test]
    fn the_walk_follows_the_states_asked_for() {
        let of = |states: &[State]| {
            source(&Filter {
                states: states.into(),
                ..Filter::default()
            })
        };
        assert_eq!(of(&[]), Source::All);
        assert_eq!(of(&[State::Queued, State::Submitted]), Source::Open);
        assert_eq!(of(&[State::Failed, State::Canceled]), Source::Troubled);
        assert_eq!(of(&[State::Failed, State::Completed]), Source::Ended);
        assert_eq!(of(&[State::Failed, State::Queued]), Source::All);
    }
}
