//! The tenant's own API keys.

use axum::routing::{delete, get, post};
use offpeak_domain::id::KeyId;
use offpeak_store::api_key::ApiKey;
use offpeak_wire::Key;

use crate::routes::Routes;
use crate::{State, scopes};

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod rotate;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/keys", get(list::handle).post(create::handle))
        .at("/keys/{id}", delete(revoke::handle))
        .at("/keys/{id}/rotate", post(rotate::handle))
}

/// A stored key as clients see it; `own` is the caller's.
pub(crate) fn view(key: ApiKey, own: Option<KeyId>) -> Key {
    Key {
        is_yours: own == Some(key.id),
        id: key.id.to_string(),
        name: key.name,
        hint: key.hint,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        scopes: scopes::shown(key.scopes),
        expires_at: key.expires_at,
        rotated_to: key.rotated_to.map(|id| id.to_string()),
        revoked_at: key.revoked_at,
    }
}
