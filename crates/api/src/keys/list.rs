use offpeak_store::api_key;
use offpeak_wire::{Key, Page, Problem};

use super::view;
use crate::caller::{KeysManage, May};
use crate::error::Result;
use crate::query::Query;

/// API keys, newest first
///
/// Revoked ones too, without their secrets; at most 10,000.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "list_keys",
    responses(
        (status = 200, description = "All of them", body = Page<Key>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(caller: May<KeysManage>, query: Query) -> Result<axum::Json<Page<Key>>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let keys = api_key::own(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(Page {
        data: keys
            .into_iter()
            .map(|key| view(key, caller.key()))
            .collect(),
        next_cursor: None,
    }))
}
