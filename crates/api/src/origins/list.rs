use offpeak_store::origin;
use offpeak_wire::{Origins, Problem};

use crate::caller::{JobsRead, May};
use crate::error::Result;
use crate::query::Query;

/// Origins from which your tickets may be used
#[utoipa::path(
    get, path = "/v1/live/origins", tag = "live", operation_id = "list_origins",
    responses(
        (status = 200, description = "Sorted; none at first", body = Origins),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(caller: May<JobsRead>, query: Query) -> Result<axum::Json<Origins>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let origins = origin::list(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(Origins { origins }))
}
