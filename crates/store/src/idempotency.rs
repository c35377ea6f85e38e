//! Idempotency keys: the first use writes down what it made, every later use
//! finds that. Those of groups; a single job's is claimed where the job is
//! stored, in [`crate::job::one`].

use offpeak_domain::id::{GroupId, JobId};

use crate::{Error, Result, TenantTx};

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing before: this transaction has just claimed the key.
    Now,
    /// This, before.
    Before,
}

/// Claims `key` for a group. On [`Made::Before`] the group that the key began
/// comes back instead: whether the body is the same is told by its running
/// hash. A key that stands for a single job is [`Error::KeyReused`].
pub async fn claim_group(tx: &mut TenantTx, key: &str, group: GroupId) -> Result<(Made, GroupId)> {
    let tenant = tx.tenant();
    if take_for_group(tx, key, group).await? {
        return Ok((Made::Now, group));
    }
    let row = sqlx::query!(
        r#"SELECT i.group_id, g.id IS NOT NULL AS "alive!"
             FROM idempotency i
             LEFT JOIN job_group g ON g.tenant_id = i.tenant_id AND g.id = i.group_id
                                  AND g.dropped_at IS NULL
            WHERE i.tenant_id = $1 AND i.key = $2"#,
        tenant.as_uuid(),
        key,
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(Error::KeyBusy)?;
    let Some(before) = row.group_id else {
        return Err(Error::KeyReused);
    };
    if row.alive {
        return Ok((Made::Before, GroupId::from_uuid(before)));
    }
    // An upload that was given up and tidied away: the key is free again. Of
    // two that find it so, the second waits here and then has lost.
    let freed = sqlx::query!(
        "DELETE FROM idempotency WHERE tenant_id = $1 AND key = $2 AND group_id = $3",
        tenant.as_uuid(),
        key,
        before,
    )
    .execute(tx.conn())
    .await?;
    if freed.rows_affected() != 1 {
        return Err(Error::KeyBusy);
    }
    if take_for_group(tx, key, group).await? {
        Ok((Made::Now, group))
    } else {
        Err(Error::KeyBusy)
    }
}

/// Writes the key down for a group; false when somebody has it.
async fn take_for_group(tx: &mut TenantTx, key: &str, group: GroupId) -> Result<bool> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let done = sqlx::query!(
        "INSERT INTO idempotency (tenant_id, key, group_id, created_at)
         VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        key,
        group.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The group that `key` stands for, if any. A key that stands for a single job
/// is [`Error::KeyReused`].
pub async fn group_of(tx: &mut TenantTx, key: &str) -> Result<Option<GroupId>> {
    let row = sqlx::query!(
        "SELECT group_id FROM idempotency WHERE tenant_id = $1 AND key = $2",
        tx.tenant().as_uuid(),
        key,
    )
    .fetch_optional(tx.conn())
    .await?;
    match row {
        None => Ok(None),
        Some(row) => row
            .group_id
            .map(GroupId::from_uuid)
            .map(Some)
            .ok_or(Error::KeyReused),
    }
}

/// The job that `key` stands for, if any. A key that stands for another body or
/// for a group is [`Error::KeyReused`].
pub async fn job_of(tx: &mut TenantTx, key: &str, body_hash: &[u8]) -> Result<Option<JobId>> {
    let row = sqlx::query!(
        "SELECT job_id, body_hash FROM idempotency WHERE tenant_id = $1 AND key = $2",
        tx.tenant().as_uuid(),
        key,
    )
    .fetch_optional(tx.conn())
    .await?;
    match row {
        None => Ok(None),
        Some(row) if row.body_hash.as_deref() == Some(body_hash) => row
            .job_id
            .map(JobId::from_uuid)
            .map(Some)
            .ok_or(Error::KeyReused),
        Some(_) => Err(Error::KeyReused),
    }
}
