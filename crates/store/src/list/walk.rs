//! The walks of a page: each goes down one index, newest first, looks at a
//! bounded number of rows, and filters by what stands in these rows.

use offpeak_domain::batch;
use offpeak_domain::id::{BatchId, GroupId, JobId};
use offpeak_domain::job::State;
use uuid::Uuid;

use super::{Bounds, Filter};
use crate::cancel::counted_as;
use crate::{Result, TenantTx};

/// What a walk found.
#[derive(Debug)]
pub(super) struct Walk {
    /// Newest first.
    pub(super) ids: Vec<Uuid>,
    /// The last row that it looked at, if there may be more below.
    pub(super) stopped: Option<Uuid>,
}

/// Ids that a walk keeps to: from the first one, to before the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range(Uuid, Uuid);

impl Range {
    /// What of it is older than this.
    pub(super) fn before(self, id: Option<JobId>) -> Self {
        Self(self.0, id.map_or(self.1, |id| self.1.min(id.as_uuid())))
    }

    /// What of it was accepted in the filter's time.
    fn within(self, filter: &Filter) -> Self {
        let first = |at| JobId::first_at(at).as_uuid();
        Self(
            filter
                .since
                .map_or(self.0, |since| self.0.max(first(since))),
            filter
                .until
                .map_or(self.1, |until| self.1.min(first(until))),
        )
    }
}

/// A row that fits, or the last one of the walk.
struct Seen {
    id: Uuid,
    fits: bool,
    /// At the bound of the walk.
    bound: bool,
}

impl Walk {
    fn of(seen: &[Seen], take: i64) -> Self {
        let full = i64::try_from(seen.len()).is_ok_and(|seen| seen >= take);
        let stopped = seen
            .last()
            .filter(|last| full || last.bound)
            .map(|last| last.id);
        let ids = seen.iter().filter(|seen| seen.fits).map(|seen| seen.id);
        Self {
            ids: ids.collect(),
            stopped,
        }
    }
}

fn take(take: usize) -> i64 {
    i64::try_from(take).unwrap_or(i64::MAX)
}

/// Whether any job can fit: a job's model stands in a bucket of its tenant, its
/// type among the types that the tenant sees, and neither is ever removed.
pub(super) async fn possible(tx: &mut TenantTx, filter: &Filter) -> Result<bool> {
    if filter.model.is_none() && filter.job_type.is_none() {
        return Ok(true);
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT ($2::text IS NULL
                   OR EXISTS (SELECT FROM bucket WHERE tenant_id = $1 AND model = $2))
                  AND ($3::text IS NULL
                       OR EXISTS (SELECT FROM job_type
                                   WHERE tenant_id IN ($1, '00000000-0000-0000-0000-000000000000')
                                     AND name = $3)) AS "possible!""#,
        tx.tenant().as_uuid(),
        filter.model.as_deref(),
        filter.job_type.as_deref(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Where the jobs of the filter's time stand, and of its group; none when that has none.
pub(super) async fn range(tx: &mut TenantTx, filter: &Filter) -> Result<Option<Range>> {
    let Some(group) = filter.group else {
        return Ok(Some(Range(Uuid::nil(), Uuid::max()).within(filter)));
    };
    let tenant = tx.tenant().as_uuid();
    let ends = sqlx::query!(
        r#"SELECT (SELECT id FROM job WHERE tenant_id = $1 AND group_id = $2
                    ORDER BY id LIMIT 1) AS first,
                  (SELECT id FROM job WHERE tenant_id = $1 AND group_id = $2
                    ORDER BY id DESC LIMIT 1) AS last"#,
        tenant,
        group.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(ends.first.zip(ends.last).map(|(first, last)| {
        let past = Uuid::from_u128(last.as_u128().saturating_add(1));
        Range(first, past).within(filter)
    }))
}

/// Jobs in any state.
pub(super) async fn jobs(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    bounds: Bounds,
    limit: usize,
) -> Result<Walk> {
    let take = take(limit);
    let scan = if filter.user.is_some() {
        bounds.probes
    } else {
        bounds.rows
    };
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", coalesce(fits, false) AS "fits!", place = $3 AS "bound!"
             FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                          ($5::text IS NULL OR type = $5)
                          AND ($7::text IS NULL OR model = $7)
                          AND ($8::uuid IS NULL OR group_id = $8)
                          -- What is being staged is not there yet.
                          AND (group_id IS NULL
                               OR group_id NOT IN (SELECT id FROM job_group
                                                    WHERE tenant_id = $1 AND opened_at IS NULL))
                              AS fits
                     FROM (SELECT id, group_id, type, user_label, model
                             FROM job
                            WHERE tenant_id = $1 AND id < $2 AND id >= $9
                              -- Down the index of the user or of the group, and
                              -- never both: what one of them leaves out counts
                              -- against the bound.
                              AND ($6::text IS NULL OR user_label = $6)
                              AND ($6::text IS NOT NULL OR $8::uuid IS NULL OR group_id = $8)
                            ORDER BY id DESC
                            LIMIT $3) AS walked) AS looked
            WHERE fits OR place = $3
            ORDER BY id DESC
            LIMIT $4"#,
        tx.tenant().as_uuid(),
        range.1,
        scan,
        take,
        filter.job_type.as_deref(),
        filter.user.as_deref(),
        filter.model.as_deref(),
        filter.group.map(GroupId::as_uuid),
        range.0,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(Walk::of(&seen, take))
}

/// Jobs that ended in one of these ways.
pub(super) async fn ended(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    outcomes: &[&str],
    bounds: Bounds,
    limit: usize,
) -> Result<Walk> {
    if filter.user.is_some() {
        return ended_of_user(tx, filter, range, outcomes, bounds, limit).await;
    }
    let take = take(limit);
    let completed = outcomes.contains(&"completed");
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", coalesce(fits, false) AS "fits!", place = $3 AS "bound!"
             FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                          outcome = ANY ($8::text[])
                          AND ($5::text IS NULL OR type = $5)
                          AND ($6::text IS NULL OR model = $6)
                          AND ($7::uuid IS NULL OR group_id = $7)
                          AND ($11::text IS NULL OR label = $11)
                          AND ($12::uuid IS NULL OR batch_id = $12) AS fits
                     FROM (SELECT id, outcome, group_id, type, model, label, batch_id
                             FROM result
                            WHERE tenant_id = $1 AND id < $2 AND id >= $9
                              -- The condition of the index of the few.
                              AND ($10 OR outcome <> 'completed')
                            ORDER BY id DESC
                            LIMIT $3) AS walked) AS looked
            WHERE fits OR place = $3
            ORDER BY id DESC
            LIMIT $4"#,
        tx.tenant().as_uuid(),
        range.1,
        if completed {
            bounds.rows
        } else {
            bounds.probes
        },
        take,
        filter.job_type.as_deref(),
        filter.model.as_deref(),
        filter.group.map(GroupId::as_uuid),
        outcomes as &[&str],
        range.0,
        completed,
        filter.label.as_deref(),
        filter.batch.map(BatchId::as_uuid),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(Walk::of(&seen, take))
}

/// The same for one user: down the index of the user's jobs.
async fn ended_of_user(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    outcomes: &[&str],
    bounds: Bounds,
    limit: usize,
) -> Result<Walk> {
    let take = take(limit);
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", coalesce(fits, false) AS "fits!", place = $3 AS "bound!"
             FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                          ($5::text IS NULL OR type = $5)
                          AND ($7::text IS NULL OR model = $7)
                          AND ($8::uuid IS NULL OR group_id = $8)
                          AND (SELECT r.outcome = ANY ($9::text[])
                                      AND ($11::text IS NULL OR r.label = $11)
                                 FROM result r
                                WHERE r.tenant_id = $1 AND r.id = walked.id) AS fits
                     FROM (SELECT id, group_id, type, model
                             FROM job
                            WHERE tenant_id = $1 AND id < $2 AND id >= $10
                              AND user_label = $6
                            ORDER BY id DESC
                            LIMIT $3) AS walked) AS looked
            WHERE fits OR place = $3
            ORDER BY id DESC
            LIMIT $4"#,
        tx.tenant().as_uuid(),
        range.1,
        bounds.probes,
        take,
        filter.job_type.as_deref(),
        filter.user.as_deref(),
        filter.model.as_deref(),
        filter.group.map(GroupId::as_uuid),
        outcomes as &[&str],
        range.0,
        filter.label.as_deref(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(Walk::of(&seen, take))
}

/// Jobs that are in a batch, or were billed by it.
pub(super) async fn of_batch(
    tx: &mut TenantTx,
    batch: BatchId,
    range: Range,
    limit: usize,
) -> Result<Walk> {
    let take = take(limit);
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", true AS "fits!", false AS "bound!"
             FROM ((SELECT id FROM inflight
                     WHERE tenant_id = $1 AND batch_id = $2 AND id < $3 AND id >= $4
                     ORDER BY id DESC
                     LIMIT $5)
                    UNION
                   (SELECT id FROM ledger
                     WHERE tenant_id = $1 AND batch_id = $2 AND id < $3 AND id >= $4
                     ORDER BY id DESC
                     LIMIT $5)) AS found
            ORDER BY id DESC
            LIMIT $5"#,
        tx.tenant().as_uuid(),
        batch.as_uuid(),
        range.1,
        range.0,
        take,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(Walk::of(&seen, take))
}

/// Whether a job may have ended by this batch without being billed.
pub(super) async fn left_unbilled(tx: &mut TenantTx, batch: BatchId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM batch
                           WHERE tenant_id = $1 AND id = $2
                             AND (state <> 'ingested' OR succeeded IS DISTINCT FROM items))
                  AS "is!""#,
        tx.tenant().as_uuid(),
        batch.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Jobs that wait.
pub(super) async fn ready(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    bounds: Bounds,
    limit: usize,
) -> Result<Walk> {
    let (scan, take) = of_queue(filter, bounds, limit);
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", coalesce(fits, false) AS "fits!", place = $3 AS "bound!"
             FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                          ($5::uuid IS NULL OR group_id = $5)
                          AND ($6::text IS NULL
                               OR bucket_id IN (SELECT id FROM bucket
                                                 WHERE tenant_id = $1 AND model = $6)) AS fits
                     FROM (SELECT id, group_id, bucket_id
                             FROM ready
                            WHERE tenant_id = $1 AND id < $2 AND id >= $7
                            ORDER BY id DESC
                            LIMIT $3) AS walked) AS looked
            WHERE fits OR place = $3
            ORDER BY id DESC
            LIMIT $4"#,
        tx.tenant().as_uuid(),
        range.1,
        scan,
        take,
        filter.group.map(GroupId::as_uuid),
        filter.model.as_deref(),
        range.0,
    )
    .fetch_all(tx.conn())
    .await?;
    by_head(tx, filter, Walk::of(&seen, take)).await
}

/// Jobs in a batch, whose state is then theirs.
pub(super) async fn inflight(
    tx: &mut TenantTx,
    filter: &Filter,
    range: Range,
    bounds: Bounds,
    limit: usize,
) -> Result<Walk> {
    let (scan, take) = of_queue(filter, bounds, limit);
    let states: Vec<&str> = batch::State::ALL
        .iter()
        .filter(|state| filter.states.contains(&counted_as(**state)))
        .map(|state| state.as_str())
        .collect();
    let seen = sqlx::query_as!(
        Seen,
        r#"SELECT id AS "id!", coalesce(fits, false) AS "fits!", place = $3 AS "bound!"
             FROM (SELECT i.id, i.place,
                          NOT i.canceled
                          AND ($5::uuid IS NULL OR i.group_id = $5)
                          AND ($6::text IS NULL OR coalesce(b.model, c.model) = $6)
                          AND CASE WHEN c.id IS NULL THEN b.state = ANY ($7::text[])
                                   ELSE $9 END AS fits
                     FROM (SELECT id, batch_id, group_id, canceled,
                                  row_number() OVER (ORDER BY id DESC) AS place
                             FROM inflight
                            WHERE tenant_id = $1 AND id < $2 AND id >= $8
                            ORDER BY id DESC
                            LIMIT $3) AS i
                     LEFT JOIN batch b ON b.tenant_id = $1 AND b.id = i.batch_id
                     LEFT JOIN call c ON c.tenant_id = $1 AND c.id = i.batch_id) AS looked
            WHERE fits OR place = $3
            ORDER BY id DESC
            LIMIT $4"#,
        tx.tenant().as_uuid(),
        range.1,
        scan,
        take,
        filter.group.map(GroupId::as_uuid),
        filter.model.as_deref(),
        &states as &[&str],
        range.0,
        // A job whose direct call runs.
        filter.states.contains(&State::Processing),
    )
    .fetch_all(tx.conn())
    .await?;
    by_head(tx, filter, Walk::of(&seen, take)).await
}

/// A queue row names neither type nor user: with these, all that was walked is
/// looked up, so less is walked.
fn of_queue(filter: &Filter, bounds: Bounds, limit: usize) -> (i64, i64) {
    if filter.job_type.is_some() || filter.user.is_some() {
        (bounds.probes, bounds.probes)
    } else {
        (bounds.rows, take(limit))
    }
}

/// Keeps what the heads say is of the type and user asked for.
async fn by_head(tx: &mut TenantTx, filter: &Filter, mut walk: Walk) -> Result<Walk> {
    if filter.job_type.is_none() && filter.user.is_none() {
        return Ok(walk);
    }
    let (Some(last), Some(first)) = (walk.ids.first(), walk.ids.last()) else {
        return Ok(walk);
    };
    walk.ids = sqlx::query_scalar!(
        "SELECT id
           FROM job
          WHERE tenant_id = $1 AND id = ANY ($2)
            -- Leaves out the partitions in which none of them is.
            AND id BETWEEN $3 AND $4
            AND ($5::text IS NULL OR type = $5)
            AND ($6::text IS NULL OR user_label = $6)
          ORDER BY id DESC",
        tx.tenant().as_uuid(),
        &walk.ids,
        *first,
        *last,
        filter.job_type.as_deref(),
        filter.user.as_deref(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(walk)
}

#[cfg(test)]
mod tests {
    use super::{Seen, Walk};
    use uuid::Uuid;

    #[test]
    fn a_walk_knows_whether_there_may_be_more() {
        let of = |seen: &[(u128, bool, bool)], take| {
            let seen = seen.iter().map(|&(id, fits, bound)| Seen {
                id: Uuid::from_u128(id),
                fits,
                bound,
            });
            let walk = Walk::of(&seen.collect::<Vec<_>>(), take);
            (walk.ids.len(), walk.stopped.map(|id| id.as_u128()))
        };
        // To the end of all rows.
        assert_eq!(of(&[(9, true, false), (5, true, false)], 3), (2, None));
        // As many as wanted.
        assert_eq!(of(&[(9, true, false), (5, true, false)], 2), (2, Some(5)));
        // As far as allowed.
        assert_eq!(of(&[(9, true, false), (5, false, true)], 3), (1, Some(5)));
        assert_eq!(of(&[(9, true, false), (5, true, true)], 3), (2, Some(5)));
        assert_eq!(of(&[], 3), (0, None));
    }
}
