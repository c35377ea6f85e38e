//! `POST /v1/messages` and `POST /v1/messages/count_tokens`, checked at once.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::answer::{self, Setting};
use crate::cache::Session;
use crate::caller::Caller;
use crate::check::{self, Terms};
use crate::dice::Dice;
use crate::journal::Billed;
use crate::refusal::Refusal;
use crate::schema::Schemas;
use crate::world::World;

use super::blocking;

/// Largest body, in bytes.
const MAX_BODY: usize = 32_000_000;

pub(super) async fn send(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let params = read(body).await?;
    blocking(move || {
        let now = world.now();
        let mut warm = world.warm();
        let mut session = Session {
            warm: &mut warm,
            workspace: &caller.workspace,
            now: now.unix_timestamp(),
            hit_rate: 1.0,
            dice: Dice::new(world.seed, &["direct"]),
        };
        let setting = Setting {
            version: &caller.version,
            betas: &caller.betas,
            in_batch: false,
            message_id: world.fresh_id("msg_"),
            cache: Some(&mut session),
            refuse: None,
        };
        let reply = answer::reply(&params, setting, &mut Schemas::default())?;
        world.keep_warm(warm);
        let journal = if reply.billed {
            &world.journal
        } else {
            &world.unbilled
        };
        journal.append(&Billed {
            batch_id: None,
            custom_id: None,
            message_id: reply.id,
            model: reply.model,
            usage: reply.usage,
            workspace_id: Some(caller.workspace),
            api_key_id: Some(caller.api_key),
            user_profile_id: caller.user_profile,
            at: now,
        })?;
        Ok(Json(reply.message))
    })
    .await
}

pub(super) async fn count(
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let params = read(body).await?;
    let terms = Terms {
        version: &caller.version,
        betas: &caller.betas,
        in_batch: false,
    };
    Ok(Json(
        json!({ "input_tokens": check::count(&params, terms)? }),
    ))
}

async fn read(body: Body) -> Result<Value, Refusal> {
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Refusal::too_large())?;
    serde_json::from_slice(&body).map_err(|error| {
        Refusal::invalid(format!(
            "The request body is not valid JSON: line {} column {}",
            error.line(),
            error.column()
        ))
    })
}
