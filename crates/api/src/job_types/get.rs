use offpeak_store::job_type;
use offpeak_wire::{JobType, Problem};

use super::view;
use crate::caller::{JobsRead, May};
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// One job type
#[utoipa::path(
    get, path = "/v1/job-types/{name}", tag = "job types", operation_id = "get_job_type",
    params(
        ("name" = String, Path, description = "Its name"),
        ("version" = Option<u32>, Query, minimum = 1, description = "The newest unless said"),
    ),
    responses(
        (status = 200, description = "The job type", body = JobType),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    Segment(name): Segment,
    mut query: Query,
) -> Result<axum::Json<JobType>> {
    let version = query.parsed("version", "a whole number from 1", |text| {
        text.parse().ok().filter(|version| *version > 0)
    });
    query.end()?;
    let none = || {
        let detail = "there is no job type with this name, or none of this version";
        Error::new(Code::NotFound, detail)
    };
    if name.contains('\0') {
        return Err(none());
    }
    let mut tx = caller.begin().await?;
    let stored = job_type::get(&mut tx, &name, version)
        .await?
        .ok_or_else(none)?;
    tx.commit().await?;
    Ok(axum::Json(view(&stored)?))
}
