use axum::extract::State as Extract;
use offpeak_domain::id::BatchId;
use offpeak_store::batches;
use offpeak_wire::{Batch, Page, Problem};

use super::view;
use crate::State;
use crate::caller::{JobsRead, May};
use crate::cursor;
use crate::error::Result;
use crate::query::Query;

const LIST: &[&str] = &["batches"];

/// Batches, newest first
#[utoipa::path(
    get, path = "/v1/batches", tag = "batches", operation_id = "list_batches",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Batch>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    mut query: Query,
) -> Result<axum::Json<Page<Batch>>> {
    let limit = query.limit();
    let given = query.text("cursor");
    query.end()?;
    let before = given.map(|given| cursor::read(LIST, &given)).transpose()?;

    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    let mut batches = batches::list(
        &mut tx,
        before.map(BatchId::from_uuid),
        cursor::fetch(limit),
    )
    .await?;
    tx.commit().await?;
    let next_cursor = cursor::cut(LIST, &mut batches, limit, |last| last.id.as_uuid());
    Ok(axum::Json(Page {
        data: batches
            .into_iter()
            .map(|batch| view(batch, &outlook))
            .collect(),
        next_cursor,
    }))
}
