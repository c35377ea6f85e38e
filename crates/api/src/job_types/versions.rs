use offpeak_store::job_type;
use offpeak_wire::{JobType, Page, Problem};
use uuid::Uuid;

use super::view;
use crate::caller::{JobsRead, May};
use crate::cursor;
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Every version of a job type, newest first
///
/// The tenant's own and the shipped ones of that name: a version is never changed, and
/// its number names one definition.
#[utoipa::path(
    get, path = "/v1/job-types/{name}/versions", tag = "job types", operation_id = "list_job_type_versions",
    params(
        ("name" = String, Path, description = "Its name"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<JobType>),
        (status = 404, description = "There is no such job type", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    Segment(name): Segment,
    mut query: Query,
) -> Result<axum::Json<Page<JobType>>> {
    let limit = query.limit();
    let given = query.text("cursor");
    query.end()?;
    let none = || Error::new(Code::NotFound, "there is no job type with this name");
    if name.contains('\0') {
        return Err(none());
    }
    let list = ["job type versions", name.as_str()];
    let below = given
        .map(|given| cursor::read(&list, &given))
        .transpose()?
        .map(|last| u32::try_from(last.as_u128()).unwrap_or(0));
    let mut tx = caller.begin().await?;
    let mut stored = job_type::versions(&mut tx, &name, below, cursor::fetch(limit)).await?;
    tx.commit().await?;
    if stored.is_empty() && below.is_none() {
        return Err(none());
    }
    let next_cursor = cursor::cut(&list, &mut stored, limit, |last| {
        Uuid::from_u128(last.version.into())
    });
    Ok(axum::Json(Page {
        data: stored.iter().map(view).collect::<Result<_>>()?,
        next_cursor,
    }))
}
