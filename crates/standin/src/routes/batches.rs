//! Retrieve, list, cancel and delete message batches.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use offpeak_anthropic::shape::{MessageBatch, Page};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Cursor;
use crate::world::World;

use super::{Params, blocking, limit, origin};

pub(super) async fn retrieve(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<MessageBatch>, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    Ok(Json(record.show(world.now(), &origin(&world, &headers))))
}

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Query(params): Params,
    headers: HeaderMap,
) -> Result<Json<Page<MessageBatch>>, Refusal> {
    world.catch_up().await;
    let limit = limit(&params)?;
    let cursor = match (params.get("after_id"), params.get("before_id")) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(
                "before_id and after_id cannot be used together",
            ));
        }
        (Some(id), None) => Cursor::OlderThan(id),
        (None, Some(id)) => Cursor::NewerThan(id),
        (None, None) => Cursor::Newest,
    };
    let (records, has_more) = world.shelf.page(&caller.workspace, cursor, limit)?;
    let (now, origin) = (world.now(), origin(&world, &headers));
    Ok(Json(Page {
        first_id: records.first().map(|record| record.id.clone()),
        last_id: records.last().map(|record| record.id.clone()),
        data: records
            .iter()
            .map(|record| record.show(now, &origin))
            .collect(),
        has_more,
    }))
}

/// Canceling twice changes nothing; what has ended cannot be canceled.
pub(super) async fn cancel(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<MessageBatch>, Refusal> {
    world.catch_up().await;
    let now = world.now();
    let record = world.shelf.find(&caller.workspace, &id)?;
    if record.settled.is_some() || record.is_due(now) {
        return Err(Refusal::invalid(format!(
            "Message batch {id} has already ended and cannot be canceled"
        )));
    }
    let change = Arc::clone(&world);
    let record = blocking(move || {
        Ok(change.shelf.change(record.seq, |record| {
            record.cancel_at.get_or_insert(now);
        })?)
    })
    .await?;
    Ok(Json(record.show(now, &origin(&world, &headers))))
}

pub(super) async fn delete(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    if record.settled.is_none() {
        return Err(Refusal::invalid(format!(
            "Message batch {id} is in progress; cancel it before you delete it"
        )));
    }
    blocking(move || Ok(world.shelf.delete(&record)?)).await?;
    Ok(Json(json!({ "id": id, "type": "message_batch_deleted" })))
}
