use axum::http::StatusCode;
use offpeak_domain::audit::Action;
use offpeak_domain::id::KeyId;
use offpeak_store::api_key::{self, Revoked};
use offpeak_wire::Problem;

use crate::caller::{KeysManage, May};
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::segment::Segment;

/// Revoke an API key
///
/// From now on it opens nothing, nor does a session that was begun with it, or a
/// ticket that it made. The last key that is in force stays.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = String, Path, description = "`key_…`")),
    responses(
        (status = 204, description = "It opens nothing any more"),
        (status = 404, description = "There is none, or it was revoked before", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the last one", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<KeysManage>,
    Segment(id): Segment,
    query: Query,
) -> Result<StatusCode> {
    query.end()?;
    let none = || Error::not_found("key in force");
    let id: KeyId = id.parse().map_err(|_| none())?;
    let mut tx = caller.begin().await?;
    match api_key::revoke_own(&mut tx, id).await? {
        Revoked::Done => {}
        Revoked::NotThere => return Err(none()),
        Revoked::Last => {
            return Err(Error::new(
                Code::LastKey,
                "without it nobody could sign in; make another one first",
            ));
        }
    }
    caller
        .note(&mut tx, Action::KeyRevoke, &id.to_string(), "")
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
