//! Retrieve, list, cancel and delete message batches.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::edge::Drawn;
use crate::fault;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::shelf::Cursor;
use crate::world::World;

use super::{Params, blocking, limit};

pub(super) async fn retrieve(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    Ok(Json(world.show(&record, &headers, &drawn)))
}

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Query(params): Params,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    world.catch_up().await;
    let limit = limit(&params)?;
    let both = world.behavior().both_cursors;
    let cursor = match (params.get("after_id"), params.get("before_id")) {
        (Some(_), Some(_)) if both != 200 => {
            return Err(refused(
                both,
                "before_id and after_id cannot be used together",
            ));
        }
        (Some(id), _) => Cursor::OlderThan(id),
        (None, Some(id)) => Cursor::NewerThan(id),
        (None, None) => Cursor::Newest,
    };
    let now = world.now();
    let hidden = |record: &Record| {
        let age = (now - record.created_at).whole_milliseconds();
        drawn.hides(record, age, world.seed)
    };
    let (mut records, has_more) = world
        .shelf
        .page(&caller.workspace, cursor, limit, &hidden)?;
    if drawn.reverses() {
        records.reverse();
    }
    let data: Vec<Value> = records
        .iter()
        .map(|record| world.show(record, &headers, &drawn))
        .collect();
    Ok(Json(json!({
        "data": data,
        "has_more": has_more,
        "first_id": records.first().map(|record| &record.id),
        "last_id": records.last().map(|record| &record.id),
    })))
}

fn refused(status: u16, message: impl Into<String>) -> Refusal {
    Refusal::new(status, fault::kind(status), message)
}

/// What canceling twice or after the end does is a switch.
pub(super) async fn cancel(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    world.catch_up().await;
    let now = world.now();
    let record = world.shelf.find(&caller.workspace, &id)?;
    let behavior = world.behavior();
    let ended = record.settled.is_some() || record.is_due(now);
    if ended && behavior.cancel_ended != 200 {
        return Err(refused(
            behavior.cancel_ended,
            format!("Message batch {id} has already ended and cannot be canceled"),
        ));
    }
    if !ended && record.cancel_at.is_some() && behavior.cancel_again != 200 {
        return Err(refused(
            behavior.cancel_again,
            format!("Message batch {id} is being canceled"),
        ));
    }
    if ended {
        return Ok(Json(world.show(&record, &headers, &drawn)));
    }
    let change = Arc::clone(&world);
    let record = blocking(move || {
        Ok(change.shelf.change(record.seq, |record| {
            record.cancel_at.get_or_insert(now);
        })?)
    })
    .await?;
    Ok(Json(world.show(&record, &headers, &drawn)))
}

pub(super) async fn delete(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    world.catch_up().await;
    let record = world.shelf.find(&caller.workspace, &id)?;
    let unended = world.behavior().delete_unended;
    if record.settled.is_none() && unended != 200 {
        return Err(refused(
            unended,
            format!("Message batch {id} is in progress; cancel it before you delete it"),
        ));
    }
    blocking(move || Ok(world.shelf.delete(&record)?)).await?;
    Ok(Json(json!({ "id": id, "type": "message_batch_deleted" })))
}
