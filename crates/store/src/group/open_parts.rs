use offpeak_domain::id::GroupId;
use time::OffsetDateTime;

use crate::{Result, TenantTx};

/// What of a group is still to come back in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPart {
    /// Jobs that wait to be put into one.
    Waiting,
    /// A batch with jobs of it that has not ended.
    Batch {
        /// Jobs in it when it was planned, those of others included.
        items: u64,
        /// When Anthropic made it; none before.
        created_at: Option<OffsetDateTime>,
    },
}

/// The open parts of groups, in the order of the groups' ids. What is called for
/// directly, or waits for another job's result, is none of them.
pub async fn open_parts(tx: &mut TenantTx, ids: &[GroupId]) -> Result<Vec<(GroupId, OpenPart)>> {
    let ids: Vec<_> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        // The ids of a group lie together, so the range finds one of it at once where
        // there is one, and next to nothing where there is none.
        r#"WITH span AS MATERIALIZED (
               SELECT g.id, first.id AS first, last.id AS last
                 FROM unnest($2::uuid[]) AS g (id)
                CROSS JOIN LATERAL (
                      SELECT id FROM job
                       WHERE tenant_id = $1 AND group_id = g.id
                       ORDER BY id LIMIT 1) AS first
                CROSS JOIN LATERAL (
                      SELECT id FROM job
                       WHERE tenant_id = $1 AND group_id = g.id
                       ORDER BY id DESC LIMIT 1) AS last)
           SELECT s.id AS "group!", b.items AS "items?", b.created_at
             FROM span s
             JOIN batch b ON b.tenant_id = $1 AND b.state <> 'ended'
                         AND b.state NOT IN ('ingested', 'refuted', 'rejected')
            WHERE EXISTS (SELECT FROM inflight i
                           WHERE i.tenant_id = $1 AND i.batch_id = b.id AND NOT i.canceled
                             AND i.id BETWEEN s.first AND s.last AND i.group_id = s.id)
            UNION ALL
           SELECT s.id, NULL, NULL
             FROM span s
            WHERE EXISTS (SELECT FROM ready r
                           WHERE r.tenant_id = $1 AND r.lane = 'batch'
                             AND r.id BETWEEN s.first AND s.last AND r.group_id = s.id)
            ORDER BY 1
            LIMIT 100000"#,
        tx.tenant().as_uuid(),
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let part = row
                .items
                .map_or(OpenPart::Waiting, |items| OpenPart::Batch {
                    items: u64::try_from(items).unwrap_or(0),
                    created_at: row.created_at,
                });
            (GroupId::from_uuid(row.group), part)
        })
        .collect())
}
