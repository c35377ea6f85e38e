use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::{KeyId, Minter};
use offpeak_store::api_key;
use offpeak_wire::{Key, KeyRequest, NewKey, Problem};

use crate::body::{Field, Json, parse, reads_as};
use crate::caller::Caller;
use crate::error::{Code, Error, Result};
use crate::query::Query;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

/// Keys in force that a tenant has, at most.
const MOST: u64 = 1_000;
/// Bytes of a request, at most.
const MAX_REQUEST: usize = 16 * 1024;

const FIELDS: &[Field] = &[Field {
    name: "name",
    expected: "a string",
    required: false,
    fits: reads_as::<Option<String>>,
}];

/// Make an API key
///
/// Its secret stands in this answer and nowhere else afterwards: only a digest of it
/// is kept. It opens what the caller's own key opens.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", operation_id = "create_key",
    request_body = KeyRequest,
    responses(
        (status = 201, description = "Made, with its secret", body = NewKey),
        (status = 409, description = "There are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(caller: Caller, query: Query, Json(body): Json) -> Result<Response> {
    query.end()?;
    if body.len() > MAX_REQUEST {
        let detail = format!("the request of a key is at most {MAX_REQUEST} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    let request: KeyRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let name = request.name.unwrap_or_default();
    if !name.is_empty() {
        text::label("/name", &name, MAX_LABEL).map_err(|fault| Error::input(vec![fault]))?;
    }
    let secret = ApiKey::generate(rng());
    let mut tx = caller.begin().await?;
    if api_key::in_force(&mut tx).await? >= MOST {
        let detail = format!("{MOST} keys are in force; revoke one that nobody uses");
        return Err(Error::new(Code::TooManyKeys, detail));
    }
    let id: KeyId = Minter::new(tx.now(), rng()).mint();
    let hint = secret.hint();
    let created_at = api_key::add(&mut tx, id, &name, &hint, &secret.digest()).await?;
    tx.commit().await?;
    let made = NewKey {
        shown: Key {
            id: id.to_string(),
            name,
            hint,
            is_yours: false,
            created_at,
            last_used_at: None,
            revoked_at: None,
        },
        key: secret.expose().to_owned(),
    };
    let unkept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, unkept, axum::Json(made)).into_response())
}
