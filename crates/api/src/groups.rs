//! Groups: jobs that were submitted together.

use std::time::Duration;

use axum::routing::{get, post};
use offpeak_domain::id::GroupId;
use offpeak_domain::job::State as JobState;
use offpeak_domain::left::{Part, left};
use offpeak_store::TenantTx;
use offpeak_store::group::{self, OpenPart, Progress};
use offpeak_wire::{Counts, Group, TimeLeft, TokenTotals};
use time::OffsetDateTime;

use crate::State;
use crate::error::{Error, Result};
use crate::outlook::Outlook;
use crate::routes::Routes;

pub(crate) mod cancel;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod results;
pub(crate) mod retry;

/// Jobs that a cancel or retry of a group takes in one transaction.
const CHUNK: i64 = 1_000;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/groups", get(list::handle))
        .at("/groups/{id}", get(get::handle))
        .at("/groups/{id}/results", get(results::handle))
        .at("/groups/{id}/cancel", post(cancel::handle))
        .at("/groups/{id}/retry", post(retry::handle))
}

fn parse_id(text: &str) -> Result<GroupId> {
    text.parse().map_err(|_| Error::not_found("group"))
}

/// Jobs by state as clients see them.
pub(crate) fn counts(states: &[(JobState, u64)]) -> Counts {
    let mut counts = Counts::default();
    for &(state, n) in states {
        *match state {
            JobState::Queued => &mut counts.queued,
            JobState::Submitted => &mut counts.submitted,
            JobState::Processing => &mut counts.processing,
            JobState::Completed => &mut counts.completed,
            JobState::Failed => &mut counts.failed,
            JobState::Canceled => &mut counts.canceled,
        } = n;
    }
    counts
}

/// Stored groups as clients see them, each with when it ends.
pub(crate) async fn shown(
    tx: &mut TenantTx,
    groups: Vec<Progress>,
    outlook: &Outlook,
) -> Result<Vec<Group>> {
    let waits = |group: &Progress| {
        let queued = group
            .states
            .iter()
            .find(|(state, _)| *state == JobState::Queued);
        queued.map_or(0, |(_, n)| *n)
    };
    let mut all: Vec<(GroupId, u64, Group)> = groups
        .into_iter()
        .map(|group| (group.id, waits(&group), view(group)))
        .collect();
    let open = all.iter().filter(|(.., group)| !group.done);
    let open: Vec<GroupId> = open.map(|(id, ..)| *id).collect();
    if !open.is_empty() {
        let parts = group::open_parts(tx, &open).await?;
        for (id, waiting, group) in &mut all {
            let own = parts.iter().filter(|(of, _)| of == id);
            let own: Vec<OpenPart> = own.map(|(_, part)| *part).collect();
            group.left = time_left(&own, *waiting, tx.now(), outlook);
        }
    }
    Ok(all.into_iter().map(|(.., group)| group).collect())
}

/// One group.
async fn shown_one(tx: &mut TenantTx, group: Progress, outlook: &Outlook) -> Result<Group> {
    let id = group.id;
    let shown = shown(tx, vec![group], outlook).await?.pop();
    shown.ok_or_else(|| offpeak_store::Error::NoGroup(id).into())
}

/// When the open parts of a group, or the one of a job, are back. Its waiting jobs are taken for one
/// batch: what is beyond the size of any that was measured says nothing.
pub(crate) fn time_left(
    parts: &[OpenPart],
    waiting: u64,
    now: OffsetDateTime,
    outlook: &Outlook,
) -> Option<TimeLeft> {
    let parts: Vec<Part> = parts
        .iter()
        .map(|part| match *part {
            OpenPart::Waiting => Part {
                since: now,
                flush: outlook.flush_after,
                measured: outlook.usual(waiting),
            },
            OpenPart::Batch { items, created_at } => Part {
                since: created_at.unwrap_or(now),
                flush: Duration::ZERO,
                measured: outlook.usual(items),
            },
        })
        .collect();
    left(now, &parts, outlook.poll_every).map(|left| TimeLeft {
        from: left.from,
        to: left.to,
        batches: left.of,
        late: left.late,
    })
}

/// A stored group as clients see it, but for what is left of it.
fn view(group: Progress) -> Group {
    let counts = counts(&group.states);
    Group {
        id: group.id.to_string(),
        name: group.name,
        created_at: group.created_at,
        jobs: group.jobs,
        done: counts.completed + counts.failed + counts.canceled == group.jobs,
        counts,
        left: None,
        usage: TokenTotals {
            input_tokens: group.input_tokens,
            output_tokens: group.output_tokens,
        },
        cost: group.cost.to_usd_string(),
        cost_sync: group.cost_sync.to_usd_string(),
        saved: (group.cost_sync - group.cost).to_usd_string(),
        unpriced: group.unpriced,
    }
}

#[cfg(test)]
mod tests {
    use super::view;
    use offpeak_domain::id::GroupId;
    use offpeak_domain::job::State;
    use offpeak_domain::money::Pico;
    use offpeak_store::group::Progress;
    use time::OffsetDateTime;
    use uuid::Uuid;

    #[test]
    fn a_group_is_done_when_every_job_has_ended() {
        let group = |states: &[(State, u64)]| {
            view(Progress {
                id: GroupId::from_uuid(Uuid::nil()),
                name: None,
                created_at: OffsetDateTime::UNIX_EPOCH,
                jobs: 3,
                states: states.into(),
                input_tokens: 0,
                output_tokens: 0,
                cost: Pico(1_000_000_000_000),
                cost_sync: Pico(2_500_000_000_000),
                unpriced: 0,
            })
        };
        let open = group(&[(State::Completed, 2), (State::Processing, 1)]);
        assert!(!open.done);
        assert_eq!((open.counts.completed, open.counts.processing), (2, 1));
        let ended = group(&[
            (State::Completed, 1),
            (State::Failed, 1),
            (State::Canceled, 1),
        ]);
        assert!(ended.done);
        assert_eq!(ended.saved, "1.5");
    }
}
