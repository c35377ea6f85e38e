use axum::extract::State as Extract;
use offpeak_domain::id::GroupId;
use offpeak_store::group;
use offpeak_wire::{Group, Page, Problem};

use super::shown;
use crate::State;
use crate::caller::{JobsRead, May};
use crate::cursor;
use crate::error::Result;
use crate::query::Query;

const LIST: &[&str] = &["groups"];

/// Groups with their progress, newest first
#[utoipa::path(
    get, path = "/v1/groups", tag = "groups", operation_id = "list_groups",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Group>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    mut query: Query,
) -> Result<axum::Json<Page<Group>>> {
    let limit = query.limit();
    let given = query.text("cursor");
    query.end()?;
    let before = given.map(|given| cursor::read(LIST, &given)).transpose()?;

    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.begin().await?;
    let mut groups = group::list(
        &mut tx,
        before.map(GroupId::from_uuid),
        cursor::fetch(limit),
    )
    .await?;
    let next_cursor = cursor::cut(LIST, &mut groups, limit, |last| last.id.as_uuid());
    let data = shown(&mut tx, groups, &outlook).await?;
    tx.commit().await?;
    Ok(axum::Json(Page { data, next_cursor }))
}
