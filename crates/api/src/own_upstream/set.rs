use std::ops::RangeInclusive;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_domain::upstream_key::UpstreamKey;
use offpeak_store::upstream_key::{self, New};
use offpeak_wire::{FieldError, OwnUpstream, Problem, UpstreamKeyRequest};

use super::view;
use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::{May, SettingsManage};
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::rng;

const FIELDS: &[Field] = &[
    Field {
        name: "key",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "creates_per_minute",
        expected: "a whole number",
        required: false,
        fits: reads_as::<Option<u32>>,
    },
    Field {
        name: "max_queued_items",
        expected: "a whole number",
        required: false,
        fits: reads_as::<Option<u64>>,
    },
];

/// Set your own Anthropic key
///
/// It is kept encrypted, and a worker asks Anthropic by a call that reads: if Anthropic
/// takes it, your jobs go by it from then on, those that wait already too. If there is one,
/// that stays in use until the new one is good, and its open batches go on with the new
/// one, which has to be of the same workspace while there are any. `GET /v1/upstream` says
/// how far that is, and what Anthropic said.
#[utoipa::path(
    put, path = "/v1/upstream", tag = "upstream", operation_id = "set_own_upstream",
    request_body = UpstreamKeyRequest,
    responses(
        (status = 202, description = "Kept, and being checked", body = OwnUpstream),
        (status = 409, description = "Another call sets one at this moment", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "This server has no master key to keep it under", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    query: Query,
    Json(body): Json,
) -> Result<(StatusCode, axum::Json<OwnUpstream>)> {
    query.end()?;
    let request: UpstreamKeyRequest = small(&body, FIELDS, "a key with its limits")?;
    let mut faults = Vec::new();
    let key = UpstreamKey::parse(&request.key)
        .map_err(|why| faults.push(fault("/key", "invalid_value", why.to_string())));
    let creates = request
        .creates_per_minute
        .unwrap_or(New::CREATES_PER_MINUTE);
    let items = request.max_queued_items.unwrap_or(New::MAX_QUEUED_ITEMS);
    within(
        &creates,
        &(1..=1_000_000),
        "/creates_per_minute",
        &mut faults,
    );
    within(
        &items,
        &(1..=1_000_000_000),
        "/max_queued_items",
        &mut faults,
    );
    let Ok(key) = key else {
        return Err(Error::input(faults));
    };
    if !faults.is_empty() {
        return Err(Error::input(faults));
    }
    let vault = state.vault.as_deref().ok_or_else(no_vault)?;
    let new = New {
        key: &key,
        creates_per_minute: creates,
        max_queued_items: items,
    };
    let mut tx = caller.begin().await?;
    let version = upstream_key::set(&mut tx, vault, &new, rng())
        .await?
        .ok_or_else(|| {
            Error::new(
                Code::UpstreamChanging,
                "another key is being set at this moment: see which one it is, then try again",
            )
        })?;
    let shown = view(&state, &mut tx).await?;
    let detail = format!("…{}", key.last_four());
    caller
        .note(&mut tx, Action::UpstreamSet, &version.to_string(), &detail)
        .await?;
    tx.commit().await?;
    state.hint.ready();
    Ok((StatusCode::ACCEPTED, axum::Json(shown)))
}

fn no_vault() -> Error {
    Error::new(
        Code::NoVault,
        "this server has no master key to keep a key of yours under: whoever runs it makes one \
         with `offpeak vault key` and sets it in [vault]",
    )
}

fn within<T: PartialOrd + std::fmt::Display>(
    value: &T,
    bounds: &RangeInclusive<T>,
    field: &str,
    faults: &mut Vec<FieldError>,
) {
    if !bounds.contains(value) {
        let message = format!("must be from {} to {}", bounds.start(), bounds.end());
        faults.push(fault(field, "invalid_value", message));
    }
}
