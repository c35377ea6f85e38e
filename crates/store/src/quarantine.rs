//! Result lines that could not be taken as they came.

use std::collections::HashSet;

use offpeak_domain::id::BatchId;
use offpeak_domain::quarantine::Flaw;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Key;
use crate::sealed::{Piece, Seal};
use crate::{Error, Result, System, SystemTx, TenantTx};

/// Rows that are kept of one batch; of more, only the number is.
pub const KEPT: usize = 1000;
/// Bytes of a line that are kept.
pub const HEAD: usize = 64 << 10;

/// A flawed line.
#[derive(Clone)]
pub struct Flawed {
    /// What is wrong with it.
    pub flaw: Flaw,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// How it begins, at most [`HEAD`], if it is the tenant's own.
    pub head: Option<Vec<u8>>,
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flawed")
            .field("flaw", &self.flaw)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Puts lines of a batch aside, sealed as its other lines are. Those that stand there
/// already, and those beyond the first [`KEPT`], change nothing.
pub(crate) async fn insert(
    tx: &mut SystemTx,
    key: Key,
    now: OffsetDateTime,
    lines: &[Flawed],
) -> Result<()> {
    // The same garbage many times over is one row, and takes one row's room.
    let mut seen = HashSet::new();
    let lines: Vec<&Flawed> = lines
        .iter()
        .filter(|line| seen.insert((line.hash, line.flaw)))
        .collect();
    let seal = if lines.iter().any(|line| line.head.is_some()) {
        Some(tx.seal(key.tenant).await?)
    } else {
        None
    };
    let (mut heads, mut key_ids) = (Vec::new(), Vec::new());
    for line in &lines {
        let (head, key_id) = stored(seal.as_ref(), key, line)?;
        heads.push(head);
        key_ids.push(key_id);
    }
    sqlx::query!(
        "INSERT INTO quarantine (tenant_id, batch_id, at, line_hash, kind, bytes, head, key_id)
         SELECT $1, $2, $3, new.line_hash, new.kind, new.bytes, new.head, new.key_id
           FROM unnest($4::bytea[], $5::text[], $6::bigint[], $7::bytea[], $9::integer[])
                WITH ORDINALITY AS new (line_hash, kind, bytes, head, key_id, place)
          WHERE NOT EXISTS (SELECT FROM quarantine q
                             WHERE q.tenant_id = $1 AND q.batch_id = $2
                               AND q.line_hash = new.line_hash AND q.kind = new.kind)
          ORDER BY new.place
          LIMIT greatest(0, $8::bigint - (SELECT count(*) FROM quarantine q
                                           WHERE q.tenant_id = $1 AND q.batch_id = $2))
             ON CONFLICT DO NOTHING",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
        &lines
            .iter()
            .map(|line| line.hash.to_vec())
            .collect::<Vec<_>>(),
        &lines
            .iter()
            .map(|line| line.flaw.as_str().to_owned())
            .collect::<Vec<_>>(),
        &lines
            .iter()
            .map(|line| i64::try_from(line.bytes).unwrap_or(i64::MAX))
            .collect::<Vec<_>>(),
        &heads as _,
        i64::try_from(KEPT).unwrap_or(i64::MAX),
        &key_ids,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How a line begins as it is to be stored, and its `key_id`.
fn stored(seal: Option<&Seal>, key: Key, line: &Flawed) -> Result<(Option<Vec<u8>>, i32)> {
    let (Some(seal), Some(head)) = (seal, &line.head) else {
        return Ok((None, 0));
    };
    let piece = Piece::Head(key.batch.as_uuid(), line.hash);
    let (head, key_id) = seal.column(piece, head)?;
    Ok((Some(head.into_owned()), key_id))
}

/// A line that was put aside, as its tenant has it.
#[derive(Clone)]
pub struct PutAside {
    /// In whose results it stood.
    pub batch: BatchId,
    /// When it was first read.
    pub at: OffsetDateTime,
    /// What is wrong with it: a word of [`Flaw`]; a newer version may know more.
    pub flaw: String,
    /// SHA-256 of it; of its beginning, where it was too long to be held.
    pub hash: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// How it begins, at most [`HEAD`], if it names a job of the batch.
    pub head: Option<Vec<u8>>,
}

/// Where a list of them stands.
pub type Place = (Uuid, [u8; 32], String);

impl PutAside {
    /// Its own.
    pub fn place(&self) -> Place {
        (self.batch.as_uuid(), self.hash, self.flaw.clone())
    }
}

/// Up to `limit` of the tenant's after this one, by batch, hash and flaw.
pub async fn own(tx: &mut TenantTx, after: Option<&Place>, limit: i64) -> Result<Vec<PutAside>> {
    let (batch, hash, flaw) = match after {
        Some((batch, hash, flaw)) => (*batch, &hash[..], &flaw[..]),
        None => (Uuid::nil(), &[][..], ""),
    };
    let rows = sqlx::query!(
        "SELECT batch_id, line_hash, kind, bytes, at, head, key_id
           FROM quarantine
          WHERE tenant_id = $1 AND (batch_id, line_hash, kind) > ($2, $3, $4)
          ORDER BY batch_id, line_hash, kind
          LIMIT $5",
        tx.tenant().as_uuid(),
        batch,
        hash,
        flaw,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash = row.line_hash.try_into().map_err(|_| Error::Unknown {
                column: "line_hash",
                value: "not 32 bytes".to_owned(),
            })?;
            let piece = Piece::Head(row.batch_id, hash);
            let open = |head| tx.seal().open(piece, row.key_id, head);
            Ok(PutAside {
                batch: BatchId::from_uuid(row.batch_id),
                at: row.at,
                flaw: row.kind,
                hash,
                bytes: u64::try_from(row.bytes).unwrap_or(0),
                head: row.head.map(open).transpose()?,
            })
        })
        .collect()
}

/// How many are kept, by what is wrong with them.
pub async fn count(system: &System) -> Result<Vec<(String, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT kind, count(*) AS "lines!" FROM quarantine
            GROUP BY kind ORDER BY kind LIMIT 1000"#
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, u64::try_from(row.lines).unwrap_or(0)))
        .collect())
}
