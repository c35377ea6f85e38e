//! The Anthropic keys that tenants bring. The API's role writes the sealed column and
//! cannot read it; who reads it is a worker, right before the key is used.

use std::fmt;

use offpeak_domain::id::TenantId;
use offpeak_domain::upstream_key::{State, UpstreamKey};
use offpeak_domain::vault::{Place, Vault};
use rand::CryptoRng;
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use crate::job::known;
use crate::{Result, System, TenantTx, data_key};

pub mod check;
pub mod ways;

/// Where a key stands, sealed.
fn place(tenant: TenantId, version: i32) -> Place<'static> {
    Place {
        table: "upstream_key",
        column: "sealed",
        tenant,
        row: "",
        version,
    }
}

/// A key to be set, with the limits of its workspace.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// The key itself.
    pub key: &'a UpstreamKey,
    /// Batch creates allowed a minute.
    pub creates_per_minute: u32,
    /// Requests that may wait at once.
    pub max_queued_items: u64,
}

impl New<'_> {
    /// What a new workspace of Anthropic's allows: batch creates a minute.
    pub const CREATES_PER_MINUTE: u32 = 50;
    /// The same for requests in batches that wait.
    pub const MAX_QUEUED_ITEMS: u64 = 100_000;
}

/// A key as it may be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// From 1; another one for each key that was set.
    pub version: i32,
    /// Where it stands.
    pub state: State,
    /// Its last four characters.
    pub last_four: String,
    /// Batch creates allowed a minute.
    pub creates_per_minute: u32,
    /// Requests that may wait at once.
    pub max_queued_items: u64,
    /// Since when it is here.
    pub set_at: OffsetDateTime,
    /// When Anthropic last answered a check of it.
    pub checked_at: Option<OffsetDateTime>,
    /// The workspace that the answer named.
    pub workspace: Option<String>,
    /// What the last check was told that did not go well.
    pub said: Option<String>,
    /// Since when it is of no use.
    pub ended_at: Option<OffsetDateTime>,
}

/// Sets a key: a worker checks it, and only a good one takes the place of the one that is
/// in use. One that waits for its check is given up for this one. Nothing when another
/// call sets one at the same moment. Gives its version.
pub async fn set(
    tx: &mut TenantTx,
    vault: &Vault,
    new: &New<'_>,
    mut rng: impl CryptoRng,
) -> Result<Option<i32>> {
    let data_key = data_key::own(tx, vault, &mut rng).await?;
    let tenant = tx.tenant();
    sqlx::query!(
        "UPDATE upstream_key SET state = 'replaced', sealed = NULL, ended_at = clock_timestamp()
          WHERE tenant_id = $1 AND state = 'checking'",
        tenant.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    let version = sqlx::query_scalar!(
        r#"SELECT coalesce(max(version), 0) + 1 AS "version!"
             FROM upstream_key WHERE tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    let secret = new.key.secret().expose_secret().as_bytes();
    let sealed = data_key.seal(&place(tenant, version), secret, rng)?;
    let done = sqlx::query!(
        "INSERT INTO upstream_key (tenant_id, version, state, last_four, sealed,
                                   creates_per_minute, max_queued_items)
         VALUES ($1, $2, 'checking', $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        version,
        new.key.last_four(),
        sealed,
        i32::try_from(new.creates_per_minute).unwrap_or(i32::MAX),
        i64::try_from(new.max_queued_items).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    Ok((done.rows_affected() == 1).then_some(version))
}

/// The keys of the tenant's own, newest first; at most 100.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<Shown>> {
    let tenant = tx.tenant().as_uuid();
    let rows = sqlx::query!(
        "SELECT version, state, last_four, creates_per_minute, max_queued_items, set_at,
                checked_at, workspace, said, ended_at
           FROM upstream_key
          WHERE tenant_id = $1
          ORDER BY version DESC
          LIMIT 100",
        tenant,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Shown {
                version: row.version,
                state: known("upstream_key.state", row.state)?,
                last_four: row.last_four,
                creates_per_minute: u32::try_from(row.creates_per_minute).unwrap_or(1),
                max_queued_items: u64::try_from(row.max_queued_items).unwrap_or(1),
                set_at: row.set_at,
                checked_at: row.checked_at,
                workspace: row.workspace,
                said: row.said,
                ended_at: row.ended_at,
            })
        })
        .collect()
}

/// Removes the key that is in use and the one that is checked: their secrets are gone with
/// the commit. Gives the last four characters of each; none when there was none.
pub async fn remove(tx: &mut TenantTx) -> Result<Vec<String>> {
    let tenant = tx.tenant().as_uuid();
    Ok(sqlx::query_scalar!(
        "UPDATE upstream_key SET state = 'removed', sealed = NULL, ended_at = clock_timestamp()
          WHERE tenant_id = $1 AND state IN ('checking', 'current')
         RETURNING last_four",
        tenant,
    )
    .fetch_all(tx.conn())
    .await?)
}

/// What depends on the tenant's own upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depends {
    /// Batches that Anthropic may hold and whose results are not all read.
    pub open_batches: u64,
    /// Jobs in them that have no result.
    pub jobs_in_batches: u64,
    /// Jobs that wait to be sent there.
    pub waiting_jobs: u64,
    /// Whether these may go to the deployment's own upstream without the key.
    pub falls_back: bool,
    /// Whether a key was ever good, so that jobs went by it.
    pub was_own: bool,
}

impl Depends {
    /// Whether a removal has consequences beyond that of the key.
    pub fn anything(&self) -> bool {
        self.open_batches + self.waiting_jobs > 0
    }
}

/// What a removal means, for whoever is about to ask for it again.
impl fmt::Display for Depends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = if self.falls_back {
            "would go by the key of whoever runs this server"
        } else {
            "would wait until you set another key"
        };
        write!(
            f,
            "{} batches with {} jobs are open at Anthropic, and nobody could read their results \
             without a key of the same workspace; {} jobs wait, and {waiting}. To remove the key \
             all the same, confirm it",
            self.open_batches, self.jobs_in_batches, self.waiting_jobs
        )
    }
}

/// Counts it; what waits from sums, so that it costs the same however much that is.
pub async fn depends(tx: &mut TenantTx) -> Result<Depends> {
    let tenant = tx.tenant().as_uuid();
    let row = sqlx::query!(
        r#"WITH open AS MATERIALIZED (
               SELECT id, state FROM batch
                WHERE tenant_id = $1 AND upstream_id = $1
                  AND state NOT IN ('ingested', 'refuted', 'rejected'))
           SELECT (SELECT count(*) FROM open WHERE state <> 'planned') AS "batches!",
                  (SELECT count(*) FROM open o
                     JOIN inflight i ON i.tenant_id = $1 AND i.batch_id = o.id
                    WHERE o.state <> 'planned' AND NOT i.canceled) AS "inside!",
                  (SELECT count(*) FROM open o
                     JOIN inflight i ON i.tenant_id = $1 AND i.batch_id = o.id
                    WHERE o.state = 'planned' AND NOT i.canceled)
                  + (SELECT coalesce(sum(s.n), 0)::bigint
                       FROM bucket b
                       JOIN (SELECT key, n FROM tally
                              WHERE tenant_id = $1 AND scope = 'bucket'
                              UNION ALL
                             SELECT key, n FROM delta
                              WHERE tenant_id = $1 AND scope = 'bucket') AS s ON s.key = b.id
                      WHERE b.tenant_id = $1 AND b.upstream_id = $1) AS "waiting!",
                  (SELECT falls_back FROM tenant WHERE id = $1) AS "falls_back",
                  EXISTS (SELECT FROM upstream WHERE id = $1) AS "was_own!""#,
        tenant,
    )
    .fetch_one(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Depends {
        open_batches: count(row.batches),
        jobs_in_batches: count(row.inside),
        waiting_jobs: count(row.waiting),
        falls_back: row.falls_back.unwrap_or(false),
        was_own: row.was_own,
    })
}

/// A key that is good for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Whose.
    pub tenant: TenantId,
    /// Which of the tenant's.
    pub version: i32,
}

/// Every key that is in use, by tenant; at most 10,000.
pub async fn current(system: &System) -> Result<Vec<Alive>> {
    let rows = sqlx::query!(
        "SELECT tenant_id, version FROM upstream_key
          WHERE state = 'current'
          ORDER BY tenant_id
          LIMIT 10000"
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Alive {
            tenant: TenantId::from_uuid(row.tenant_id),
            version: row.version,
        })
        .collect())
}

/// The key in clear, to be used at once; none when it is over. What does not open is an
/// error.
pub async fn open(
    system: &System,
    vault: &Vault,
    Alive { tenant, version }: Alive,
) -> Result<Option<secrecy::SecretString>> {
    let sealed = sqlx::query_scalar!(
        r#"SELECT sealed AS "sealed!" FROM upstream_key
            WHERE tenant_id = $1 AND version = $2 AND sealed IS NOT NULL"#,
        tenant.as_uuid(),
        version,
    )
    .fetch_optional(&system.pool)
    .await?;
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let data_key = data_key::of(system, vault, tenant).await?;
    Ok(Some(data_key.open_text(&place(tenant, version), &sealed)?))
}
