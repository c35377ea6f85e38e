use std::collections::BTreeSet;

use offpeak_domain::audit::Action;
use offpeak_store::cancel;
use offpeak_wire::{CancelRequest, ManyCanceled, NotDone, Problem};

use super::{Asked, not_done};
use crate::body::Json;
use crate::caller::{JobsWrite, May};
use crate::error::Result;
use crate::jobs::cancel::moving;
use crate::query::Query;

/// Cancel many jobs
///
/// All that have not ended, in one transaction, each as if it were canceled alone.
#[utoipa::path(
    post, path = "/v1/jobs/cancel", tag = "jobs", operation_id = "cancel_jobs",
    request_body = CancelRequest,
    responses(
        (status = 200, description = "How many were canceled, and why the others were not", body = ManyCanceled),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsWrite>,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<ManyCanceled>> {
    query.end()?;
    let mut asked = Asked::to_cancel(&body)?;
    let mut tx = caller.begin().await?;
    asked.find(&mut tx).await?;
    let done = cancel::jobs(&mut tx, &asked.jobs).await?;
    if let Some(first) = done.canceled.first() {
        let detail = format!("{} jobs, of them the first is named", done.canceled.len());
        caller
            .note(&mut tx, Action::JobsCancel, &first.to_string(), &detail)
            .await?;
    }
    tx.commit().await?;
    let canceled: BTreeSet<_> = done.canceled.iter().collect();
    let moved: BTreeSet<_> = done.moving.iter().collect();
    let left = asked.jobs.iter().filter(|id| !canceled.contains(id));
    let mut not_done: Vec<NotDone> = asked.not_done;
    not_done.extend(left.map(|id| {
        if moved.contains(id) {
            self::not_done(id.to_string(), &moving())
        } else {
            NotDone {
                id: id.to_string(),
                code: "job_ended".to_owned(),
                detail: "the job had ended before, and stays as it is".to_owned(),
            }
        }
    }));
    Ok(axum::Json(ManyCanceled {
        canceled: done.canceled.len() as u64,
        not_done,
    }))
}
