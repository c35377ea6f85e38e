use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How somebody may sign in, beside an API key and a link, which always do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ways {
    /// By a company's identity server; null where none is set up.
    pub identity_server: Option<IdentityServer>,
}

/// A server that says who somebody is, by OpenID Connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityServer {
    /// What people know it by: "Sign in with …".
    pub name: String,
}

/// A sign-in that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentAway {
    /// Where the browser goes now: an address of the identity server.
    pub url: String,
}

/// What the identity server sent the browser back with: what stands behind `?` in the
/// address that it came to. Either `code` or `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CameBack {
    /// As it went out.
    pub state: String,
    /// For which the server tells who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Which server says so, where it tells (RFC 9207).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}

/// Tenants of somebody who belongs to several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    /// By name, at most a hundred; `POST /v1/session/oidc/tenant` chooses.
    pub tenants: Vec<TenantName>,
}

/// A tenant by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantName {
    /// `ten_…`
    pub id: String,
    /// Unique in the deployment.
    pub name: String,
}

/// The tenant to sign in to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// One of [`Choice::tenants`].
    pub tenant: String,
}
