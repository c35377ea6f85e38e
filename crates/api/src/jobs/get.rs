use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue};
use offpeak_domain::id::JobId;
use offpeak_store::{TenantTx, job, stream};
use offpeak_wire::{Job, Problem};

use super::view;
use crate::caller::{JobsRead, Reader, Reads};
use crate::error::{Error, Result};
use crate::live_cursor::LiveCursor;
use crate::query::Query;
use crate::segment::Segment;

/// One job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(
        ("id" = String, Path, description = "`job_…`"),
        ("ticket" = Option<String>, Query, description = "`ofp_ticket_…`, where no header can be set"),
    ),
    responses(
        (status = 200, description = "The job", body = Job,
            headers(("offpeak-cursor" = String, description = "The answer holds at least every event up to there"))),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("session" = []), ("ticket" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<crate::State>,
    reader: Reads<JobsRead>,
    Segment(id): Segment,
    mut query: Query,
) -> Result<Shown> {
    query.read_before("ticket");
    query.end()?;
    let id = parse_id(&id)?;
    let outlook = state.outlook(reader.tenant()).await;
    let mut tx = reader.begin().await?;
    let cursor = LiveCursor::from(stream::head(&mut tx).await?);
    let found = readable(&mut tx, &reader, id).await?;
    let mut shown = view::placed(&mut tx, found, &outlook).await?;
    tx.commit().await?;
    if reader.is_guest() {
        shown = view::for_guests(shown);
    }
    Ok((cursor.header(), axum::Json(shown)))
}

type Shown = ([(HeaderName, HeaderValue); 1], axum::Json<Job>);

/// A job that the reader may see. One outside of a ticket's scope answers as what
/// was never there.
pub(super) async fn readable(tx: &mut TenantTx, reader: &Reader, id: JobId) -> Result<job::Job> {
    let found = job::get(tx, id).await?;
    if reader.extent().holds(found.user.as_deref(), found.group) {
        Ok(found)
    } else {
        Err(Error::not_found("job"))
    }
}

/// What is no id names nothing: the same answer as for an id of nobody.
pub(super) fn parse_id(text: &str) -> Result<JobId> {
    text.parse().map_err(|_| Error::not_found("job"))
}
