//! Groups: staged line by line, opened at once, then counted.

mod open_parts;

use offpeak_domain::id::{GroupId, JobId};
use offpeak_domain::job::State;
use offpeak_domain::money::Pico;
use time::OffsetDateTime;

use crate::share::{self, New};
use crate::{Error, Result, TenantTx, budget, delta, event, job};

pub use open_parts::{OpenPart, open_parts};

/// A group's own row.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// As given at submit.
    pub name: Option<String>,
    /// When the upload began.
    pub created_at: OffsetDateTime,
    /// When it became visible; none while lines are still being staged.
    pub opened_at: Option<OffsetDateTime>,
    /// How far the upload came.
    pub staged: Staged,
}

/// How far an upload came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Lines of the body that are settled: stored, blank, or left out.
    pub lines: u64,
    /// Running SHA-256 over those lines.
    pub chain: [u8; 32],
    /// Jobs stored from them.
    pub jobs: u64,
}

impl Staged {
    /// Before the first line.
    pub const NOTHING: Self = Self {
        lines: 0,
        chain: [0; 32],
        jobs: 0,
    };
}

/// Begins an upload: the group is there, but neither visible nor ready.
pub async fn create(tx: &mut TenantTx, id: GroupId, name: Option<&str>) -> Result<()> {
    let (tenant, now) = (tx.tenant(), tx.now());
    sqlx::query!(
        "INSERT INTO job_group (tenant_id, id, name, created_at, chain)
         VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        id.as_uuid(),
        name,
        now,
        &Staged::NOTHING.chain[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A group, staged ones included; dropped ones are not there.
pub async fn get(tx: &mut TenantTx, id: GroupId) -> Result<Option<Group>> {
    let row = sqlx::query!(
        "SELECT name, created_at, opened_at, staged_lines, chain, jobs
           FROM job_group
          WHERE tenant_id = $1 AND id = $2 AND dropped_at IS NULL",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Group {
        id,
        name: row.name,
        created_at: row.created_at,
        opened_at: row.opened_at,
        staged: Staged {
            lines: u64::try_from(row.staged_lines).unwrap_or(0),
            chain: row
                .chain
                .and_then(|chain| chain.try_into().ok())
                .unwrap_or([0; 32]),
            jobs: u64::try_from(row.jobs).unwrap_or(0),
        },
    }))
}

/// Moves an upload on. [`Error::KeyBusy`] when somebody else moved it since
/// `from` was read, opened it or dropped it: of two uploads under one key one
/// goes on.
pub async fn advance(tx: &mut TenantTx, id: GroupId, from: &Staged, to: &Staged) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE job_group
            SET staged_lines = $4, chain = $5, jobs = $6, staged_at = clock_timestamp()
          WHERE tenant_id = $1 AND id = $2 AND staged_lines = $3
            AND opened_at IS NULL AND dropped_at IS NULL",
        tx.tenant().as_uuid(),
        id.as_uuid(),
        i64::try_from(from.lines).unwrap_or(i64::MAX),
        i64::try_from(to.lines).unwrap_or(i64::MAX),
        &to.chain[..],
        i64::try_from(to.jobs).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::KeyBusy)
    }
}

/// Ends an upload: every staged job becomes ready and visible at once.
/// [`Error::KeyBusy`] as in [`advance`].
pub async fn open(tx: &mut TenantTx, id: GroupId, staged: &Staged) -> Result<()> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let done = sqlx::query!(
        "UPDATE job_group SET opened_at = $4
          WHERE tenant_id = $1 AND id = $2 AND staged_lines = $3
            AND opened_at IS NULL AND dropped_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        i64::try_from(staged.lines).unwrap_or(i64::MAX),
        now,
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Err(Error::KeyBusy);
    }
    // A million rows take longer than the usual bound of this role.
    sqlx::query_scalar!("SELECT set_config('statement_timeout', '120s', true)")
        .fetch_one(tx.conn())
        .await?;
    sqlx::query!(
        "WITH opened AS (
             INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before,
                                bytes, attempt, lane, deadline, on_late)
             SELECT tenant_id, id, bucket_id, group_id, priority, $3, bytes, 1, lane,
                    $3::timestamptz + make_interval(secs => deliver_within), on_late
               FROM job
              WHERE tenant_id = $1 AND group_id = $2
             RETURNING bucket_id, bytes),
         total AS (SELECT count(*) AS n FROM opened)
         INSERT INTO delta (tenant_id, scope, key, name, n, bytes)
         SELECT $1, 'bucket', bucket_id, 'ready', count(*), sum(bytes)
           FROM opened GROUP BY bucket_id
          UNION ALL
         SELECT $1, 'group', $2, name, n, 0
           FROM total, (VALUES ('total'), ('queued')) AS word (name) WHERE n > 0
          UNION ALL
         SELECT $1, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued', n, 0
           FROM total WHERE n > 0",
        tenant.as_uuid(),
        id.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    share::join(tx.conn(), tenant, now, New::Group(id)).await?;
    event::opened(tx.conn(), tenant, id).await
}

/// Refuses an upload: nothing of it was ever visible, its key is free again,
/// and what was staged is removed later. False when somebody else has moved,
/// opened or dropped it meanwhile.
pub async fn drop(tx: &mut TenantTx, id: GroupId, staged: &Staged) -> Result<bool> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let done = sqlx::query!(
        "UPDATE job_group SET dropped_at = $3
          WHERE tenant_id = $1 AND id = $2 AND staged_lines = $4
            AND opened_at IS NULL AND dropped_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        now,
        i64::try_from(staged.lines).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query!(
        "DELETE FROM idempotency WHERE tenant_id = $1 AND group_id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    budget::release_group(tx.conn(), tenant, now, id).await?;
    Ok(true)
}

/// An opened group with its progress, exact at the moment of the statement.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which.
    pub id: GroupId,
    /// As given at submit.
    pub name: Option<String>,
    /// When the upload began.
    pub created_at: OffsetDateTime,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs by state, states without a job left out.
    pub states: Vec<(State, u64)>,
    /// Input tokens billed so far.
    pub input_tokens: u64,
    /// Output tokens billed so far.
    pub output_tokens: u64,
    /// What was billed so far.
    pub cost: Pico,
    /// What the same usage would have cost synchronously and without a cache.
    pub cost_sync: Pico,
    /// Attempts whose price is not known; their money is in neither sum.
    pub unpriced: u64,
}

/// An opened group with its progress.
pub async fn progress(tx: &mut TenantTx, id: GroupId) -> Result<Progress> {
    of_ids(tx, &[id.as_uuid()])
        .await?
        .pop()
        .ok_or(Error::NoGroup(id))
}

/// Opened groups older than `before`, newest first.
pub async fn list(tx: &mut TenantTx, before: Option<GroupId>, limit: i64) -> Result<Vec<Progress>> {
    let ids = sqlx::query_scalar!(
        "SELECT id
           FROM job_group
          WHERE tenant_id = $1 AND opened_at IS NOT NULL AND id < $2
          ORDER BY id DESC
          LIMIT $3",
        tx.tenant().as_uuid(),
        before.map_or(uuid::Uuid::max(), GroupId::as_uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    of_ids(tx, &ids).await
}

async fn of_ids(tx: &mut TenantTx, ids: &[uuid::Uuid]) -> Result<Vec<Progress>> {
    // Folded and unfolded in one statement, so that no fold slips in between.
    let rows = sqlx::query!(
        r#"SELECT g.id, g.name, g.created_at, sum.name AS "count?",
                  sum.n AS "n?", sum.input_tokens AS "input_tokens?",
                  sum.output_tokens AS "output_tokens?",
                  sum.cost_pico AS "cost_pico?", sum.sync_pico AS "sync_pico?",
                  (SELECT count(*) FROM ledger l
                    WHERE l.tenant_id = $1 AND l.group_id = g.id AND l.unpriced) AS "unpriced!"
             FROM job_group g
             LEFT JOIN (
                  SELECT key, name, sum(n)::bigint AS n,
                         sum(input_tokens)::bigint AS input_tokens,
                         sum(output_tokens)::bigint AS output_tokens,
                         sum(cost_pico)::text AS cost_pico,
                         sum(sync_pico)::text AS sync_pico
                    FROM (SELECT key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                            FROM tally
                           WHERE tenant_id = $1 AND scope = 'group' AND key = ANY ($2)
                           UNION ALL
                          SELECT key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                            FROM delta
                           WHERE tenant_id = $1 AND scope = 'group' AND key = ANY ($2)) AS change
                   GROUP BY key, name) AS sum ON sum.key = g.id
            WHERE g.tenant_id = $1 AND g.id = ANY ($2) AND g.opened_at IS NOT NULL
            ORDER BY g.id DESC, sum.name"#,
        tx.tenant().as_uuid(),
        ids,
    )
    .fetch_all(tx.conn())
    .await?;
    let mut groups: Vec<Progress> = Vec::new();
    for row in rows {
        let id = GroupId::from_uuid(row.id);
        if groups.last().is_none_or(|group| group.id != id) {
            groups.push(Progress {
                id,
                name: row.name,
                created_at: row.created_at,
                jobs: 0,
                states: Vec::new(),
                input_tokens: 0,
                output_tokens: 0,
                cost: Pico::ZERO,
                cost_sync: Pico::ZERO,
                unpriced: u64::try_from(row.unpriced).unwrap_or(0),
            });
        }
        let (Some(group), Some(count)) = (groups.last_mut(), row.count) else {
            continue;
        };
        let n = row.n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        if count == "total" {
            group.jobs = n;
        } else if n > 0 && count != delta::BILLED {
            group.states.push((job::known("tally.name", count)?, n));
        }
        group.input_tokens += row
            .input_tokens
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(0);
        group.output_tokens += row
            .output_tokens
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(0);
        group.cost += pico("tally.cost_pico", row.cost_pico)?;
        group.cost_sync += pico("tally.sync_pico", row.sync_pico)?;
    }
    Ok(groups)
}

/// A `numeric` sum of pico-dollars, read as text because it may exceed a `bigint`.
pub(crate) fn pico(column: &'static str, sum: Option<String>) -> Result<Pico> {
    match sum {
        None => Ok(Pico::ZERO),
        Some(value) => value
            .parse()
            .map(Pico)
            .map_err(|_| Error::Unknown { column, value }),
    }
}

/// Ids of a group's jobs after `after`, in order.
pub async fn jobs_after(
    tx: &mut TenantTx,
    id: GroupId,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id
           FROM job
          WHERE tenant_id = $1 AND group_id = $2 AND id > $3
          ORDER BY id
          LIMIT $4",
        tx.tenant().as_uuid(),
        id.as_uuid(),
        after.map_or(uuid::Uuid::nil(), JobId::as_uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(JobId::from_uuid).collect())
}
