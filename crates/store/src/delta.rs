//! Counts and sums: writers append differences, [`fold`] gathers them.
//!
//! No row is shared by two writers, so no submit waits for another. A reader
//! adds `tally` and the `delta` rows that are not folded yet in one statement,
//! which is exact at every moment.

use offpeak_domain::id::{BatchId, BucketId, GroupId, TenantId};
use offpeak_domain::job::State;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::{Result, System, event, point};

/// Name of the row that sums ledger entries: tokens and money, whatever the state.
pub(crate) const BILLED: &str = "billed";

/// What a count belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// Jobs ready in a bucket.
    Bucket(BucketId),
    /// A group's jobs by state.
    Group(GroupId),
    /// A tenant's jobs by state.
    Tenant,
}

impl Of {
    fn scope(self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Group(_) => "group",
            Self::Tenant => "tenant",
        }
    }

    fn key(self) -> Uuid {
        match self {
            Self::Bucket(id) => id.as_uuid(),
            Self::Group(id) => id.as_uuid(),
            Self::Tenant => Uuid::nil(),
        }
    }
}

/// One difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) of: Of,
    /// `ready`, `total`, [`BILLED`], or a job state.
    pub(crate) name: &'static str,
    pub(crate) n: i64,
    pub(crate) bytes: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_pico: i64,
    pub(crate) sync_pico: i64,
}

impl Change {
    /// A change of a count alone.
    pub(crate) fn count(of: Of, name: &'static str, n: i64) -> Self {
        Self {
            of,
            name,
            n,
            bytes: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost_pico: 0,
            sync_pico: 0,
        }
    }

    /// `n` jobs of `bytes` in all that became ready, or were taken (negative).
    pub(crate) fn ready(bucket: BucketId, n: i64, bytes: i64) -> Self {
        Self {
            bytes,
            ..Self::count(Of::Bucket(bucket), "ready", n)
        }
    }

    /// `n` jobs that went from one state to another, for their tenant and,
    /// where they have one, their group.
    pub(crate) fn moved(
        group: Option<GroupId>,
        from: State,
        to: State,
        n: i64,
    ) -> impl Iterator<Item = Self> {
        [Some(Of::Tenant), group.map(Of::Group)]
            .into_iter()
            .flatten()
            .flat_map(move |of| {
                [
                    Self::count(of, from.as_str(), -n),
                    Self::count(of, to.as_str(), n),
                ]
            })
    }
}

/// Appends differences of one tenant. Sums equal targets first, so that a
/// chunk of a thousand jobs leaves a handful of rows.
pub(crate) async fn append(
    conn: &mut Connection,
    tenant: TenantId,
    changes: impl IntoIterator<Item = Change>,
) -> Result<()> {
    let mut sums = std::collections::BTreeMap::<(Of, &'static str), Change>::new();
    for change in changes {
        sums.entry((change.of, change.name))
            .and_modify(|sum| {
                sum.n += change.n;
                sum.bytes += change.bytes;
                sum.input_tokens += change.input_tokens;
                sum.output_tokens += change.output_tokens;
                sum.cost_pico += change.cost_pico;
                sum.sync_pico += change.sync_pico;
            })
            .or_insert(change);
    }
    let rows: Vec<Change> = sums.into_values().collect();
    #[cfg(feature = "torture")]
    let rows = crate::torture::held_back(tenant, rows);
    let column = |f: fn(&Change) -> i64| rows.iter().map(f).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO delta (tenant_id, scope, key, name, n, bytes,
                            input_tokens, output_tokens, cost_pico, sync_pico)
         SELECT $1, *
           FROM unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[],
                       $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])",
        tenant.as_uuid(),
        &rows
            .iter()
            .map(|row| row.of.scope().to_owned())
            .collect::<Vec<_>>(),
        &rows.iter().map(|row| row.of.key()).collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.name.to_owned())
            .collect::<Vec<_>>(),
        &column(|row| row.n),
        &column(|row| row.bytes),
        &column(|row| row.input_tokens),
        &column(|row| row.output_tokens),
        &column(|row| row.cost_pico),
        &column(|row| row.sync_pico),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves every job of a batch that is not canceled from one state to another
/// in the counts of its group and tenant, and tells it. The caller has just updated the
/// batch's row, so no cancel can slip in between.
pub(crate) async fn move_batch(
    conn: &mut Connection,
    tenant: TenantId,
    batch: BatchId,
    from: State,
    to: State,
) -> Result<()> {
    sqlx::query!(
        "WITH counted AS (
             SELECT group_id, count(*) AS n
               FROM inflight
              WHERE tenant_id = $1 AND batch_id = $2 AND NOT canceled
              GROUP BY group_id),
         target AS (
             SELECT 'group' AS scope, group_id AS key, n FROM counted WHERE group_id IS NOT NULL
              UNION ALL
             SELECT 'tenant', '00000000-0000-0000-0000-000000000000', sum(n)::bigint
               FROM counted HAVING sum(n) > 0)
         INSERT INTO delta (tenant_id, scope, key, name, n)
         SELECT $1, scope, key, step.name, step.sign * n
           FROM target, (VALUES ($3, -1), ($4, 1)) AS step (name, sign)",
        tenant.as_uuid(),
        batch.as_uuid(),
        from.as_str(),
        to.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    event::jobs_of(conn, tenant, batch, to).await
}

/// Folds up to `limit` differences into the tallies. Returns how many: fewer
/// than `limit` means that it caught up.
pub async fn fold(system: &System, limit: i64) -> Result<u64> {
    let mut tx = system.begin_write().await?;
    let folded = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM delta
                WHERE ctid = ANY (ARRAY(SELECT ctid FROM delta LIMIT $1))
               RETURNING *),
           -- Always in one order: two folds at once could deadlock otherwise.
           sums AS (
               SELECT tenant_id, scope, key, name, sum(n) AS n, sum(bytes) AS bytes,
                      sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                      sum(cost_pico) AS cost_pico, sum(sync_pico) AS sync_pico
                 FROM gone
                GROUP BY tenant_id, scope, key, name
                ORDER BY tenant_id, scope, key, name),
           folded AS (
               INSERT INTO tally AS t
               SELECT tenant_id, scope, key, name, n, bytes,
                      input_tokens, output_tokens, cost_pico, sync_pico
                 FROM sums
                   ON CONFLICT (tenant_id, scope, key, name) DO UPDATE
                  SET n = t.n + excluded.n,
                      bytes = t.bytes + excluded.bytes,
                      input_tokens = t.input_tokens + excluded.input_tokens,
                      output_tokens = t.output_tokens + excluded.output_tokens,
                      cost_pico = t.cost_pico + excluded.cost_pico,
                      sync_pico = t.sync_pico + excluded.sync_pico
               RETURNING 1),
           -- A move from one state to another comes to nothing: what is left over
           -- was accepted. A retry takes nothing back of what had ended.
           minutes AS (
               SELECT tenant_id, date_trunc('minute', at) AS minute,
                      coalesce(sum(n) FILTER (WHERE name <> 'billed'), 0) AS accepted,
                      coalesce(sum(n) FILTER (WHERE name = 'completed' AND n > 0), 0) AS completed,
                      coalesce(sum(n) FILTER (WHERE name = 'failed' AND n > 0), 0) AS failed,
                      coalesce(sum(n) FILTER (WHERE name = 'canceled' AND n > 0), 0) AS canceled
                 FROM gone
                WHERE scope = 'tenant'
                GROUP BY tenant_id, date_trunc('minute', at)
                ORDER BY tenant_id, date_trunc('minute', at)),
           paced AS (
               INSERT INTO pace AS p
               SELECT tenant_id, minute, accepted, completed, failed, canceled
                 FROM minutes
                   ON CONFLICT (tenant_id, minute) DO UPDATE
                  SET accepted = p.accepted + excluded.accepted,
                      completed = p.completed + excluded.completed,
                      failed = p.failed + excluded.failed,
                      canceled = p.canceled + excluded.canceled)
           SELECT count(*) AS "count!" FROM gone"#,
        limit,
    )
    .fetch_one(tx.conn())
    .await?;
    point!("fold.open");
    tx.commit().await?;
    Ok(u64::try_from(folded).unwrap_or(0))
}
