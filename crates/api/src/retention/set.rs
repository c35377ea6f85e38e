use axum::extract::State as Extract;
use offpeak_domain::audit::Action;
use offpeak_domain::retention::{DAYS, Fault};
use offpeak_store::retention;
use offpeak_wire::{FieldError, Problem, Retention, RetentionRequest};

use super::{holds, view};
use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::{May, SettingsManage};
use crate::error::{Error, Result, fault};
use crate::query::Query;

const FIELDS: &[Field] = &[
    Field {
        name: "inputs_days",
        expected: "a whole number of days",
        required: false,
        fits: reads_as::<Option<u32>>,
    },
    Field {
        name: "results_days",
        expected: "a whole number of days",
        required: false,
        fits: reads_as::<Option<u32>>,
    },
    Field {
        name: "delete_upstream",
        expected: "true or false",
        required: false,
        fits: reads_as::<bool>,
    },
];

/// Set how long requests and results are kept
///
/// The whole of it: what is left out is as the deployment has it. A shorter time counts
/// within an hour, also for what is there already; what is deleted does not come back.
#[utoipa::path(
    put, path = "/v1/retention", tag = "retention", operation_id = "set_retention",
    request_body = RetentionRequest,
    responses(
        (status = 200, description = "What holds from now on", body = Retention),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<Retention>> {
    query.end()?;
    let request: RetentionRequest = small(&body, FIELDS, "a retention")?;
    let mut tx = caller.begin().await?;
    let own = retention::Retention {
        inputs_days: request.inputs_days,
        results_days: request.results_days,
        delete_upstream: request.delete_upstream,
        changed_at: Some(tx.now()),
    };
    let days = holds(&own, state.retention);
    days.check()
        .map_err(|wrong| Error::input(vec![said(wrong, days.results)]))?;
    retention::set(&mut tx, own).await?;
    let detail = format!(
        "inputs {} days, results {} days{}",
        days.inputs,
        days.results,
        if own.delete_upstream {
            ", deleted at Anthropic too"
        } else {
            ""
        },
    );
    caller
        .note(&mut tx, Action::RetentionSet, "", &detail)
        .await?;
    tx.commit().await?;
    Ok(axum::Json(view(&own, state.retention)))
}

fn said(wrong: Fault, results: u32) -> FieldError {
    let range = format!("must be from {} to {} days", DAYS.start(), DAYS.end());
    match wrong {
        Fault::Inputs => fault("/inputs_days", "invalid_value", range),
        Fault::Results => fault("/results_days", "invalid_value", range),
        Fault::Order => {
            let message = format!(
                "must not be more than the {results} days for results: give fewer, or keep \
                 results for longer"
            );
            fault("/inputs_days", "invalid_value", message)
        }
    }
}
