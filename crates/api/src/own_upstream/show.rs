use axum::extract::State as Extract;
use offpeak_wire::{OwnUpstream, Problem};

use super::view;
use crate::State;
use crate::caller::{May, SettingsManage};
use crate::error::Result;
use crate::query::Query;

/// Your own Anthropic key
///
/// How it stands and what depends on it. What it is stands nowhere.
#[utoipa::path(
    get, path = "/v1/upstream", tag = "upstream", operation_id = "get_own_upstream",
    responses(
        (status = 200, description = "How it stands", body = OwnUpstream),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    query: Query,
) -> Result<axum::Json<OwnUpstream>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let shown = view(&state, &mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(shown))
}
