//! Contexts: documents that many jobs of a tenant share.

use offpeak_domain::cache::estimate_tokens;
use offpeak_domain::id::ContextId;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sealed::Piece;
use crate::{Result, TenantTx};

/// A context, without its text.
#[derive(Clone, Debug)]
pub struct Context {
    /// Which.
    pub id: ContextId,
    /// For a person.
    pub title: Option<String>,
    /// Length of the text.
    pub bytes: u64,
    /// The same in tokens, estimated.
    pub tokens: u64,
    /// When it was stored.
    pub created_at: OffsetDateTime,
}

/// Stores a text, unless it is stored already: then the context is that one, with
/// the title that it had. True when it is new. `text` is not empty.
pub async fn create(
    tx: &mut TenantTx,
    id: ContextId,
    title: Option<&str>,
    text: &str,
) -> Result<(Context, bool)> {
    let hash = Sha256::digest(text);
    let tenant = tx.tenant();
    let now = tx.now();
    let int = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    let piece = Piece::Body(id.as_uuid());
    let (body, key_id) = tx.seal().column(piece, text.as_bytes())?;
    let new = sqlx::query!(
        "INSERT INTO context (tenant_id, id, hash, title, body, bytes, tokens, created_at,
                              key_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (tenant_id, hash) DO NOTHING",
        tenant.as_uuid(),
        id.as_uuid(),
        &hash[..],
        title,
        &*body,
        int(text.len() as u64),
        int(estimate_tokens(text)),
        now,
        key_id,
    )
    .execute(tx.conn())
    .await?
    .rows_affected()
        == 1;
    let row = sqlx::query_as!(
        Row,
        "SELECT id, title, bytes, tokens, created_at
           FROM context WHERE tenant_id = $1 AND hash = $2",
        tenant.as_uuid(),
        &hash[..],
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.into(), new))
}

struct Row {
    id: Uuid,
    title: Option<String>,
    bytes: i32,
    tokens: i32,
    created_at: OffsetDateTime,
}

impl From<Row> for Context {
    fn from(row: Row) -> Self {
        Self {
            id: ContextId::from_uuid(row.id),
            title: row.title,
            bytes: u64::try_from(row.bytes).unwrap_or(0),
            tokens: u64::try_from(row.tokens).unwrap_or(0),
            created_at: row.created_at,
        }
    }
}

/// Contexts older than `before`, newest first.
pub async fn list(
    tx: &mut TenantTx,
    before: Option<ContextId>,
    limit: i64,
) -> Result<Vec<Context>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, title, bytes, tokens, created_at
           FROM context
          WHERE tenant_id = $1 AND id < $2
          ORDER BY id DESC
          LIMIT $3",
        tx.tenant().as_uuid(),
        before.map_or(Uuid::max(), ContextId::as_uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Context::from).collect())
}

/// The same with their texts.
pub async fn with_texts(
    tx: &mut TenantTx,
    before: Option<ContextId>,
    limit: i64,
) -> Result<Vec<(Context, String)>> {
    let rows = sqlx::query!(
        "SELECT id, title, bytes, tokens, created_at, body, key_id
           FROM context
          WHERE tenant_id = $1 AND id < $2
          ORDER BY id DESC
          LIMIT $3",
        tx.tenant().as_uuid(),
        before.map_or(Uuid::max(), ContextId::as_uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let text = tx.seal().open(Piece::Body(row.id), row.key_id, row.body)?;
            let context = Row {
                id: row.id,
                title: row.title,
                bytes: row.bytes,
                tokens: row.tokens,
                created_at: row.created_at,
            };
            let text = String::from_utf8_lossy(&text).into_owned();
            Ok((context.into(), text))
        })
        .collect()
}

/// One context.
pub async fn get(tx: &mut TenantTx, id: ContextId) -> Result<Option<Context>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, title, bytes, tokens, created_at
           FROM context WHERE tenant_id = $1 AND id = $2",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Context::from))
}

/// The texts of these contexts, in this order; the id of the first one that is
/// not there instead.
pub async fn texts(
    tx: &mut TenantTx,
    ids: &[ContextId],
) -> Result<std::result::Result<Vec<String>, ContextId>> {
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT c.body AS "body?", c.key_id AS "key_id?"
             FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (id, place)
             LEFT JOIN context c ON c.tenant_id = $1 AND c.id = asked.id
            ORDER BY asked.place
            LIMIT $3"#,
        tx.tenant().as_uuid(),
        &uuids,
        i64::try_from(ids.len()).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut texts = Vec::with_capacity(ids.len());
    for (id, row) in ids.iter().zip(rows) {
        let Some((body, key_id)) = row.body.zip(row.key_id) else {
            return Ok(Err(*id));
        };
        let body = tx.seal().open(Piece::Body(id.as_uuid()), key_id, body)?;
        let Ok(text) = String::from_utf8(body) else {
            return Ok(Err(*id));
        };
        texts.push(text);
    }
    Ok(Ok(texts))
}

/// Deletes it for good. False when there is none. Jobs that were submitted with
/// it keep their text.
pub async fn delete(tx: &mut TenantTx, id: ContextId) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM context WHERE tenant_id = $1 AND id = $2",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
