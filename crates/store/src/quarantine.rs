//! Result lines that could not be taken as they came.

use std::collections::HashSet;

use offpeak_domain::quarantine::Flaw;
use time::OffsetDateTime;

use crate::batch::Key;
use crate::bounded::Connection;
use crate::{Result, System};

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

/// Puts lines of a batch aside. Those that stand there already, and those
/// beyond the first [`KEPT`], change nothing.
pub(crate) async fn insert(
    conn: &mut Connection,
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
    sqlx::query!(
        "INSERT INTO quarantine (tenant_id, batch_id, at, line_hash, kind, bytes, head)
         SELECT $1, $2, $3, new.line_hash, new.kind, new.bytes, new.head
           FROM unnest($4::bytea[], $5::text[], $6::bigint[], $7::bytea[])
                WITH ORDINALITY AS new (line_hash, kind, bytes, head, place)
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
        &lines
            .iter()
            .map(|line| line.head.clone())
            .collect::<Vec<_>>() as _,
        i64::try_from(KEPT).unwrap_or(i64::MAX),
    )
    .execute(conn)
    .await?;
    Ok(())
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
