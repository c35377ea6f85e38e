//! The tenant's own API keys.

use axum::Router;
use axum::routing::{delete, get};
use offpeak_domain::id::KeyId;
use offpeak_store::api_key::ApiKey;
use offpeak_wire::Key;

use crate::State;

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/keys", get(list::handle).post(create::handle))
        .route("/keys/{id}", delete(revoke::handle))
}

/// A stored key as clients see it; `own` is the caller's.
fn view(key: ApiKey, own: KeyId) -> Key {
    Key {
        is_yours: key.id == own,
        id: key.id.to_string(),
        name: key.name,
        hint: key.hint,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}
