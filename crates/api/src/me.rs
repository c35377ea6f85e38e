use axum::Router;
use axum::extract::State as Extract;
use axum::routing::get;
use offpeak_store::{TenantTx, tenant};
use offpeak_wire::{Me, Problem, Upstream};

use crate::State;
use crate::caller::Caller;
use crate::error::Result;
use crate::query::Query;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/me", get(handle))
}

/// Who is calling, and where its jobs go
#[utoipa::path(
    get, path = "/v1/me", tag = "me", operation_id = "get_me",
    responses(
        (status = 200, description = "The tenant of the key", body = Me),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: Caller,
    query: Query,
) -> Result<axum::Json<Me>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let me = of(&state, &caller, &mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(me))
}

/// Who a caller is.
pub(crate) async fn of(state: &State, caller: &Caller, tx: &mut TenantTx) -> Result<Me> {
    Ok(Me {
        tenant: caller.tenant().to_string(),
        name: tenant::own_name(tx).await?,
        key: caller.key_hint().to_owned(),
        upstream: Upstream {
            name: state.upstream.name.clone(),
            standin: state.upstream.standin,
        },
    })
}
