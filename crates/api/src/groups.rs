//! Groups: jobs that were submitted together.

use axum::Router;
use axum::routing::{get, post};
use offpeak_domain::id::GroupId;
use offpeak_domain::job::State as JobState;
use offpeak_store::group::Progress;
use offpeak_wire::{Counts, Group, TokenTotals};

use crate::State;
use crate::error::{Error, Result};

pub(crate) mod cancel;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod results;
pub(crate) mod retry;

/// Jobs that a cancel or retry of a group takes in one transaction.
const CHUNK: i64 = 1_000;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/groups", get(list::handle))
        .route("/groups/{id}", get(get::handle))
        .route("/groups/{id}/results", get(results::handle))
        .route("/groups/{id}/cancel", post(cancel::handle))
        .route("/groups/{id}/retry", post(retry::handle))
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

/// A stored group as clients see it.
fn view(group: Progress) -> Group {
    let counts = counts(&group.states);
    Group {
        id: group.id.to_string(),
        name: group.name,
        created_at: group.created_at,
        jobs: group.jobs,
        done: counts.completed + counts.failed + counts.canceled == group.jobs,
        counts,
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
