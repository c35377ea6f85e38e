use offpeak_store::job_type;
use offpeak_wire::{JobType, Page, Problem};

use super::view;
use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;

/// Job types that one answer lists, at most.
const MAX: i64 = 1_000;

/// Job types by name, each in its newest version
///
/// The tenant's own and the shipped ones; one of its own hides a shipped one of
/// the same name.
#[utoipa::path(
    get, path = "/v1/job-types", tag = "job types", operation_id = "list_job_types",
    responses(
        (status = 200, description = "All of them", body = Page<JobType>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    query: Query,
) -> Result<axum::Json<Page<JobType>>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let stored = job_type::list(&mut tx, None, MAX).await?;
    tx.commit().await?;
    let data = stored.iter().map(view).collect::<Result<_>>()?;
    Ok(axum::Json(Page {
        data,
        next_cursor: None,
    }))
}
