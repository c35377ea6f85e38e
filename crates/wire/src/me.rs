use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Role, Scope};

/// Who the caller is, and where its work goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// `ten_…`.
    pub tenant: String,
    /// The tenant's name.
    pub name: String,
    /// The API key's prefix and last four characters; null for a person.
    #[schema(required)]
    pub key: Option<String>,
    /// The person's name, or that of the operator who looks at the tenant; null for a key.
    #[schema(required)]
    pub person: Option<String>,
    /// The person's role; null for a key.
    #[schema(required)]
    pub role: Option<Role>,
    /// Whether it is an operator who looks at the tenant.
    pub operator: bool,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// Where jobs are sent.
    pub upstream: Upstream,
}

/// Where jobs are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upstream {
    /// For a person.
    pub name: String,
    /// True when it is the local stand-in: answers are made up and nothing is billed.
    pub standin: bool,
}
