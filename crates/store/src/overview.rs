//! What stands out of a tenant's work at this moment, each read by a few probes.

use offpeak_domain::batch::State;
use offpeak_domain::id::{BatchId, IncidentId};
use time::OffsetDateTime;

use crate::job::known;
use crate::{Result, TenantTx};

/// Buckets in which the oldest waiting job is looked for, at most.
const BUCKETS: i64 = 300;
/// Incidents that are shown, at most.
const INCIDENTS: i32 = 50;

/// Since when the job has been waiting that has waited longest; none when none waits.
pub async fn waiting_since(tx: &mut TenantTx) -> Result<Option<OffsetDateTime>> {
    // The first of each priority in each bucket that has any; one whose submit is
    // not folded yet is not the oldest.
    Ok(sqlx::query_scalar!(
        "SELECT min(head.not_before)
           FROM (SELECT key FROM tally
                  WHERE tenant_id = $1 AND scope = 'bucket' AND n <> 0
                  ORDER BY key
                  LIMIT $2) AS bucket
          CROSS JOIN (VALUES (1::smallint), (0::smallint), (-1::smallint)) AS p (priority)
          CROSS JOIN LATERAL (
                SELECT not_before FROM ready
                 WHERE tenant_id = $1 AND bucket_id = bucket.key AND priority = p.priority
                 ORDER BY not_before
                 LIMIT 1) AS head",
        tx.tenant().as_uuid(),
        BUCKETS,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Batches in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub state: State,
    /// How many.
    pub batches: u64,
    /// Jobs that they were planned with.
    pub items: u64,
}

/// The batches of the tenant that are under way, by state.
pub async fn open_batches(tx: &mut TenantTx) -> Result<Vec<Open>> {
    let rows = sqlx::query!(
        r#"SELECT state, count(*) AS "batches!", sum(items)::bigint AS "items!"
             FROM batch
            WHERE tenant_id = $1 AND state NOT IN ('ingested', 'refuted', 'rejected')
            GROUP BY state
            ORDER BY state
            LIMIT 100"#,
        tx.tenant().as_uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.into_iter()
        .map(|row| {
            Ok(Open {
                state: known("batch.state", row.state)?,
                batches: count(row.batches),
                items: count(row.items),
            })
        })
        .collect()
}

/// Something that happened to the tenant's jobs and nobody has dealt with.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// A word of `offpeak_domain::incident::Kind`, or one of a newer version.
    pub kind: String,
    /// When it was seen first.
    pub at: OffsetDateTime,
    /// Which batch.
    pub batch: Option<BatchId>,
    /// One sentence for a person.
    pub detail: String,
}

/// What concerns the tenant, newest first.
pub async fn incidents(tx: &mut TenantTx) -> Result<Vec<Incident>> {
    let rows = sqlx::query!(
        // The function knows whose transaction this is.
        r#"SELECT id AS "id!", kind AS "kind!", at AS "at!", batch_id, detail AS "detail!"
             FROM own_incidents($1)
            ORDER BY at DESC, id
            LIMIT $1"#,
        INCIDENTS,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Incident {
            id: IncidentId::from_uuid(row.id),
            kind: row.kind,
            at: row.at,
            batch: row.batch_id.map(BatchId::from_uuid),
            detail: row.detail,
        })
        .collect())
}

/// Why nothing is sent.
#[derive(Clone, Debug)]
pub struct Pause {
    /// In words.
    pub reason: String,
    /// When one more try is made.
    pub until: OffsetDateTime,
}

/// The pause of the upstream to which the tenant's jobs go; none when it is not paused.
pub async fn pause(tx: &mut TenantTx) -> Result<Option<Pause>> {
    let tenant = tx.tenant().as_uuid();
    let row = sqlx::query!(
        r#"SELECT paused_reason AS "reason!", paused_until AS "until!"
             FROM upstream
            WHERE id = upstream_of($1) AND paused_reason IS NOT NULL"#,
        tenant,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Pause {
        reason: row.reason,
        until: row.until,
    }))
}
