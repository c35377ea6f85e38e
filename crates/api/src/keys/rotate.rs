use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use offpeak_domain::audit::Action;
use offpeak_domain::id::{KeyId, Minter};
use offpeak_store::api_key;
use offpeak_wire::{NewKey, Problem, RotateRequest};

use super::create::{make, within};
use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::{KeysManage, May};
use crate::error::{Error, Result};
use crate::once;
use crate::query::Query;
use crate::segment::Segment;
use crate::state::rng;

/// How long both keys open the same, unless said.
const OVERLAP: Duration = Duration::from_hours(24);
/// Seconds that may be said.
const BOUNDS: std::ops::RangeInclusive<u32> = 60..=2_592_000;

const FIELDS: &[Field] = &[Field {
    name: "overlap",
    expected: "a whole number of seconds",
    required: false,
    fits: reads_as::<Option<u32>>,
}];

/// Replace an API key
///
/// Makes another key of the same name and scopes, and ends the old one after an
/// overlap, in which both open the same. To end it at once, revoke it.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", tag = "keys", operation_id = "rotate_key",
    params(("id" = String, Path, description = "`key_…`")),
    request_body = RotateRequest,
    responses(
        (status = 201, description = "The new key, with its secret", body = NewKey),
        (status = 404, description = "There is none in force, or it was rotated before", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A limit is reached, which `limit` names", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<KeysManage>,
    Segment(id): Segment,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: RotateRequest = small(&body, FIELDS, "the request of a rotation")?;
    let overlap = within(request.overlap, &BOUNDS, "/overlap")?.unwrap_or(OVERLAP);
    let none = || Error::not_found("key in force");
    let old: KeyId = id.parse().map_err(|_| none())?;
    state.allowance.key(caller.tenant())?;
    let mut tx = caller.begin().await?;
    let new: KeyId = Minter::new(tx.now(), rng()).mint();
    let was = api_key::rotate_own(&mut tx, old, new, overlap)
        .await?
        .ok_or_else(none)?;
    // Its secret is told to whoever asks: who may less would come to more.
    caller.expect_all(was.scopes, "")?;
    let made = make(&mut tx, new, &was.name, was.scopes, None).await?;
    let to = format!("to {new}");
    caller
        .note(&mut tx, Action::KeyRotate, &old.to_string(), &to)
        .await?;
    tx.commit().await?;
    Ok(once::made(made))
}
