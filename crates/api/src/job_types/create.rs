use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::job::OnUnknown;
use offpeak_domain::job_type::{Compiled, JobType as Definition};
use offpeak_store::job_type::{self, Stored};
use offpeak_wire::{JobType, JobTypeRequest, Problem};
use serde_json::{Map, Value};

use super::view;
use crate::State;
use crate::body::{Field, Json, expect_unique, parse, reads_as};
use crate::caller::{May, SettingsManage};
use crate::error::{Code, Error, Result, fault};
use crate::jobs::unknown_model;
use crate::query::Query;

/// Bytes of a definition, at most.
const MAX_DEFINITION: usize = 256 * 1024;

const FIELDS: &[Field] = &[
    Field {
        name: "name",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "description",
        expected: "a string",
        required: false,
        fits: reads_as::<String>,
    },
    Field {
        name: "model",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "max_tokens",
        expected: "a whole number from 1 to 300000",
        required: true,
        fits: reads_as::<u32>,
    },
    Field {
        name: "system",
        expected: "a string",
        required: false,
        fits: reads_as::<String>,
    },
    Field {
        name: "template",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "input_schema",
        expected: "an object",
        required: true,
        fits: reads_as::<Map<String, Value>>,
    },
    Field {
        name: "output_schema",
        expected: "an object, or null",
        required: false,
        fits: reads_as::<Option<Map<String, Value>>>,
    },
    Field {
        name: "deliver_within",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "on_late",
        expected: "\"wait\", \"escalate\" or \"fail\"",
        required: false,
        fits: reads_as::<Option<offpeak_wire::OnLate>>,
    },
    Field {
        name: "on_unknown",
        expected: "\"fail\" or \"retry\"",
        required: false,
        fits: reads_as::<Option<offpeak_wire::OnUnknown>>,
    },
    Field {
        name: "reuse_for",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "coalesce",
        expected: "true or false",
        required: false,
        fits: reads_as::<Option<bool>>,
    },
];

/// Store a job type, or a new version of one
///
/// Jobs that were submitted before run with the version of their time.
#[utoipa::path(
    post, path = "/v1/job-types", tag = "job types", operation_id = "create_job_type",
    request_body = JobTypeRequest,
    responses(
        (status = 201, description = "Stored, with its version", body = JobType),
        (status = 409, description = "Somebody else has just stored this version", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    if body.len() > MAX_DEFINITION {
        let detail = format!("a job type is at most {MAX_DEFINITION} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    let request: JobTypeRequest = parse(&body, FIELDS).map_err(Error::input)?;
    expect_unique(&body).map_err(Error::input)?;
    let mut definition = definition(request);
    check(&state, &definition)?;

    let mut tx = caller.begin().await?;
    definition.version = job_type::next_version(&mut tx, &definition.name).await?;
    let text = serde_json::to_string(&definition).map_err(|error| Error::internal(&error))?;
    let created_at = job_type::insert(&mut tx, &definition.name, definition.version, &text)
        .await?
        .ok_or_else(|| {
            Error::new(
                Code::VersionTaken,
                "send the same again for the next version",
            )
        })?;
    tx.commit().await?;

    let location = format!(
        "/v1/job-types/{}?version={}",
        definition.name, definition.version
    );
    let shown: JobType = view(&Stored {
        name: definition.name,
        version: definition.version,
        shipped: false,
        definition: text,
        created_at,
    })?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        axum::Json(shown),
    )
        .into_response())
}

fn definition(request: JobTypeRequest) -> Definition {
    Definition {
        name: request.name,
        version: 1,
        description: request.description,
        model: request.model,
        max_tokens: request.max_tokens,
        system: request.system,
        template: request.template,
        input_schema: request.input_schema,
        output_schema: request.output_schema,
        deliver_within: request.deliver_within,
        on_late: request.on_late.map(crate::jobs::policy),
        on_unknown: request.on_unknown.map(|policy| match policy {
            offpeak_wire::OnUnknown::Fail => OnUnknown::Fail,
            offpeak_wire::OnUnknown::Retry => OnUnknown::Retry,
        }),
        reuse_for: request.reuse_for,
        coalesce: request.coalesce,
    }
}

fn check(state: &State, definition: &Definition) -> Result<()> {
    let mut faults = Vec::new();
    if let Err(invalid) = Compiled::new(definition.clone()) {
        faults.extend(
            invalid
                .errors
                .into_iter()
                .map(|error| fault(error.pointer, "invalid_job_type", error.message)),
        );
    }
    if !state.prices.admits(&definition.model) {
        faults.push(unknown_model(state, "/model"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::input(faults))
    }
}
