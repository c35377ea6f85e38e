//! Where the jobs of tenants go that have, or had, an upstream of their own: the function
//! `upstream_of` says it, and here what waits is moved to there.

use offpeak_domain::id::{TenantId, UpstreamId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Result, System, SystemTx, TenantTx};

/// What an upstream is paused by whose key was removed.
const REMOVED: &str = "removed";
/// What a person reads then.
const WHY: &str = "the tenant's own key was removed: jobs wait until another key is set, or the \
                   operator lets them go to the deployment's own upstream";

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Buckets, with all that waits in them.
    pub buckets: u64,
    /// Planned batches.
    pub batches: u64,
}

/// Whether anything is to be moved or paused. Reads only rows of tenants that have, or had,
/// an upstream of their own.
pub async fn is_due(system: &System, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM upstream u
                CROSS JOIN LATERAL (SELECT upstream_of(u.id) AS way) AS w
                WHERE u.id <> $1
                  AND (EXISTS (SELECT FROM bucket b
                                WHERE b.tenant_id = u.id AND b.upstream_id <> w.way)
                       OR w.way <> u.id
                          AND EXISTS (SELECT FROM batch b
                                       WHERE b.tenant_id = u.id AND b.upstream_id = u.id
                                         AND b.state = 'planned'
                                         AND (b.prime_sent_at IS NULL
                                              OR b.prime_ended_at IS NOT NULL))
                       OR w.way = u.id
                          AND (u.paused_by IS DISTINCT FROM $2
                               OR u.paused_until < $3::timestamptz + interval '1 month')
                          AND NOT EXISTS (SELECT FROM upstream_key k
                                           WHERE k.tenant_id = u.id AND k.state = 'current')
                          AND EXISTS (SELECT FROM upstream_key k WHERE k.tenant_id = u.id)))
                  AS "is!""#,
        Uuid::nil(),
        REMOVED,
        now,
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Moves what waits to where its tenant's jobs go now, and pauses the upstreams of those
/// whose key was removed. Doing it twice changes nothing.
pub async fn mend(system: &System, now: OffsetDateTime) -> Result<Moved> {
    let mut tx = system.begin().await?;
    let buckets = sqlx::query!(
        "UPDATE bucket b SET upstream_id = w.way
           FROM (SELECT u.id AS tenant_id, upstream_of(u.id) AS way
                   FROM upstream u
                  WHERE u.id <> $1) AS w
          WHERE b.tenant_id = w.tenant_id AND b.upstream_id <> w.way",
        Uuid::nil(),
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    let batches = turn(&mut tx).await?;
    sqlx::query!(
        "UPDATE upstream u
            SET paused_reason = $1, paused_until = $3::timestamptz + interval '1 year',
                paused_by = $2
          WHERE u.id <> $4 AND upstream_of(u.id) = u.id
            AND NOT EXISTS (SELECT FROM upstream_key k
                             WHERE k.tenant_id = u.id AND k.state = 'current')
            AND EXISTS (SELECT FROM upstream_key k WHERE k.tenant_id = u.id)
            AND (u.paused_by IS DISTINCT FROM $2
                 OR u.paused_until < $3::timestamptz + interval '1 month')",
        WHY,
        REMOVED,
        now,
        Uuid::nil(),
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(Moved { buckets, batches })
}

/// Turns batches that are planned for an upstream to which their tenant's jobs do not go any
/// more: no byte of them has left, or what left was not stored, as the answers say. Nobody
/// could look for it there any more.
async fn turn(tx: &mut SystemTx) -> Result<u64> {
    Ok(sqlx::query!(
        "UPDATE batch b SET upstream_id = upstream_of(b.tenant_id)
          WHERE b.state = 'planned' AND b.upstream_id = b.tenant_id
            AND upstream_of(b.tenant_id) <> b.tenant_id
            -- What goes ahead of it is under way.
            AND (b.prime_sent_at IS NULL OR b.prime_ended_at IS NOT NULL)"
    )
    .execute(tx.conn())
    .await?
    .rows_affected())
}

/// Lets a tenant's jobs go to the deployment's own upstream once its own key is removed, or
/// not. False when there is no such tenant.
pub async fn fall_back(tx: &mut SystemTx, tenant: TenantId, may: bool) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE tenant SET falls_back = $2 WHERE id = $1",
        tenant.as_uuid(),
        may,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Where the tenant's jobs go now.
pub async fn now(tx: &mut TenantTx) -> Result<UpstreamId> {
    let way = sqlx::query_scalar!(r#"SELECT upstream_of($1) AS "way!""#, tx.tenant().as_uuid(),)
        .fetch_one(tx.conn())
        .await?;
    Ok(UpstreamId::from_uuid(way))
}

/// The upstream of a tenant's own, whether there is one or not.
pub fn of_tenant(tenant: TenantId) -> UpstreamId {
    UpstreamId::from_uuid(tenant.as_uuid())
}
