use axum::extract::State as Extract;
use offpeak_domain::audit::Action;
use offpeak_store::{cancel, group};
use offpeak_wire::{Canceled, Problem};

use super::{CHUNK, parse_id, shown_one};
use crate::State;
use crate::caller::{JobsWrite, May};
use crate::error::Result;
use crate::jobs::cancel::moving;
use crate::query::Query;
use crate::segment::Segment;

/// Looks for jobs that moved away from the look before.
const AGAIN: u32 = 3;

/// Cancel every job of a group that has not ended
///
/// A large group is canceled in steps; when the call breaks off, the same call
/// again goes on.
#[utoipa::path(
    post, path = "/v1/groups/{id}/cancel", tag = "groups", operation_id = "cancel_group",
    params(("id" = String, Path, description = "`grp_…`")),
    responses(
        (status = 200, description = "How many were canceled, and the group afterwards", body = Canceled),
        (status = 404, description = "There is no such group", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsWrite>,
    Segment(id): Segment,
    query: Query,
) -> Result<axum::Json<Canceled>> {
    query.end()?;
    let id = parse_id(&id)?;
    let (mut canceled, mut after) = (0, None);
    loop {
        let mut tx = caller.go_on().await?;
        if after.is_none() {
            group::progress(&mut tx, id).await?;
        }
        let jobs = group::jobs_after(&mut tx, id, after, CHUNK).await?;
        let mut done = cancel::jobs(&mut tx, &jobs).await?;
        if after.is_none() {
            let target = id.to_string();
            caller
                .note(&mut tx, Action::GroupCancel, &target, "")
                .await?;
        }
        tx.commit().await?;
        canceled += done.canceled.len() as u64;
        // Left behind they would be paid for, although the answer says otherwise.
        for _ in 0..AGAIN {
            if done.moving.is_empty() {
                break;
            }
            let mut tx = caller.begin().await?;
            done = cancel::jobs(&mut tx, &done.moving).await?;
            tx.commit().await?;
            canceled += done.canceled.len() as u64;
        }
        if !done.moving.is_empty() {
            return Err(moving());
        }
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
    Ok(axum::Json(Canceled { canceled, group }))
}
