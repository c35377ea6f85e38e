use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue};
use offpeak_store::{group, stream};
use offpeak_wire::{Group, Problem};

use super::{parse_id, shown_one};
use crate::State;
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::live_cursor::LiveCursor;
use crate::query::Query;
use crate::segment::Segment;

/// One group with its progress
#[utoipa::path(
    get, path = "/v1/groups/{id}", tag = "groups", operation_id = "get_group",
    params(("id" = String, Path, description = "`grp_…`")),
    responses(
        (status = 200, description = "The group", body = Group,
            headers(("offpeak-cursor" = String, description = "The answer holds at least every event up to there"))),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<([(HeaderName, HeaderValue); 1], axum::Json<Group>)> {
    query.end()?;
    let id = parse_id(&id)?;
    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    let cursor = LiveCursor::from(stream::head(&mut tx).await?);
    let found = group::progress(&mut tx, id).await?;
    let shown = shown_one(&mut tx, found, &outlook).await?;
    tx.commit().await?;
    Ok((cursor.header(), axum::Json(shown)))
}
