//! How long completed jobs took from their submit, by type: counted when they end,
//! read as a histogram.

use std::collections::BTreeMap;
use std::time::Duration;

use offpeak_domain::id::{JobId, TenantId};
use offpeak_domain::turnaround::{Cell, DAYS, Turnaround, bin_of};
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::{Result, System, TenantTx};

/// Counts completed jobs, each with its type. Their rows are shared by whoever
/// settles for the tenant: to be called at a transaction's end, once, right before
/// budgets.
pub(crate) async fn note(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    completed: impl IntoIterator<Item = (JobId, Option<&str>)>,
) -> Result<()> {
    // In one order everywhere, so that two of them do not deadlock.
    let mut cells = BTreeMap::<(&str, i16), i64>::new();
    for (job, of_type) in completed {
        let took = Duration::try_from(now - job.minted_at()).unwrap_or_default();
        let bin = i16::from(bin_of(took));
        *cells.entry((of_type.unwrap_or_default(), bin)).or_default() += 1;
    }
    if cells.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO took AS t (tenant_id, day, type, bin, n)
         SELECT $1, $2, type, bin, n
           FROM unnest($3::text[], $4::smallint[], $5::bigint[]) AS new (type, bin, n)
             ON CONFLICT (tenant_id, day, type, bin) DO UPDATE SET n = t.n + excluded.n",
        tenant.as_uuid(),
        now.date(),
        &cells.keys().map(|cell| cell.0).collect::<Vec<_>>() as &[&str],
        &cells.keys().map(|cell| cell.1).collect::<Vec<_>>(),
        &cells.values().copied().collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How long the completed jobs of one type took lately.
#[derive(Clone, Debug)]
pub struct OfType {
    /// None for jobs with their own params.
    pub job_type: Option<String>,
    /// How many.
    pub n: u64,
    /// Of them all, whatever the hour.
    pub times: Turnaround,
}

/// Each type of the tenant that completed something in the last days, by name.
pub async fn lately(tx: &mut TenantTx) -> Result<Vec<OfType>> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let rows = sqlx::query!(
        r#"SELECT type, bin, sum(n)::bigint AS "n!"
             FROM took
            WHERE tenant_id = $1 AND day > $2::timestamptz::date - $3::integer
            GROUP BY type, bin
            ORDER BY type, bin
            LIMIT 100000"#,
        tenant.as_uuid(),
        now,
        i32::from(DAYS),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut of_types: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for row in rows {
        of_types.entry(row.r#type).or_default().push(Cell {
            hour: 0,
            size: 0,
            bin: u8::try_from(row.bin).unwrap_or(u8::MAX),
            n: u64::try_from(row.n).unwrap_or(0),
        });
    }
    Ok(of_types
        .into_iter()
        .map(|(name, cells)| OfType {
            job_type: (!name.is_empty()).then_some(name),
            n: cells.iter().map(|cell| cell.n).sum(),
            times: Turnaround::new(cells),
        })
        .collect())
}

/// Forgets what is no longer lately.
pub async fn purge(system: &System, now: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM took WHERE day < $1::timestamptz::date - $2::integer",
        now,
        2 * i32::from(DAYS),
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
