use offpeak_domain::id::OperationId;
use offpeak_store::operation;
use offpeak_wire::{Operation, Page, Problem};

use super::view;
use crate::caller::{JobsRead, May};
use crate::cursor;
use crate::error::Result;
use crate::query::Query;

const LIST: &[&str] = &["operations"];

/// Operations, newest first
///
/// Those that ended stay for 90 days.
#[utoipa::path(
    get, path = "/v1/operations", tag = "operations", operation_id = "list_operations",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Operation>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsRead>,
    mut query: Query,
) -> Result<axum::Json<Page<Operation>>> {
    let limit = query.limit();
    let given = query.text("cursor");
    query.end()?;
    let before = given.map(|given| cursor::read(LIST, &given)).transpose()?;

    let mut tx = caller.begin().await?;
    let mut found = operation::list(
        &mut tx,
        before.map(OperationId::from_uuid),
        cursor::fetch(limit),
    )
    .await?;
    tx.commit().await?;
    let next_cursor = cursor::cut(LIST, &mut found, limit, |last| last.id.as_uuid());
    Ok(axum::Json(Page {
        data: found.into_iter().map(view).collect(),
        next_cursor,
    }))
}
