use axum::extract::State as Extract;
use offpeak_domain::audit::Action;
use offpeak_store::upstream_key;
use offpeak_wire::{OwnUpstream, Problem};

use super::view;
use crate::State;
use crate::caller::{May, SettingsManage};
use crate::error::{Code, Error, Result};
use crate::query::Query;

/// Remove your own Anthropic key
///
/// Its secret is gone at once, and within seconds no worker has it any more; a call that is
/// under way ends. What `GET /v1/upstream` calls `depends` says what that means: batches at
/// Anthropic that are open stay there unread until a key of the same workspace is set
/// again, and waiting jobs wait, or go by the key of whoever runs this server, if that is
/// allowed. While anything depends on it, `confirm=true` is needed.
#[utoipa::path(
    delete, path = "/v1/upstream", tag = "upstream", operation_id = "remove_own_upstream",
    params(
        ("confirm" = Option<bool>, Query, description = "Also while batches are open or jobs wait"),
    ),
    responses(
        (status = 200, description = "Removed; how it stands now", body = OwnUpstream),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Something depends on it", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    mut query: Query,
) -> Result<axum::Json<OwnUpstream>> {
    let confirmed = query.flag("confirm", false);
    query.end()?;
    let mut tx = caller.begin().await?;
    let removed = upstream_key::remove(&mut tx).await?;
    if removed.is_empty() {
        let detail = "there is no key of your own that is in use or being checked";
        return Err(Error::new(Code::NotFound, detail));
    }
    let depends = upstream_key::depends(&mut tx).await?;
    if !confirmed && depends.anything() {
        return Err(Error::new(Code::UpstreamInUse, depends.to_string()));
    }
    let shown = view(&state, &mut tx).await?;
    let detail = removed
        .iter()
        .map(|last_four| format!("…{last_four}"))
        .collect::<Vec<_>>()
        .join(" ");
    caller
        .note(&mut tx, Action::UpstreamRemove, "", &detail)
        .await?;
    tx.commit().await?;
    state.hint.ready();
    Ok(axum::Json(shown))
}
