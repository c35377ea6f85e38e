use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows. A filtered page may hold fewer than asked for, even none,
    /// and still have a cursor: the search was cut off and goes on from there.
    pub data: Vec<T>,
    /// For `cursor` of the next call with the same filters; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
