//! Sessions: browsers in which somebody signed in, with an API key or as a person.

use std::time::Duration;

use offpeak_domain::id::{KeyId, PersonId, SessionId, TenantId};
use offpeak_domain::scope::{Role, Scopes};
use time::OffsetDateTime;

use crate::job::known;
use crate::person::OPERATOR;
use crate::{Result, TenantTx, Tenants};

/// Who began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever had this key.
    Key(KeyId),
    /// This person of the tenant, or this operator where the tenant is the nil one.
    Person(PersonId),
    /// An operator who looks at a tenant's content.
    Operator(PersonId),
}

impl By {
    fn columns(self) -> [Option<uuid::Uuid>; 3] {
        match self {
            Self::Key(id) => [Some(id.as_uuid()), None, None],
            Self::Person(id) => [None, Some(id.as_uuid()), None],
            Self::Operator(id) => [None, None, Some(id.as_uuid())],
        }
    }
}

/// Whose session was presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Whose.
    pub tenant: TenantId,
    /// Which session.
    pub session: SessionId,
    /// Who began it.
    pub by: By,
    /// The hint of the key, or the name of the person.
    pub shown: String,
    /// The role of the person; none for a key.
    pub role: Option<Role>,
    /// What it may do; `None` for an operator, who may do nothing of a tenant's.
    pub scopes: Option<Scopes>,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// A session that is to begin.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Which.
    pub id: SessionId,
    /// Who begins it.
    pub by: By,
    /// SHA-256 of its secret.
    pub digest: &'a [u8; 32],
    /// How long it lasts.
    pub lifetime: Duration,
}

/// Begins a session of a tenant. Returns when it ends.
pub async fn create(tx: &mut TenantTx, new: &New<'_>) -> Result<OffsetDateTime> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let expires_at = now + new.lifetime;
    let [key, person, operator] = new.by.columns();
    sqlx::query!(
        "INSERT INTO session (tenant_id, id, digest, key_id, person_id, operator_id, created_at,
                              expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        new.id.as_uuid(),
        &new.digest[..],
        key,
        person,
        operator,
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(expires_at)
}

/// From its commit on the session opens nothing.
pub async fn end(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let (tenant, now) = (tx.tenant(), tx.now());
    sqlx::query!(
        "UPDATE session SET ended_at = $3
          WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends every session that was begun with this key, or by this person. Returns how many.
pub async fn end_all(tx: &mut TenantTx, by: By) -> Result<u64> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let [key, person, operator] = by.columns();
    let done = sqlx::query!(
        "UPDATE session SET ended_at = $5
          WHERE tenant_id = $1 AND (key_id = $2 OR person_id = $3 OR operator_id = $4)
            AND ended_at IS NULL",
        tenant.as_uuid(),
        key,
        person,
        operator,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

impl Tenants {
    /// Whose session has this digest (SHA-256 of its secret); none when there is
    /// none, it is over, its key was revoked, or its person removed.
    pub async fn session(&self, digest: &[u8; 32]) -> Result<Option<Presented>> {
        let row = sqlx::query!(
            "SELECT tenant, opened, key, person, operator, expires, shown, role, may
               FROM opened_session($1)",
            &digest[..],
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(tenant), Some(session), Some(expires_at), Some(shown)) =
            (row.tenant, row.opened, row.expires, row.shown)
        else {
            return Ok(None);
        };
        let by = match (row.key, row.person, row.operator) {
            (Some(key), _, _) => By::Key(KeyId::from_uuid(key)),
            (_, Some(person), _) => By::Person(PersonId::from_uuid(person)),
            (_, _, Some(operator)) => By::Operator(PersonId::from_uuid(operator)),
            _ => return Ok(None),
        };
        let role = match row.role {
            None => None,
            Some(role) if role == OPERATOR => None,
            Some(role) => Some(known::<Role>("person.role", role)?),
        };
        let scopes = row.may.map(Scopes::known).or(role.map(Role::scopes));
        Ok(Some(Presented {
            tenant: TenantId::from_uuid(tenant),
            session: SessionId::from_uuid(session),
            by,
            shown,
            role,
            scopes,
            expires_at,
        }))
    }
}
