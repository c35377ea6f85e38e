//! Events: writers tell what happened in the transaction in which it does,
//! [`number`] gives what was committed its place in the tenant's stream.
//!
//! A writer draws no number. One that it had drawn would become visible when it
//! commits, in another order than it counts, and whoever follows the numbers
//! would pass it by. Ids stand together with what happened to them, so that a
//! chunk of a thousand results is a few rows.

use std::collections::BTreeSet;

use offpeak_domain::batch;
use offpeak_domain::id::{BatchId, GroupId, JobId, OperationId, TenantId};
use offpeak_domain::job::State;
use offpeak_domain::operation;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::batch::Key;
use crate::bounded::Connection;
use crate::{Result, System, point};

/// Jobs that one event names, at most.
const JOBS: u16 = 500;

/// A user's label as events hold it: the first 128 bits of its SHA-256, as the
/// function `user_key` of the database gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey(pub(crate) Uuid);

impl UserKey {
    /// The key of a label.
    pub fn of(label: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(label.as_bytes()).into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(Uuid::from_bytes(first))
    }
}

/// A job that came into a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) job: JobId,
    pub(crate) state: State,
    /// Why it failed.
    pub(crate) label: Option<&'static str>,
    pub(crate) group: Option<GroupId>,
    pub(crate) user: Option<UserKey>,
    /// What the attempt that ended it cost, in pico-dollars.
    pub(crate) cost: Option<i64>,
}

impl Told {
    /// A job that came into a state other than a final one by a result line.
    pub(crate) fn moved(
        job: JobId,
        state: State,
        group: Option<GroupId>,
        user: Option<&str>,
    ) -> Self {
        Self {
            job,
            state,
            label: None,
            group,
            user: user.map(UserKey::of),
            cost: None,
        }
    }
}

/// Tells of jobs of one tenant, each of which is named once.
pub(crate) async fn jobs(
    conn: &mut Connection,
    tenant: TenantId,
    batch: Option<BatchId>,
    mut told: Vec<Told>,
) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    told.sort_by_key(|one| (one.state.as_str(), one.label));
    // A run of the same is one event, as long as it is not too long.
    let same = |a: &Told, b: &Told| a.state == b.state && a.label == b.label;
    let mut runs = Vec::with_capacity(told.len());
    for (number, run) in told
        .chunk_by(same)
        .flat_map(|run| run.chunks(usize::from(JOBS)))
        .enumerate()
    {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        runs.extend(std::iter::repeat_n(number, run.len()));
    }
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, batch_id, state, label, ids, groups, users, costs)
         SELECT $1, 'job', $2, state, label, array_agg(id ORDER BY place),
                CASE WHEN count(group_id) > 0 THEN array_agg(group_id ORDER BY place) END,
                CASE WHEN count(user_id) > 0 THEN array_agg(user_id ORDER BY place) END,
                CASE WHEN count(cost) > 0 THEN array_agg(cost ORDER BY place) END
           FROM unnest($3::int[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::uuid[],
                       $9::bigint[])
                WITH ORDINALITY AS told (run, state, label, id, group_id, user_id, cost, place)
          GROUP BY run, state, label
          ORDER BY run",
        tenant.as_uuid(),
        batch.map(BatchId::as_uuid),
        &runs,
        &told
            .iter()
            .map(|one| one.state.as_str())
            .collect::<Vec<_>>() as &[&str],
        &told.iter().map(|one| one.label).collect::<Vec<_>>() as &[Option<&str>],
        &told.iter().map(|one| one.job.as_uuid()).collect::<Vec<_>>(),
        &told
            .iter()
            .map(|one| one.group.map(GroupId::as_uuid))
            .collect::<Vec<_>>() as &[Option<Uuid>],
        &told
            .iter()
            .map(|one| one.user.map(|user| user.0))
            .collect::<Vec<_>>() as &[Option<Uuid>],
        &told.iter().map(|one| one.cost).collect::<Vec<_>>() as &[Option<i64>],
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// Tells that every job of a batch that is not canceled came into a state.
pub(crate) async fn jobs_of(
    conn: &mut Connection,
    tenant: TenantId,
    batch: BatchId,
    state: State,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, batch_id, state, ids, groups, users)
         SELECT $1, 'job', $2, $3, array_agg(id ORDER BY place),
                CASE WHEN count(group_id) > 0 THEN array_agg(group_id ORDER BY place) END,
                CASE WHEN count(user_label) > 0
                     THEN array_agg(user_key(user_label) ORDER BY place) END
           FROM (SELECT i.id, i.group_id, j.user_label,
                        row_number() OVER (ORDER BY i.id) - 1 AS place
                   FROM inflight i
                        -- The limit keeps this a probe for each job.
                  CROSS JOIN LATERAL (
                        SELECT user_label FROM job
                         WHERE tenant_id = $1 AND id = i.id
                         LIMIT 1) AS j
                  WHERE i.tenant_id = $1 AND i.batch_id = $2 AND NOT i.canceled) AS moved
          GROUP BY place / $4
          ORDER BY place / $4",
        tenant.as_uuid(),
        batch.as_uuid(),
        state.as_str(),
        i64::from(JOBS),
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// Tells that every job of a group that has just been opened is queued.
pub(crate) async fn opened(conn: &mut Connection, tenant: TenantId, group: GroupId) -> Result<()> {
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, state, ids, groups, users)
         SELECT $1, 'job', 'queued', array_agg(id ORDER BY place),
                array_agg($2::uuid),
                CASE WHEN count(user_label) > 0
                     THEN array_agg(user_key(user_label) ORDER BY place) END
           FROM (SELECT id, user_label, row_number() OVER (ORDER BY id) - 1 AS place
                   FROM job
                  WHERE tenant_id = $1 AND group_id = $2) AS opened
          GROUP BY place / $3
          ORDER BY place / $3",
        tenant.as_uuid(),
        group.as_uuid(),
        i64::from(JOBS),
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// Tells that a batch came into a state.
pub(crate) async fn batch(conn: &mut Connection, key: Key, state: batch::State) -> Result<()> {
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, state, ids)
         VALUES ($1, 'batch', $2, ARRAY[$3::uuid])",
        key.tenant.as_uuid(),
        state.as_str(),
        key.batch.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// Tells that an operation came further, or to its end.
pub(crate) async fn operation(
    conn: &mut Connection,
    tenant: TenantId,
    id: OperationId,
    state: operation::State,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, state, ids)
         VALUES ($1, 'operation', $2, ARRAY[$3::uuid])",
        tenant.as_uuid(),
        state.as_str(),
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// What was billed in one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Billed {
    pub(crate) n: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_pico: i64,
    pub(crate) sync_pico: i64,
    pub(crate) unpriced: i64,
}

/// Tells what was billed, if anything was.
pub(crate) async fn billed(conn: &mut Connection, key: Key, sum: Billed) -> Result<()> {
    if sum.n == 0 {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO event_in (tenant_id, kind, batch_id, n, input_tokens, output_tokens,
                               cost_pico, sync_pico, unpriced)
         VALUES ($1, 'usage', $2, $3, $4, $5, $6, $7, $8)",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        sum.n,
        sum.input_tokens,
        sum.output_tokens,
        sum.cost_pico,
        sum.sync_pico,
        sum.unpriced,
    )
    .execute(&mut *conn)
    .await?;
    conn.has_told();
    Ok(())
}

/// What a numbering did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbered {
    /// Told before, numbered now.
    pub taken: u64,
    /// Whose streams go on.
    pub tenants: BTreeSet<TenantId>,
}

/// Numbers up to `limit` of what was told and committed, each tenant's after its
/// last. Fewer than `limit` means that it caught up.
///
/// Only one process does so at a time: it runs under the lease of `relay`.
pub async fn number(system: &System, limit: i64) -> Result<Numbered> {
    let mut tx = system.begin_write().await?;
    #[cfg(feature = "torture")]
    crate::torture::pass_by(tx.conn()).await?;
    let rows = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM event_in
                WHERE ctid = ANY (ARRAY(SELECT ctid FROM event_in ORDER BY place LIMIT $1))
               RETURNING *),
           -- In one order for all that follows: two that told at the same moment
           -- stand at the same place.
           turns AS MATERIALIZED (
               SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY place) AS turn
                 FROM gone),
           -- Single jobs that one after the other came into the same state become
           -- one event. Only neighbours: so each job's own events keep their order.
           marked AS (
               SELECT *,
                      kind = 'job' AND cardinality(ids) = 1
                      AND coalesce(lag((kind, state, label, batch_id, cardinality(ids))) OVER told
                                   IS NOT DISTINCT FROM (kind, state, label, batch_id, 1), false)
                          AS goes_on
                 FROM turns
               WINDOW told AS (PARTITION BY tenant_id ORDER BY turn)),
           runs AS (
               SELECT *, count(*) FILTER (WHERE NOT goes_on) OVER told AS run
                 FROM marked
               WINDOW told AS (PARTITION BY tenant_id ORDER BY turn)),
           pieces AS (
               SELECT *, (row_number() OVER (PARTITION BY tenant_id, run ORDER BY turn) - 1) / $2
                         AS piece
                 FROM runs),
           joined AS (
               SELECT tenant_id, run, piece, max(at) AS at,
                      min(kind) AS kind, min(state) AS state, min(label) AS label,
                      (array_agg(batch_id))[1] AS batch_id,
                      array_agg(ids[1] ORDER BY turn) AS ids,
                      CASE WHEN count(groups) > 0 THEN array_agg(groups[1] ORDER BY turn) END
                          AS groups,
                      CASE WHEN count(users) > 0 THEN array_agg(users[1] ORDER BY turn) END
                          AS users,
                      CASE WHEN count(costs) > 0 THEN array_agg(costs[1] ORDER BY turn) END
                          AS costs
                 FROM pieces
                WHERE kind = 'job' AND cardinality(ids) = 1
                GROUP BY tenant_id, run, piece),
           told AS (
               SELECT tenant_id, run, piece, at, kind, state, label, batch_id, ids, groups, users,
                      costs, NULL::bigint AS n, NULL::bigint AS input_tokens,
                      NULL::bigint AS output_tokens, NULL::bigint AS cost_pico,
                      NULL::bigint AS sync_pico, NULL::bigint AS unpriced
                 FROM joined
                UNION ALL
               SELECT tenant_id, run, piece, at, kind, state, label, batch_id, ids, groups, users,
                      costs, n, input_tokens, output_tokens, cost_pico, sync_pico, unpriced
                 FROM pieces
                WHERE NOT (kind = 'job' AND cardinality(ids) = 1)),
           placed AS (
               SELECT *,
                      row_number() OVER (PARTITION BY tenant_id ORDER BY run, piece) AS place,
                      count(*) OVER (PARTITION BY tenant_id) AS of_tenant
                 FROM told),
           heads AS (
               INSERT INTO stream AS s (tenant_id, seq)
               SELECT DISTINCT tenant_id, of_tenant FROM placed ORDER BY tenant_id
                   ON CONFLICT (tenant_id) DO UPDATE SET seq = s.seq + excluded.seq
               RETURNING tenant_id, seq),
           numbered AS (
               INSERT INTO event (tenant_id, seq, numbered_at, at, kind, state, label, batch_id,
                                  ids, groups, users, costs, n, input_tokens, output_tokens,
                                  cost_pico, sync_pico, unpriced)
               SELECT p.tenant_id, h.seq - p.of_tenant + p.place, clock_timestamp(), p.at, p.kind,
                      p.state, p.label, p.batch_id, p.ids, p.groups, p.users, p.costs, p.n,
                      p.input_tokens, p.output_tokens, p.cost_pico, p.sync_pico, p.unpriced
                 FROM placed p
                 JOIN heads h ON h.tenant_id = p.tenant_id)
           SELECT tenant_id AS "tenant_id!", count(*) AS "taken!"
             FROM gone
            GROUP BY tenant_id"#,
        limit,
        i64::from(JOBS),
    )
    .fetch_all(tx.conn())
    .await?;
    point!("relay.number_open");
    tx.commit().await?;
    Ok(Numbered {
        taken: rows
            .iter()
            .map(|row| u64::try_from(row.taken).unwrap_or(0))
            .sum(),
        tenants: rows
            .into_iter()
            .map(|row| TenantId::from_uuid(row.tenant_id))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::UserKey;

    #[test]
    fn a_user_key_is_the_head_of_a_hash() {
        // As `SELECT user_key('ada')` gives it.
        let key = UserKey::of("ada").0.simple().to_string();
        assert_eq!(key.len(), 32);
        assert_ne!(UserKey::of("ada"), UserKey::of("adb"));
    }
}
