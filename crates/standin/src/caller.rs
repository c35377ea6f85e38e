//! Who calls: the credential and the version headers, checked before anything else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offpeak_anthropic::API_VERSIONS;
use offpeak_anthropic::shape::ErrorKind;
use time::Duration;
use time::macros::format_description;

use crate::dice;
use crate::edge::Override;
use crate::fault;
use crate::rates::Family;
use crate::refusal::Refusal;
use crate::world::World;

/// A caller who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) workspace: String,
    /// The id of its key.
    pub(crate) api_key: String,
    /// Whose usage it is, as it says.
    pub(crate) user_profile: Option<String>,
    pub(crate) version: String,
    pub(crate) betas: Vec<String>,
}

/// The outermost layer: gives every answer its request id and the time, and every
/// refusal its body.
pub(crate) async fn frame(
    State(world): State<Arc<World>>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = world.fresh_id("req_");
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let bare = response;
        response = refusal.answer(&request_id);
        for (name, value) in bare.headers() {
            response
                .headers_mut()
                .entry(name)
                .or_insert_with(|| value.clone());
        }
    }
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let skew = Duration::seconds(world.behavior().date_skew_s);
    let date = (world.now() + skew).format(format).unwrap_or_default();
    set(&mut response, "request-id", &request_id);
    set(&mut response, header::DATE.as_str(), &date);
    Override::apply(&mut response);
    response
}

/// Lets a caller in, or not. The credential comes first, then the version.
pub(crate) async fn enter(
    State(world): State<Arc<World>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(key) = credential(request.headers()) else {
        return unauthenticated("x-api-key header is required");
    };
    let Some(workspace) = world.workspace(key) else {
        return unauthenticated("invalid x-api-key");
    };
    let api_key = dice::id("apikey_", 0, &[key]);
    let is_admin = World::is_admin(key);
    let path = request.uri().path();
    let of_organization = path.starts_with("/v1/organizations");
    let family = Family::of(path);
    let behavior = world.behavior();
    let named = text(request.headers(), "anthropic-workspace-id");
    let elsewhere = named.is_some_and(|named| named != workspace) && !is_admin;
    let mut standing = None;
    let admitted = versions(request.headers()).and_then(|versions| {
        if of_organization != is_admin {
            return Err(Refusal::new(
                403,
                ErrorKind::Permission,
                "This key may not be used here",
            ));
        }
        if elsewhere && behavior.workspace_mismatch != 200 {
            return Err(Refusal::new(
                behavior.workspace_mismatch,
                fault::kind(behavior.workspace_mismatch),
                "anthropic-workspace-id: not the workspace of this key",
            ));
        }
        if let Some(family) = family {
            let kept = match family {
                Family::Batches => world.limits.calls_per_minute,
                Family::Messages | Family::TokenCounts => None,
            };
            let counted = world.rates.count(&workspace, family, kept, world.now());
            standing = Some(counted);
            counted.admit()?;
        }
        Ok(versions)
    });
    let mut response = match admitted {
        Err(refusal) => refusal.into_response(),
        Ok((version, betas)) => {
            let workspace = workspace.clone();
            let user_profile = text(request.headers(), "anthropic-user-profile-id");
            let caller = Caller {
                workspace,
                api_key,
                user_profile: user_profile.map(str::to_owned),
                version,
                betas,
            };
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    };
    if let Some(standing) = standing
        && (family != Some(Family::Batches) || behavior.batch_rate_headers)
    {
        standing.tell(&mut response);
    }
    let organization = organization_id();
    set(&mut response, "anthropic-organization-id", &organization);
    if !of_organization {
        set(&mut response, "anthropic-workspace-id", &workspace);
    }
    response
}

/// There is one organization.
pub(crate) fn organization_id() -> String {
    dice::uuid(0, &["organization"])
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The key: `x-api-key` wins over a bearer token.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    text(headers, "x-api-key")
        .or_else(|| text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")))
        .map(str::trim)
        .filter(|key| !key.is_empty())
}

fn unauthenticated(message: &str) -> Response {
    Refusal::new(401, ErrorKind::Authentication, message).into_response()
}

/// The API version and the beta features.
fn versions(headers: &HeaderMap) -> Result<(String, Vec<String>), Refusal> {
    let version = match headers.get("anthropic-version").map(HeaderValue::to_str) {
        None => return Err(Refusal::invalid("anthropic-version: header is required")),
        Some(Ok(version)) if API_VERSIONS.contains(&version) => version.to_owned(),
        Some(version) => {
            let version = version.unwrap_or_default();
            return Err(Refusal::invalid(format!(
                "anthropic-version: \"{version}\" is not a valid version"
            )));
        }
    };
    let betas: Vec<String> = headers
        .get_all("anthropic-beta")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|beta| beta.trim().to_owned())
        .filter(|beta| !beta.is_empty())
        .collect();
    match betas.iter().find(|beta| !is_beta(beta)) {
        Some(beta) => Err(Refusal::invalid(format!(
            "Unexpected value(s) `{beta}` for the `anthropic-beta` header"
        ))),
        None => Ok((version, betas)),
    }
}

/// Beta features come and go monthly, so any name with a date behind it will do.
fn is_beta(text: &str) -> bool {
    let mut parts = text.rsplitn(4, '-');
    let digits = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    digits(parts.next(), 2)
        && digits(parts.next(), 2)
        && digits(parts.next(), 4)
        && parts.next().is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn betas_have_a_date() {
        for good in ["message-batches-2024-09-24", "output-300k-2026-03-24"] {
            assert!(is_beta(good), "{good}");
        }
        for bad in ["turbo", "2024-09-24", "x-2024-9-24", "x-2024-09"] {
            assert!(!is_beta(bad), "{bad}");
        }
    }
}
