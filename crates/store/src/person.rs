//! People: who signs in without an API key, by a link that opens once.
//!
//! Those of the nil tenant are operators. Only [`System`](crate::System) makes them,
//! which is the operator's command on the machine itself.

use std::time::Duration;

use offpeak_domain::id::{LinkId, PersonId, TenantId};
use offpeak_domain::scope::Role;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::job::known;
use crate::{Result, SystemTx, TenantTx, Tenants};

/// Under which operators stand.
pub const OPERATORS: TenantId = TenantId::from_uuid(Uuid::nil());
/// The word of an operator's role.
pub(crate) const OPERATOR: &str = "operator";

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One of a tenant's people.
    Of(Role),
    /// Of the deployment itself.
    Operator,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Of(role) => role.as_str(),
            Self::Operator => OPERATOR,
        }
    }

    pub(crate) fn read(word: String) -> Result<Self> {
        if word == OPERATOR {
            return Ok(Self::Operator);
        }
        known("person.role", word).map(Self::Of)
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// How they are called, mostly by an address.
    pub name: String,
    /// What they may do.
    pub standing: Standing,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// When they signed in last.
    pub last_seen_at: Option<OffsetDateTime>,
}

/// Who is to be a person of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Under which id, if nobody is called so.
    pub id: PersonId,
    /// How they are called; compared without regard to case.
    pub name: &'a str,
    /// What they may do.
    pub standing: Standing,
}

/// A link that is to sign somebody in.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Which.
    pub id: LinkId,
    /// SHA-256 of its secret.
    pub digest: &'a [u8; 32],
    /// How long it holds.
    pub lifetime: Duration,
}

/// A tenant's people, or the operators: by name, at most 10,000.
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<Person>> {
    of(tx.conn(), tenant).await
}

/// The tenant's own people, by name, at most 10,000.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<Person>> {
    let tenant = tx.tenant();
    of(tx.conn(), tenant).await
}

async fn of(conn: &mut Connection, tenant: TenantId) -> Result<Vec<Person>> {
    let rows = sqlx::query!(
        "SELECT id, name, role, created_at, last_seen_at
           FROM person
          WHERE tenant_id = $1 AND removed_at IS NULL
          ORDER BY lower(name), id
          LIMIT 10000",
        tenant.as_uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Person {
                id: PersonId::from_uuid(row.id),
                name: row.name,
                standing: Standing::read(row.role)?,
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
            })
        })
        .collect()
}

/// Somebody of a tenant with a link to sign in by: whoever is called so already keeps
/// their id and gets this role. Returns who it is, and until when the link holds.
pub async fn invite(
    tx: &mut SystemTx,
    tenant: TenantId,
    new: &New<'_>,
    link: &Link<'_>,
) -> Result<(PersonId, OffsetDateTime)> {
    let now = tx.now();
    invited(tx.conn(), tenant, now, new, link).await
}

/// The same by the tenant itself.
pub async fn invite_own(
    tx: &mut TenantTx,
    name: (PersonId, &str),
    role: Role,
    link: &Link<'_>,
) -> Result<(PersonId, OffsetDateTime)> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let new = New {
        id: name.0,
        name: name.1,
        standing: Standing::Of(role),
    };
    invited(tx.conn(), tenant, now, &new, link).await
}

async fn invited(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    new: &New<'_>,
    link: &Link<'_>,
) -> Result<(PersonId, OffsetDateTime)> {
    let person = sqlx::query_scalar!(
        "INSERT INTO person AS p (tenant_id, id, name, role) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, lower(name)) WHERE removed_at IS NULL
             DO UPDATE SET role = excluded.role
         RETURNING id",
        tenant.as_uuid(),
        new.id.as_uuid(),
        new.name,
        new.standing.word(),
    )
    .fetch_one(&mut *conn)
    .await?;
    let expires_at = now + link.lifetime;
    sqlx::query!(
        "INSERT INTO signin_link (tenant_id, id, digest, person_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        link.id.as_uuid(),
        &link.digest[..],
        person,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok((PersonId::from_uuid(person), expires_at))
}

/// From its commit on nothing opens for somebody: their sessions and links end with
/// them. False when there is nobody like that.
pub async fn remove(tx: &mut SystemTx, tenant: TenantId, id: PersonId) -> Result<bool> {
    removed(tx.conn(), tenant, id).await
}

/// The same by the tenant itself.
pub async fn remove_own(tx: &mut TenantTx, id: PersonId) -> Result<bool> {
    let tenant = tx.tenant();
    removed(tx.conn(), tenant, id).await
}

async fn removed(conn: &mut Connection, tenant: TenantId, id: PersonId) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE person SET removed_at = clock_timestamp()
          WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whom a link signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Of which tenant; of the nil tenant for an operator.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// How they are called.
    pub name: String,
}

impl Tenants {
    /// Uses up the link with this digest (SHA-256 of its secret); none when there is no
    /// such link, it was used, its time is over, or its person was removed.
    pub async fn use_link(&self, digest: &[u8; 32]) -> Result<Option<SignedIn>> {
        let row = sqlx::query!(
            "SELECT tenant, person, called FROM use_link($1)",
            &digest[..]
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(tenant), Some(person), Some(name)) = (row.tenant, row.person, row.called) else {
            return Ok(None);
        };
        Ok(Some(SignedIn {
            tenant: TenantId::from_uuid(tenant),
            person: PersonId::from_uuid(person),
            name,
        }))
    }
}
