use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use offpeak_domain::audit::Action;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_store::tenant;
use offpeak_wire::{NewTenant, Problem, TenantRequest};

use crate::body::{Field, Json, reads_as, small};
use crate::caller::Operator;
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::rng;

const FIELDS: &[Field] = &[Field {
    name: "name",
    expected: "a string",
    required: true,
    fits: reads_as::<String>,
}];

/// Make a tenant
///
/// It has no key and nobody yet: invite somebody.
#[utoipa::path(
    post, path = "/v1/operator/tenants", tag = "operator", operation_id = "create_tenant",
    request_body = TenantRequest,
    responses(
        (status = 201, description = "Made", body = NewTenant),
        (status = 401, description = "Nobody is signed in as an operator", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("operator" = [])),
)]
pub(crate) async fn handle(operator: Operator, query: Query, Json(body): Json) -> Result<Response> {
    query.end()?;
    let request: TenantRequest = small(&body, FIELDS, "the request of a tenant")?;
    let name = request.name;
    if !offpeak_domain::tenant::is_name(&name) {
        let message = "must be from 1 to 63 lowercase letters, digits, `_` and `-`, a letter or \
                       digit first";
        return Err(Error::input(vec![fault("/name", "invalid_value", message)]));
    }
    let mut tx = operator.begin().await?;
    let id: TenantId = Minter::new(tx.now(), rng()).mint();
    if !tenant::create_by_operator(&mut tx, id, &name).await? {
        let detail = format!("there is a tenant {name:?} already; choose another name");
        return Err(Error::new(Code::NameTaken, detail));
    }
    operator
        .note_own(Action::TenantCreate, &id.to_string(), &name)
        .await?;
    tx.commit().await?;
    let made = NewTenant {
        id: id.to_string(),
        name,
    };
    Ok((StatusCode::CREATED, axum::Json(made)).into_response())
}
