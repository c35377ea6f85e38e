use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::{group, result};
use offpeak_wire::{JobResult, Problem};

use super::parse_id;
use crate::caller::Caller;
use crate::error::Result;
use crate::jobs::result::shown;
use crate::query::Query;
use crate::segment::Segment;

/// Jobs that one step of the stream looks at.
const STEP_JOBS: i64 = 500;
/// Bytes of result lines that one step reads, more or less.
const STEP_BYTES: u64 = 4_000_000;

/// Results of a group
///
/// One line for each job that has ended so far, in the order of submission. A
/// stream that breaks off ends without its last newline, and the connection
/// with an error.
#[utoipa::path(
    get, path = "/v1/groups/{id}/results", tag = "groups", operation_id = "get_group_results",
    params(
        ("id" = String, Path, description = "`grp_…`"),
        ("message" = Option<bool>, Query, description = "False leaves out Anthropic's messages as they came"),
    ),
    responses(
        (status = 200, description = "One result a line", body = JobResult, content_type = "application/x-ndjson"),
        (status = 404, description = "There is no such group", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: Caller,
    Segment(id): Segment,
    mut query: Query,
) -> Result<Response> {
    let with_message = query.flag("message", true);
    query.end()?;
    let group = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    group::progress(&mut tx, group).await?;
    tx.commit().await?;

    let steps = stream::try_unfold(Some(None), move |at| {
        let caller = caller.clone();
        async move {
            let Some(after) = at else { return Ok(None) };
            let (text, next) = step(&caller, group, after, with_message)
                .await
                .map_err(Broken)?;
            Ok::<_, Broken>(Some((text, next.map(Some))))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(steps)).into_response())
}

/// The lines of one step, and where the next begins. Its transaction is over
/// before the client reads a byte.
async fn step(
    caller: &Caller,
    group: GroupId,
    after: Option<JobId>,
    with_message: bool,
) -> Result<(Bytes, Option<JobId>)> {
    let mut tx = caller.begin().await?;
    let page = result::page(&mut tx, group, after, STEP_JOBS, STEP_BYTES).await?;
    tx.commit().await?;
    let mut text = Vec::new();
    for ended in page.ended {
        serde_json::to_writer(&mut text, &shown(ended, with_message))
            .map_err(|error| crate::error::Error::internal(&error))?;
        text.push(b'\n');
    }
    Ok((text.into(), page.next))
}

/// Ends the connection: the head of the answer is out already.
#[derive(Debug, thiserror::Error)]
#[error("the results could not be read to their end: {0:?}")]
struct Broken(crate::error::Error);
