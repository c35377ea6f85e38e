//! Operations: what is done with every job that a filter finds. A loop of the worker
//! does it; here it is asked for, shown and stopped.

use axum::routing::{get, post};
use offpeak_domain::id::OperationId;
use offpeak_domain::job::State as JobState;
use offpeak_domain::operation::{Action, State as Stands};
use offpeak_store::list::Filter;
use offpeak_store::operation;
use offpeak_wire::{Operation, OperationAction, OperationFilter, OperationState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::State;
use crate::error::{Error, Result};
use crate::routes::Routes;

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod stop;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/operations", get(list::handle).post(create::handle))
        .at("/operations/{id}", get(get::handle))
        .at("/operations/{id}/stop", post(stop::handle))
}

fn parse_id(text: &str) -> Result<OperationId> {
    text.parse().map_err(|_| missing())
}

fn missing() -> Error {
    Error::not_found("operation")
}

/// One as clients see it.
fn view(of: operation::Operation) -> Operation {
    Operation {
        id: of.id.to_string(),
        action: match of.action {
            Action::Cancel => OperationAction::Cancel,
            Action::Retry => OperationAction::Retry,
        },
        state: state(of.state),
        filter: shown(of.filter),
        by: of.by,
        expected: of.expected.jobs,
        all_counted: of.expected.whole,
        matched: of.done + of.left,
        done: of.done,
        left: of.left,
        created_at: of.created_at,
        ended_at: of.ended_at,
        problem: of.problem,
    }
}

pub(crate) fn state(state: Stands) -> OperationState {
    match state {
        Stands::Running => OperationState::Running,
        Stands::Done => OperationState::Done,
        Stands::Stopped => OperationState::Stopped,
    }
}

fn shown(filter: Filter) -> OperationFilter {
    let states: Vec<&str> = filter
        .states
        .iter()
        .copied()
        .map(JobState::as_str)
        .collect();
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    OperationFilter {
        state: Some(states.join(",")),
        r#type: filter.job_type,
        group: filter.group.map(|id| id.to_string()),
        user: filter.user,
        model: filter.model,
        label: filter.label,
        batch: filter.batch.map(|id| id.to_string()),
        since: time(filter.since),
        until: time(filter.until),
    }
}
