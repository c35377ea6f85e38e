use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_wire::{BulkAnswer, JobRequest, Problem};

use super::idempotency_key;
use super::lines::Lines;
use super::upload::{Options, Upload, seed};
use crate::State;
use crate::body::expect_media_type;
use crate::caller::{JobsWrite, May};
use crate::error::Result;
use crate::query::Query;
use crate::text::{self, MAX_LABEL};

/// Submit many jobs as one group
///
/// One job a line, up to a million lines of up to 32 MB. All or nothing: one
/// bad line, and nothing is stored; the answer names the first hundred faults
/// by line and field. With `partial=true` bad lines are left out instead. Blank
/// lines are skipped.
///
/// Under an `idempotency-key` an interrupted upload may be sent again, whole:
/// it goes on after the last line that was stored.
#[utoipa::path(
    post, path = "/v1/jobs/bulk", tag = "jobs", operation_id = "submit_jobs",
    params(
        ("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, description = "Names the upload; at most 255 characters"),
        ("partial" = Option<bool>, Query, description = "Leave out bad lines instead of refusing all"),
        ("name" = Option<String>, Query, max_length = 256, description = "Name of the group; at most 256 characters"),
    ),
    request_body(content = JobRequest, content_type = "application/x-ndjson", description = "One job a line"),
    responses(
        (status = 202, description = "Accepted", body = BulkAnswer),
        (status = 200, description = "Accepted before under the same idempotency key", body = BulkAnswer),
        (status = 402, description = "A hard budget has no room for a line; nothing was stored, `partial` or not", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another upload under the same key is under way", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "A line is too long, or there are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Bad lines, no lines, or a key with another body", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many jobs wait; under a key what was stored stays, and the same body goes on after it", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room for more jobs, or no database", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    headers: HeaderMap,
    mut query: Query,
    body: Body,
) -> Result<Response> {
    expect_media_type(&headers, "application/x-ndjson", |given| {
        matches!(
            given,
            "application/x-ndjson"
                | "application/ndjson"
                | "application/jsonl"
                | "application/x-jsonlines"
                | "application/json"
                | "text/plain"
        )
    })?;
    let partial = query.flag("partial", false);
    let name = query.text("name");
    if let Some(fault) = name
        .as_deref()
        .and_then(|name| text::label("name", name, MAX_LABEL).err())
    {
        query.refuse(fault);
    }
    query.end()?;
    let options = Options {
        key: idempotency_key(&headers)?,
        name,
        partial,
    };

    let lines = Lines::new(body, seed(partial));
    let answer = Upload::begin(&state, &caller, options)
        .await?
        .run(lines)
        .await?;
    let status = if answer.replayed {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let location = format!("/v1/groups/{}", answer.group);
    Ok((status, [(header::LOCATION, location)], axum::Json(answer)).into_response())
}
