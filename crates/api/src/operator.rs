//! The operator's: counts of every tenant and how upstreams stand, and the content of
//! nobody. Who has to see that looks at one tenant, with a reason and for minutes.

use axum::routing::{get, patch, post};
use offpeak_domain::id::TenantId;
use offpeak_store::{OperatorTx, operator};

use crate::State;
use crate::error::{Error, Result};
use crate::routes::Routes;

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod erasure;
pub(crate) mod invite;
pub(crate) mod limit;
pub(crate) mod limits;
pub(crate) mod look;
pub(crate) mod overview;
pub(crate) mod resolve;
pub(crate) mod session;
pub(crate) mod sign_out;
pub(crate) mod spend;
pub(crate) mod tenants;

pub(crate) fn routes() -> Routes<State> {
    let session = get(session::handle).delete(sign_out::handle);
    Routes::new()
        .at("/operator/session", session)
        .at("/operator/overview", get(overview::handle))
        .at("/operator/incidents/{id}/resolve", post(resolve::handle))
        .at(
            "/operator/tenants",
            get(tenants::handle).post(create::handle),
        )
        .at("/operator/tenants/{id}", patch(change::handle))
        .at(
            "/operator/tenants/{id}/erasure",
            get(erasure::get::handle).post(erasure::begin::handle),
        )
        .at(
            "/operator/tenants/{id}/limits",
            get(limits::handle).put(limit::handle),
        )
        .at("/operator/tenants/{id}/spend", get(spend::handle))
        .at("/operator/tenants/{id}/people", post(invite::handle))
        .at("/operator/tenants/{id}/look", post(look::handle))
}

/// The tenant that a path names, if it is there.
async fn tenant(tx: &mut OperatorTx, id: &str) -> Result<TenantId> {
    let none = || Error::not_found("tenant");
    let id = id.parse().map_err(|_| none())?;
    operator::tenant_name(tx, id).await?.ok_or_else(none)?;
    Ok(id)
}
