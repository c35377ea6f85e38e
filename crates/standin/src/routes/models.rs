//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::Json;
use axum::extract::{Path, Query};
use offpeak_anthropic::shape::{ModelInfo, Page};

use crate::models::{self, Model};
use crate::refusal::Refusal;
use crate::report;

use super::{Params, limit};

pub(super) async fn list(
    Query(params): Params,
    Query(query): Query<report::Query>,
) -> Result<Json<Page<ModelInfo>>, Refusal> {
    let limit = limit(&params)?;
    let lifecycles = query.many("lifecycle");
    let wanted = |model: &&Model| {
        lifecycles.is_empty() || lifecycles.iter().any(|asked| asked == model.lifecycle())
    };
    let all: Vec<&Model> = models::all().iter().filter(wanted).collect();
    let place = |field: &str| -> Result<Option<usize>, Refusal> {
        let Some(id) = params.get(field) else {
            return Ok(None);
        };
        all.iter()
            .position(|model| model.id == id)
            .map(Some)
            .ok_or_else(|| Refusal::invalid(format!("{field}: no such model: {id}")))
    };
    let range = match (place("after_id")?, place("before_id")?) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(
                "before_id and after_id cannot be used together",
            ));
        }
        (Some(at), None) => at + 1..(at + 1 + limit).min(all.len()),
        (None, Some(at)) => at.saturating_sub(limit)..at,
        (None, None) => 0..limit.min(all.len()),
    };
    let backwards = params.contains_key("before_id");
    let has_more = if backwards {
        range.start > 0
    } else {
        range.end < all.len()
    };
    let data: Vec<ModelInfo> = all[range].iter().map(|model| model.show()).collect();
    Ok(Json(Page {
        first_id: data.first().map(|model| model.id.clone()),
        last_id: data.last().map(|model| model.id.clone()),
        data,
        has_more,
    }))
}

pub(super) async fn retrieve(Path(id): Path<String>) -> Result<Json<ModelInfo>, Refusal> {
    match models::find(&id) {
        Some(model) => Ok(Json(model.show())),
        None => Err(Refusal::not_found(format!("model: {id}"))),
    }
}
