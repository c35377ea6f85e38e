//! Each tenant's data key, wrapped by a master key. What is sealed by it stands in other
//! tables; whoever deletes it makes that unreadable for good.

use offpeak_domain::id::TenantId;
use offpeak_domain::vault::{DataKey, Error as Closed, Vault, Wrapped};
use rand::CryptoRng;
use sqlx::{Executor, Postgres};
use uuid::Uuid;

use crate::access::Write as _;
use crate::sealed::{Held, Seal, Sealer};
use crate::{Error, Result, System, TenantTx};

/// The data key of the transaction's own tenant, made if there is none.
pub async fn own(tx: &mut TenantTx, vault: &Vault, rng: impl CryptoRng) -> Result<DataKey> {
    let tenant = tx.tenant();
    if let Some(wrapped) = own_wrapped(tx).await? {
        return Ok(vault.unwrap(tenant, &wrapped)?);
    }
    let (_, new) = vault.make(tenant, rng)?;
    sqlx::query!(
        "INSERT INTO data_key (tenant_id, master, wrapped) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        new.master,
        new.bytes,
    )
    .execute(tx.conn())
    .await?;
    // Another process may have been faster.
    let wrapped = own_wrapped(tx).await?.ok_or(Closed::Closed)?;
    Ok(vault.unwrap(tenant, &wrapped)?)
}

async fn own_wrapped(tx: &mut TenantTx) -> Result<Option<Wrapped>> {
    let tenant = tx.tenant().as_uuid();
    Ok(sqlx::query_as!(
        Wrapped,
        "SELECT master, wrapped AS bytes FROM data_key WHERE tenant_id = $1",
        tenant,
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// The data key of a tenant, for whoever acts for it. An error when there is none, as
/// something is sealed by it.
pub(crate) async fn of(system: &System, vault: &Vault, tenant: TenantId) -> Result<DataKey> {
    let wrapped = sqlx::query_as!(
        Wrapped,
        "SELECT master, wrapped AS bytes FROM data_key WHERE tenant_id = $1",
        tenant.as_uuid(),
    )
    .fetch_optional(&system.pool)
    .await?
    .ok_or(Closed::Closed)?;
    Ok(vault.unwrap(tenant, &wrapped)?)
}

/// What seals and opens a tenant's content by the data key that is seen here, and whether
/// the tenant is being erased. Asks nothing where nothing could be opened.
pub(crate) async fn seal<'e>(
    executor: impl Executor<'e, Database = Postgres>,
    sealer: &Sealer,
    tenant: TenantId,
) -> Result<(Seal, bool)> {
    if !sealer.opens() {
        return Ok((sealer.of(tenant, None), false));
    }
    let row = sqlx::query!(
        r#"SELECT k.created_at AS "made_at?", k.master AS "master?", k.wrapped AS "wrapped?",
                  EXISTS (SELECT FROM erasure e WHERE e.tenant_id = $1) AS "erased!"
             FROM (SELECT 1) AS one
             LEFT JOIN data_key k ON k.tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_one(executor)
    .await?;
    let held = Held::of(row.made_at, row.master, row.wrapped);
    Ok((sealer.of(tenant, held), row.erased))
}

/// Makes a data key for a tenant that has none, unless it is being erased.
pub(crate) async fn make(
    system: &System,
    vault: &Vault,
    tenant: TenantId,
    rng: impl CryptoRng,
) -> Result<()> {
    let (_, new) = vault.make(tenant, rng)?;
    sqlx::query!(
        "INSERT INTO data_key (tenant_id, master, wrapped)
         SELECT $1, $2, $3
          WHERE NOT EXISTS (SELECT FROM erasure WHERE tenant_id = $1)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        new.master,
        new.bytes,
    )
    .write(system)
    .await?;
    Ok(())
}

/// How many data keys a master key wraps.
#[derive(Clone, Debug)]
pub struct Use {
    /// Its id.
    pub master: String,
    /// Data keys.
    pub keys: u64,
    /// One of them, whose it is first.
    pub sample: (TenantId, Wrapped),
}

/// Every master key that wraps something, by id.
pub async fn uses(system: &System) -> Result<Vec<Use>> {
    let rows = sqlx::query!(
        r#"SELECT m.master AS "master!", m.keys AS "keys!", d.tenant_id, d.wrapped
             FROM (SELECT master, count(*) AS keys FROM data_key GROUP BY master) AS m
            CROSS JOIN LATERAL (SELECT tenant_id, wrapped FROM data_key
                                 WHERE master = m.master
                                 ORDER BY wrapped_at DESC
                                 LIMIT 1) AS d
            ORDER BY m.master
            LIMIT 1000"#
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Use {
            keys: u64::try_from(row.keys).unwrap_or(0),
            sample: (
                TenantId::from_uuid(row.tenant_id),
                Wrapped {
                    master: row.master.clone(),
                    bytes: row.wrapped,
                },
            ),
            master: row.master,
        })
        .collect())
}

/// Refuses unless every master key is there that something needs, and is the right one.
pub async fn check(system: &System, vault: Option<&Vault>) -> Result<()> {
    for used in uses(system).await? {
        let (tenant, wrapped) = &used.sample;
        let opened = match vault {
            Some(vault) => vault.unwrap(*tenant, wrapped).map(|_| ()),
            None => Err(Closed::NoMaster(used.master.clone())),
        };
        opened.map_err(|why| Error::Locked {
            master: used.master,
            keys: used.keys,
            why,
        })?;
    }
    Ok(())
}

/// Wraps up to `limit` data keys anew that another master key than the current one wraps,
/// in one transaction. What is read meanwhile opens before and after. Returns how many it
/// looked at and how many it wrapped; none looked at means that all is done.
pub async fn rewrap_some(
    system: &System,
    vault: &Vault,
    after: Option<TenantId>,
    limit: i64,
    mut rng: impl CryptoRng,
) -> Result<Rewrapped> {
    let rows = sqlx::query!(
        "SELECT tenant_id, master, wrapped
           FROM data_key
          WHERE master <> $1 AND ($2::uuid IS NULL OR tenant_id > $2)
          ORDER BY tenant_id
          LIMIT $3",
        vault.current(),
        after.map(TenantId::as_uuid),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    let last = rows.last().map(|row| TenantId::from_uuid(row.tenant_id));
    let (mut tenants, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let wrapped = Wrapped {
            master: row.master,
            bytes: row.wrapped,
        };
        let tenant = TenantId::from_uuid(row.tenant_id);
        new.push(vault.rewrap(tenant, &wrapped, &mut rng)?.bytes);
        tenants.push(row.tenant_id);
        old.push(wrapped.bytes);
    }
    let wrapped = write(system, vault.current(), &tenants, &old, &new).await?;
    Ok(Rewrapped {
        looked: tenants.len(),
        wrapped,
        last,
    })
}

/// What one step of a rotation did.
#[derive(Clone, Copy, Debug)]
pub struct Rewrapped {
    /// Data keys that were found.
    pub looked: usize,
    /// Of these, wrapped by this call; others were faster with the rest.
    pub wrapped: u64,
    /// Where to go on.
    pub last: Option<TenantId>,
}

async fn write(
    system: &System,
    current: &str,
    tenants: &[Uuid],
    old: &[Vec<u8>],
    new: &[Vec<u8>],
) -> Result<u64> {
    if tenants.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "UPDATE data_key d
            SET master = $1, wrapped = u.new, wrapped_at = clock_timestamp()
           FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) AS u (tenant_id, old, new)
          -- Unless somebody has wrapped it meanwhile.
          WHERE d.tenant_id = u.tenant_id AND d.wrapped = u.old",
        current,
        tenants,
        old,
        new,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
