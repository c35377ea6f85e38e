use offpeak_wire::{AuditEntry, Page, Problem};

use super::Ask;
use crate::caller::{KeysManage, May};
use crate::error::Result;
use crate::query::Query;

/// The audit log, newest first
///
/// Who did what: each action on keys, people, budgets and origins, each cancel, and each
/// operator's look at what is yours. Entries are chained by their hashes and never
/// changed; `offpeak audit verify` walks along the chain.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "list_audit",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of it", body = Page<AuditEntry>),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<KeysManage>,
    query: Query,
) -> Result<axum::Json<Page<AuditEntry>>> {
    let ask = Ask::read(query)?;
    let mut tx = caller.begin().await?;
    let page = ask.page(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(page))
}
