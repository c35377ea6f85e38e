use axum::extract::State as Extract;
use offpeak_store::{estimates, group, retry};
use offpeak_wire::{Problem, Retried};

use super::{CHUNK, parse_id, shown_one};
use crate::State;
use crate::caller::{JobsWrite, May};
use crate::error::Result;
use crate::query::Query;
use crate::segment::Segment;

/// Run the failed and canceled jobs of a group once more
///
/// Completed jobs are left as they are; one of them runs again by
/// `POST /v1/jobs/{id}/retry?completed=true`.
///
/// A large group is retried in steps; when the call breaks off, the same call
/// again goes on.
#[utoipa::path(
    post, path = "/v1/groups/{id}/retry", tag = "groups", operation_id = "retry_group",
    params(("id" = String, Path, description = "`grp_…`")),
    responses(
        (status = 200, description = "How many were retried, and the group afterwards", body = Retried),
        (status = 402, description = "A hard budget has no room; what was retried before goes on", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such group", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Retried>> {
    query.end()?;
    let id = parse_id(&id)?;
    let (mut retried, mut in_flight, mut after) = (0, 0, None);
    loop {
        let mut tx = caller.go_on().await?;
        if after.is_none() {
            group::progress(&mut tx, id).await?;
        }
        let jobs = group::jobs_after(&mut tx, id, after, CHUNK).await?;
        let expected = estimates::of_ended(&mut tx, &jobs, retry::TROUBLED, &state.prices).await?;
        let done = retry::jobs(&mut tx, &jobs, retry::TROUBLED, &expected).await?;
        tx.commit().await?;
        if !done.retried.is_empty() {
            state.hint.ready();
        }
        retried += done.retried.len() as u64;
        in_flight += done.in_flight.len() as u64;
        match jobs.last() {
            Some(last) => after = Some(*last),
            None => break,
        }
    }
    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    let found = group::progress(&mut tx, id).await?;
    let group = shown_one(&mut tx, found, &outlook).await?;
    tx.commit().await?;
    Ok(axum::Json(Retried {
        retried,
        in_flight,
        group,
    }))
}
