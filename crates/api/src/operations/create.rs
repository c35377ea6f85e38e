use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use offpeak_domain::audit;
use offpeak_domain::id::{Minter, OperationId};
use offpeak_domain::job::State as JobState;
use offpeak_domain::operation::Action;
use offpeak_store::list::{self, Filter};
use offpeak_store::operation::{self, New};
use offpeak_wire::{
    FieldError, Operation, OperationAction, OperationFilter, OperationPreview, OperationRequest,
    Problem,
};

use super::view;
use crate::State;
use crate::body::{Field, Json, parse, reads_as};
use crate::caller::{JobsWrite, May};
use crate::error::{Code, Error, Result, fault};
use crate::jobs::filter;
use crate::query::Query;
use crate::state::rng;

/// Operations of a tenant that run at once, at most.
const RUNNING: u64 = 20;
/// Jobs that are counted beforehand, at most …
const COUNTED: u64 = 100_000;
/// … and for how long.
const COUNTING: Duration = Duration::from_secs(2);

const FIELDS: &[Field] = &[
    Field {
        name: "action",
        expected: "\"cancel\" or \"retry\"",
        required: true,
        fits: reads_as::<OperationAction>,
    },
    Field {
        name: "filter",
        expected: "an object with any of state, type, group, user, model, label, batch, since \
                   and until, each a string",
        required: false,
        fits: reads_as::<OperationFilter>,
    },
    Field {
        name: "all",
        expected: "true or false",
        required: false,
        fits: reads_as::<bool>,
    },
    Field {
        name: "completed",
        expected: "true or false",
        required: false,
        fits: reads_as::<bool>,
    },
    Field {
        name: "dry_run",
        expected: "true or false",
        required: false,
        fits: reads_as::<bool>,
    },
];

/// Cancel or retry every job that matches
///
/// The server does it, some hundred jobs at a time, whether or not anybody waits for it:
/// look at the operation to see how far it is. Jobs that are submitted afterwards are not
/// touched. A retry stops when a hard budget has no room.
///
/// With `dry_run` nothing is done, and the answer says how many jobs it would be.
#[utoipa::path(
    post, path = "/v1/operations", tag = "operations", operation_id = "create_operation",
    request_body = OperationRequest,
    responses(
        (status = 202, description = "It runs", body = Operation),
        (status = 200, description = "With `dry_run`: what it would find", body = OperationPreview),
        (status = 409, description = "Twenty of yours are running", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: OperationRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let dry_run = request.dry_run;
    let (action, filter) = read(request).map_err(Error::input)?;
    let mut tx = caller.begin().await?;
    if !dry_run && operation::running(&mut tx).await? >= RUNNING {
        let detail = format!("{RUNNING} operations are running; wait for one, or stop it");
        return Err(Error::new(Code::TooManyOperations, detail));
    }
    let expected = list::count(&mut tx, &filter, COUNTED, COUNTING).await?;
    if dry_run {
        tx.commit().await?;
        let preview = OperationPreview {
            jobs: expected.jobs,
            all_counted: expected.whole,
        };
        return Ok(axum::Json(preview).into_response());
    }
    let new = New {
        id: Minter::new(tx.now(), rng()).mint::<OperationId>(),
        action,
        by: caller.shown().to_owned(),
        filter,
        expected,
    };
    let begun = operation::create(&mut tx, new).await?;
    caller
        .note(
            &mut tx,
            audit::Action::OperationBegin,
            &begun.id.to_string(),
            action.as_str(),
        )
        .await?;
    tx.commit().await?;
    // Whoever does it listens for that.
    state.hint.ready();
    let shown: Operation = view(begun);
    Ok((StatusCode::ACCEPTED, axum::Json(shown)).into_response())
}

/// What is to be done, and with which jobs.
fn read(request: OperationRequest) -> std::result::Result<(Action, Filter), Vec<FieldError>> {
    let action = match request.action {
        OperationAction::Cancel => Action::Cancel,
        OperationAction::Retry => Action::Retry,
    };
    let mut faults = Vec::new();
    if request.completed && action == Action::Cancel {
        let message = "is for a retry: a completed job cannot be canceled";
        faults.push(fault("/completed", "not_allowed", message));
    }
    let given = given(request.filter);
    match (given.is_empty(), request.all) {
        (true, false) => {
            let message = "says nothing; to mean every job of yours, send `\"all\": true`";
            faults.push(fault("/filter", "missing_field", message));
        }
        (false, true) => {
            let message = "means every job of yours; leave it out, or the filter";
            faults.push(fault("/all", "not_allowed", message));
        }
        (true, true) | (false, false) => {}
    }
    let mut query = Query::from(given);
    let mut filter = filter::read(&mut query);
    faults.extend(query.into_faults().into_iter().map(|one| FieldError {
        field: format!("/filter/{}", one.field),
        ..one
    }));
    filter.states = action.states(&filter.states, request.completed);
    let impossible = if filter.states.is_empty() {
        Some("/filter/state")
    } else if filter.label.is_some() && !filter.states.contains(&JobState::Failed) {
        // Only a failed job has one.
        Some("/filter/label")
    } else {
        None
    };
    if let Some(field) = impossible.filter(|_| faults.is_empty()) {
        faults.push(fault(field, "invalid_value", nothing(action)));
    }
    if faults.is_empty() {
        Ok((action, filter))
    } else {
        Err(faults)
    }
}

/// Why an action changes none of these.
fn nothing(action: Action) -> &'static str {
    match action {
        Action::Cancel => "asks for jobs that have ended, and those cannot be canceled",
        Action::Retry => {
            "asks for jobs that cannot be retried: a retry is for failed and canceled jobs, and \
             with `\"completed\": true` for completed ones"
        }
    }
}

/// What a filter says, as the parameters of a list would.
fn given(filter: OperationFilter) -> Vec<(String, String)> {
    let OperationFilter {
        state,
        r#type,
        group,
        user,
        model,
        label,
        batch,
        since,
        until,
    } = filter;
    [
        ("state", state),
        ("type", r#type),
        ("group", group),
        ("user", user),
        ("model", model),
        ("label", label),
        ("batch", batch),
        ("since", since),
        ("until", until),
    ]
    .into_iter()
    // An empty parameter of a list counts as not given.
    .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|text| !text.is_empty())?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, read};
    use crate::body::parse;
    use offpeak_domain::job::State::{Canceled, Completed, Failed, Queued};

    fn faults(body: &str) -> Vec<String> {
        let read = parse(body.as_bytes(), FIELDS).and_then(read);
        let faults = read.unwrap_err();
        let said = faults.iter();
        said.map(|one| format!("{} {}", one.field, one.code))
            .collect()
    }

    fn states(body: &str) -> Vec<offpeak_domain::job::State> {
        let read = parse(body.as_bytes(), FIELDS).and_then(read);
        read.unwrap().1.states
    }

    #[test]
    fn everything_is_never_meant_by_saying_nothing() {
        for body in [
            r#"{"action":"cancel"}"#,
            r#"{"action":"cancel","filter":{}}"#,
            r#"{"action":"cancel","filter":{"user":""}}"#,
            r#"{"action":"retry","all":false}"#,
        ] {
            assert_eq!(faults(body), ["/filter missing_field"], "{body}");
        }
        let both = r#"{"action":"cancel","filter":{"user":"ada"},"all":true}"#;
        assert_eq!(faults(both), ["/all not_allowed"]);
    }

    #[test]
    fn what_can_change_nothing_is_refused() {
        for (body, said) in [
            (
                r#"{"action":"cancel","filter":{"state":"failed"}}"#,
                "/filter/state invalid_value",
            ),
            (
                r#"{"action":"cancel","filter":{"label":"truncated"}}"#,
                "/filter/label invalid_value",
            ),
            (
                r#"{"action":"retry","filter":{"state":"queued"}}"#,
                "/filter/state invalid_value",
            ),
            (
                r#"{"action":"retry","filter":{"state":"completed"}}"#,
                "/filter/state invalid_value",
            ),
            (
                r#"{"action":"cancel","all":true,"completed":true}"#,
                "/completed not_allowed",
            ),
            (
                r#"{"action":"retry","filter":{"group":"7"}}"#,
                "/filter/group invalid_value",
            ),
            (r#"{"action":"burn","all":true}"#, "/action wrong_type"),
            (
                r#"{"action":"retry","filter":{"colour":"red"}}"#,
                "/filter wrong_type",
            ),
        ] {
            assert_eq!(faults(body), [said], "{body}");
        }
    }

    #[test]
    fn a_filter_is_narrowed_to_what_the_action_can_change() {
        let retry = r#"{"action":"retry","all":true}"#;
        assert_eq!(states(retry), [Failed, Canceled]);
        let completed = r#"{"action":"retry","filter":{"state":"completed"},"completed":true}"#;
        assert_eq!(states(completed), [Completed]);
        let cancel = r#"{"action":"cancel","filter":{"state":"queued,failed"}}"#;
        assert_eq!(states(cancel), [Queued]);
    }
}
