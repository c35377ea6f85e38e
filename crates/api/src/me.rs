use axum::extract::State as Extract;
use axum::routing::get;
use offpeak_store::session::By;
use offpeak_store::{TenantTx, tenant};
use offpeak_wire::{Me, Problem, Upstream};

use crate::caller::{Anything, Caller, May};
use crate::error::Result;
use crate::query::Query;
use crate::routes::Routes;
use crate::{State, scopes};

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/me", get(handle))
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
    caller: May<Anything>,
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
    let of_key = caller.key().is_some();
    let shown = || caller.shown().to_owned();
    Ok(Me {
        tenant: caller.tenant().to_string(),
        name: tenant::own_name(tx).await?,
        key: of_key.then(shown),
        person: (!of_key).then(shown),
        role: caller.role().map(scopes::role),
        operator: matches!(caller.by(), By::Operator(_)),
        scopes: scopes::shown(caller.scopes()),
        upstream: Upstream {
            name: state.upstream.name.clone(),
            standin: state.upstream.standin,
        },
    })
}
