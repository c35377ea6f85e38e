use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::audit::Action;
use offpeak_domain::id::{KeyId, Minter};
use offpeak_domain::scope::Scopes;
use offpeak_store::{TenantTx, api_key};
use offpeak_wire::{Key, KeyRequest, NewKey, Problem};

use crate::State;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::{KeysManage, May};
use crate::error::{Code, Error, Result, fault};
use crate::once;
use crate::query::Query;
use crate::scopes;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

/// Keys in force that a tenant has, at most.
const MOST: u64 = 1_000;
/// Seconds that a key may be made for.
const LIFETIME: std::ops::RangeInclusive<u32> = 60..=315_360_000;

const FIELDS: &[Field] = &[
    Field {
        name: "name",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "scopes",
        expected: "an array of scopes: jobs:read, results:read, jobs:write, settings:manage, \
                   keys:manage",
        required: false,
        fits: reads_as::<Option<Vec<offpeak_wire::Scope>>>,
    },
    Field {
        name: "expires_in",
        expected: "a whole number of seconds",
        required: false,
        fits: reads_as::<Option<u32>>,
    },
];

/// Make an API key
///
/// Its secret stands in this answer and nowhere else afterwards: only a digest of it
/// is kept. It may do what its scopes say, which is never more than its maker may.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", operation_id = "create_key",
    request_body = KeyRequest,
    responses(
        (status = 201, description = "Made, with its secret", body = NewKey),
        (status = 409, description = "There are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A limit is reached, which `limit` names", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<KeysManage>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: KeyRequest = small(&body, FIELDS, "the request of a key")?;
    let name = request.name.unwrap_or_default();
    if !name.is_empty() {
        text::label("/name", &name, MAX_LABEL).map_err(|fault| Error::input(vec![fault]))?;
    }
    let may = match &request.scopes {
        Some(scopes) => scopes::read(scopes),
        None => caller.scopes(),
    };
    if may.is_empty() {
        let message = "must name one scope at least; a key without any opens nothing";
        return Err(Error::input(vec![fault(
            "/scopes",
            "invalid_value",
            message,
        )]));
    }
    caller.expect_all(may, "/scopes")?;
    let lifetime = within(request.expires_in, &LIFETIME, "/expires_in")?;
    state.allowance.key(caller.tenant())?;
    let mut tx = caller.begin().await?;
    let id = Minter::new(tx.now(), rng()).mint();
    let made = make(&mut tx, id, &name, may, lifetime).await?;
    let may = may.words().join(" ");
    caller
        .note(&mut tx, Action::KeyCreate, &made.shown.id, &may)
        .await?;
    tx.commit().await?;
    Ok(once::made(made))
}

/// Writes down a key of the tenant's own.
pub(super) async fn make(
    tx: &mut TenantTx,
    id: KeyId,
    name: &str,
    may: Scopes,
    lifetime: Option<Duration>,
) -> Result<NewKey> {
    if api_key::in_force(tx).await? >= MOST {
        let detail = format!("{MOST} keys are in force; revoke one that nobody uses");
        return Err(Error::new(Code::TooManyKeys, detail));
    }
    let secret = ApiKey::generate(rng());
    let hint = secret.hint();
    let new = api_key::New {
        id,
        name,
        hint: &hint,
        digest: &secret.digest(),
        scopes: may,
        lifetime,
    };
    let (created_at, expires_at) = api_key::add(tx, &new).await?;
    Ok(NewKey {
        shown: Key {
            id: id.to_string(),
            name: name.to_owned(),
            hint,
            is_yours: false,
            created_at,
            last_used_at: None,
            scopes: scopes::shown(may),
            expires_at,
            rotated_to: None,
            revoked_at: None,
        },
        key: secret.expose().to_owned(),
    })
}

/// Seconds within their bounds.
pub(super) fn within(
    seconds: Option<u32>,
    bounds: &std::ops::RangeInclusive<u32>,
    field: &str,
) -> Result<Option<Duration>> {
    if let Some(seconds) = seconds
        && !bounds.contains(&seconds)
    {
        let message = format!(
            "must be from {} to {} seconds",
            bounds.start(),
            bounds.end()
        );
        return Err(Error::input(vec![fault(field, "invalid_value", message)]));
    }
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
}
