use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::routing::get;
use offpeak_wire::{Health, Ready};

use crate::routes::Routes;
use crate::state::Observed;

pub(crate) fn routes() -> Routes<Observed> {
    Routes::new()
        .at("/healthz", get(healthz))
        .at("/readyz", get(readyz))
}

/// Whether the process runs
#[utoipa::path(
    get, path = "/healthz", tag = "operation", operation_id = "healthz", security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(crate) async fn healthz() -> axum::Json<Health> {
    axum::Json(Health {
        status: "ok".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// Whether a job would be accepted now
#[utoipa::path(
    get, path = "/readyz", tag = "operation", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "Yes", body = Ready),
        (status = 503, description = "No", body = Ready),
    ),
)]
pub(crate) async fn readyz(
    Extract(observed): Extract<Observed>,
) -> (StatusCode, axum::Json<Ready>) {
    let days = observed.tenants.partition_days().await;
    let ready = matches!(days, Ok(1..));
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let database = days.is_ok();
    let partition_days = days.unwrap_or(0);
    (
        status,
        axum::Json(Ready {
            ready,
            database,
            partition_days,
        }),
    )
}
