use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who the caller is, and where its work goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// `ten_…`.
    pub tenant: String,
    /// The tenant's name.
    pub name: String,
    /// The API key's prefix and last four characters.
    pub key: String,
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
