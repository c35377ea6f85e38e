use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use offpeak_domain::signin;
use offpeak_store::identity::Vouched;
use offpeak_wire::{CameBack, Choice, Problem, SignedIn, TenantName};

use super::{enter_as, failed, not_invited, over, proof, server, under_way};
use crate::asked::Asked;
use crate::body::{Field, Json, reads_as, small};
use crate::caller::cookie::OwnPage;
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::State;

const fn text(name: &'static str, required: bool) -> Field {
    Field {
        name,
        expected: "a string",
        required,
        fits: reads_as::<String>,
    }
}

const FIELDS: &[Field] = &[
    text("state", true),
    text("code", false),
    text("error", false),
    text("iss", false),
];

/// What the specifications let a server say instead of a code. Other words are not
/// repeated: anybody can write an address.
const REFUSALS: [&str; 12] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "request_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
];

/// Come back from the identity server
///
/// With what it sent the browser back with, once and in the browser that went. Signs in
/// whoever an admin of a tenant has added under the address that the server verified; from
/// then on the account there counts, whatever its address. Who belongs to several tenants
/// is asked which.
#[utoipa::path(
    post, path = "/v1/session/oidc/callback", tag = "me", operation_id = "come_back_from_identity_server",
    request_body = CameBack,
    responses(
        (status = 201, description = "Signed in", body = SignedIn,
            headers(("set-cookie" = String, description = "`offpeak_session`"))),
        (status = 200, description = "Of several tenants: choose one", body = Choice),
        (status = 403, description = "Refused there (`sign_in_refused`), not added here (`not_invited`), or without a verified address (`address_not_verified`)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No identity server is set up", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Used before, over, or begun in another browser (`sign_in_over`)", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "What the identity server sent proves nothing (`identity_unproven`)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It does not answer (`identity_server_down`)", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    _own: OwnPage,
    asked: Asked,
    headers: HeaderMap,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let request: CameBack = small(&body, FIELDS, "what a sign-in came back with")?;
    let server = server(&state)?;
    let secret = under_way(&headers)?;
    if !signin::came_back(&secret, &request.state) {
        return Err(over("this is not the sign-in that this browser began last"));
    }
    let now = state.tenants.redeem_attempt(&secret.digest()).await?;
    let now = now.ok_or_else(|| over("this sign-in was used before, or its time is over"))?;
    let code = code(request, server.provider.issuer())?;
    let found = server.provider.redeem(code, &proof(&secret), now).await;
    let found = found.map_err(|error| failed(&error))?;
    let who = Vouched {
        identity: found.digest,
        address: found.address,
    };
    let entries = state.tenants.entries(&who).await?;
    match entries.as_slice() {
        [] => Err(not_invited(who.address.as_deref())),
        [only] => enter_as(&state, &asked, &headers, only, &who).await,
        several => {
            state.tenants.keep_attempt(&secret.digest(), &who).await?;
            let named = |entry: &offpeak_store::identity::Entry| TenantName {
                id: entry.as_whom.tenant.to_string(),
                name: entry.tenant_name.clone(),
            };
            let tenants = several.iter().map(named).collect();
            Ok(axum::Json(Choice { tenants }).into_response())
        }
    }
}

/// The code, of the server that was asked.
fn code(request: CameBack, issuer: &str) -> Result<String> {
    let refused = |detail: String| Err(Error::new(Code::SignInRefused, detail));
    if request.iss.is_some_and(|iss| iss != issuer) {
        return refused("another identity server answered than the one that was asked".to_owned());
    }
    match (request.error, request.code) {
        (Some(error), _) => {
            let known = REFUSALS.into_iter().find(|word| *word == error);
            let word = known.unwrap_or("an error of its own");
            refused(format!(
                "the identity server let nobody in ({word}): begin again, or ask those who run it \
                 whether you may use offpeak"
            ))
        }
        (None, Some(code)) => Ok(code),
        (None, None) => {
            let message = "is missing, and so is `error`: one of both comes back";
            Err(Error::input(vec![fault("/code", "missing_field", message)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CameBack, code};

    fn came(code: Option<&str>, error: Option<&str>, iss: Option<&str>) -> CameBack {
        CameBack {
            state: String::new(),
            code: code.map(str::to_owned),
            error: error.map(str::to_owned),
            iss: iss.map(str::to_owned),
        }
    }

    #[test]
    fn an_answer_is_a_code_of_the_server_that_was_asked() {
        let of = |code_, error, iss| code(came(code_, error, iss), "https://login.example");
        assert_eq!(of(Some("c"), None, None).unwrap(), "c");
        assert_eq!(
            of(Some("c"), None, Some("https://login.example")).unwrap(),
            "c"
        );
        let said = |refused: crate::error::Result<String>| {
            let problem = refused.unwrap_err().problem("");
            format!("{} {}", problem.code, problem.detail)
        };
        let other = said(of(Some("c"), None, Some("https://evil.example")));
        assert!(
            other.starts_with("sign_in_refused another identity server"),
            "{other}"
        );
        let denied = said(of(None, Some("access_denied"), None));
        assert!(denied.contains("(access_denied)"), "{denied}");
        // What anybody may have written is not repeated.
        let odd = said(of(Some("c"), Some("Call 555-0100"), None));
        assert!(
            odd.contains("(an error of its own)") && !odd.contains("555"),
            "{odd}"
        );
        assert!(said(of(None, None, None)).starts_with("invalid_input"));
    }
}
