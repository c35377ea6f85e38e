//! The audit log: entries are added in the transaction of what they tell, and never
//! changed.

use offpeak_domain::audit::{Action, ActorKind, BEGINNING, Entry};
use offpeak_domain::id::TenantId;
use time::OffsetDateTime;

use crate::bounded::Connection;
use crate::job::known;
use crate::{Result, System, SystemTx, TenantTx};

/// Entries that one step of a verification reads.
const STEP: i64 = 1_000;

/// Who did it, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What did it.
    pub kind: ActorKind,
    /// Its id, if it has one.
    pub id: String,
    /// Its hint or name.
    pub name: String,
    /// From where; empty where that is not known.
    pub address: String,
    /// The request's id; empty for a command.
    pub request: String,
}

impl Actor {
    /// The operator's command, on the machine itself.
    pub fn command() -> Self {
        Self {
            kind: ActorKind::Command,
            id: String::new(),
            name: String::new(),
            address: String::new(),
            request: String::new(),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// What.
    pub action: Action,
    /// To what: an id mostly.
    pub target: &'a str,
    /// More, in words; no content of a job.
    pub detail: &'a str,
}

/// An entry with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// What it says.
    pub entry: Entry,
    /// Its hash after the entry before.
    pub hash: [u8; 32],
}

/// Adds an entry to the chain of the transaction's tenant. Last in a transaction: the
/// chain is locked until its end.
pub async fn note(tx: &mut TenantTx, actor: &Actor, act: &Act<'_>) -> Result<()> {
    let (tenant, now) = (tx.tenant(), tx.now());
    add(tx.conn(), tenant, now, actor, act).await
}

/// The same for any tenant, or for the deployment itself under the nil one.
pub async fn note_of(
    tx: &mut SystemTx,
    tenant: TenantId,
    actor: &Actor,
    act: &Act<'_>,
) -> Result<()> {
    let now = tx.now();
    add(tx.conn(), tenant, now, actor, act).await
}

async fn add(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    actor: &Actor,
    act: &Act<'_>,
) -> Result<()> {
    // Two that add at once would take the same number.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('offpeak.audit.' || $1::text, 0))",
        tenant.as_uuid().to_string(),
    )
    .execute(&mut *conn)
    .await?;
    let last = sqlx::query!(
        "SELECT seq, hash FROM audit WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1",
        tenant.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let (seq, before) = match last {
        Some(last) => (last.seq + 1, hash(last.hash)),
        None => (1, BEGINNING),
    };
    let entry = Entry {
        tenant,
        seq,
        at: now,
        actor: actor.kind,
        actor_id: actor.id.clone(),
        actor_name: actor.name.clone(),
        action: act.action.as_str().to_owned(),
        target: act.target.to_owned(),
        detail: act.detail.to_owned(),
        address: actor.address.clone(),
        request: actor.request.clone(),
    };
    let hash = entry.hash(&before);
    sqlx::query!(
        "INSERT INTO audit (tenant_id, seq, at, actor_kind, actor_id, actor_name, action, target,
                            detail, address, request_id, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        tenant.as_uuid(),
        seq,
        entry.at,
        entry.actor.as_str(),
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.target,
        entry.detail,
        entry.address,
        entry.request,
        &hash[..],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The tenant's entries before a number, newest first; at most `limit`.
pub async fn page(tx: &mut TenantTx, before: Option<i64>, limit: i64) -> Result<Vec<Noted>> {
    let tenant = tx.tenant();
    let rows = sqlx::query_as!(
        Row,
        "SELECT seq, at, actor_kind, actor_id, actor_name, action, target, detail, address,
                request_id, hash
           FROM audit
          WHERE tenant_id = $1 AND ($2::bigint IS NULL OR seq < $2)
          ORDER BY seq DESC
          LIMIT $3",
        tenant.as_uuid(),
        before,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.read(tenant)).collect()
}

struct Row {
    seq: i64,
    at: OffsetDateTime,
    actor_kind: String,
    actor_id: String,
    actor_name: String,
    action: String,
    target: String,
    detail: String,
    address: String,
    request_id: String,
    hash: Vec<u8>,
}

impl Row {
    fn read(self, tenant: TenantId) -> Result<Noted> {
        Ok(Noted {
            entry: Entry {
                tenant,
                seq: self.seq,
                at: self.at,
                actor: known("audit.actor_kind", self.actor_kind)?,
                actor_id: self.actor_id,
                actor_name: self.actor_name,
                action: self.action,
                target: self.target,
                detail: self.detail,
                address: self.address,
                request: self.request_id,
            },
            hash: hash(self.hash),
        })
    }
}

/// The table takes no other length.
fn hash(bytes: Vec<u8>) -> [u8; 32] {
    bytes.try_into().unwrap_or(BEGINNING)
}

/// What a walk along a chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Every entry is as it was written, up to this number with this hash.
    Whole {
        /// Number of the last entry; 0 for none.
        entries: i64,
        /// Its hash.
        hash: [u8; 32],
    },
    /// The first entry that is not: it was changed, or the one before it is missing.
    Broken {
        /// The number that was expected there.
        at: i64,
    },
}

/// Walks along a tenant's whole chain, a thousand entries at a time.
pub async fn verify(system: &System, tenant: TenantId) -> Result<Chain> {
    let (mut seq, mut before) = (0, BEGINNING);
    loop {
        let rows = sqlx::query_as!(
            Row,
            "SELECT seq, at, actor_kind, actor_id, actor_name, action, target, detail, address,
                    request_id, hash
               FROM audit
              WHERE tenant_id = $1 AND seq > $2
              ORDER BY seq
              LIMIT $3",
            tenant.as_uuid(),
            seq,
            STEP,
        )
        .fetch_all(&system.pool)
        .await?;
        if rows.is_empty() {
            return Ok(Chain::Whole {
                entries: seq,
                hash: before,
            });
        }
        for row in rows {
            let Noted { entry, hash } = row.read(tenant)?;
            seq += 1;
            if entry.seq != seq || entry.hash(&before) != hash {
                return Ok(Chain::Broken { at: seq });
            }
            before = hash;
        }
    }
}

/// The hash of one entry, to compare it with one that was written down elsewhere; none
/// when there is no such entry.
pub async fn hash_at(system: &System, tenant: TenantId, seq: i64) -> Result<Option<[u8; 32]>> {
    let row = sqlx::query_scalar!(
        "SELECT hash FROM audit WHERE tenant_id = $1 AND seq = $2",
        tenant.as_uuid(),
        seq,
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(row.map(hash))
}
