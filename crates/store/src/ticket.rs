//! Tickets: what opens one user's or one group's jobs to read, for minutes.

use std::time::Duration;

use offpeak_domain::id::{GroupId, KeyId, TenantId, TicketId};
use time::OffsetDateTime;

use crate::{Result, TenantTx, Tenants};

/// Whose jobs a ticket opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Those with this label of the app.
    User(String),
    /// Those of this group.
    Group(GroupId),
}

/// What was presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Whose.
    pub tenant: TenantId,
    /// Which ticket.
    pub ticket: TicketId,
    /// Whose jobs it opens.
    pub opens: Opens,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// False when its time is over or the key that made it was revoked.
    pub holds: bool,
    /// Whether the tenant listed the origin that was asked about.
    pub listed: bool,
}

/// Writes down a ticket by the digest (SHA-256) of its secret. Returns when it ends.
pub async fn create(
    tx: &mut TenantTx,
    id: TicketId,
    key: KeyId,
    digest: &[u8; 32],
    opens: &Opens,
    lifetime: Duration,
) -> Result<OffsetDateTime> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let expires_at = now + lifetime;
    let (user, group) = match opens {
        Opens::User(label) => (Some(label.as_str()), None),
        Opens::Group(id) => (None, Some(id.as_uuid())),
    };
    sqlx::query!(
        "INSERT INTO ticket (tenant_id, id, digest, key_id, user_label, group_id, created_at,
                             expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        id.as_uuid(),
        &digest[..],
        key.as_uuid(),
        user,
        group,
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(expires_at)
}

impl Tenants {
    /// Whose ticket has this digest (SHA-256 of its secret), also when it is
    /// over, and whether `origin` is one of the tenant's; none when there is no
    /// such ticket.
    pub async fn ticket(
        &self,
        digest: &[u8; 32],
        origin: Option<&str>,
    ) -> Result<Option<Presented>> {
        let row = sqlx::query!(
            "SELECT tenant, opened, of_user, of_group, expires, holds, listed
               FROM presented_ticket($1, $2)",
            &digest[..],
            origin,
        )
        .fetch_one(&self.pool)
        .await?;
        let opens = match (row.of_user, row.of_group) {
            (Some(label), None) => Opens::User(label),
            (None, Some(id)) => Opens::Group(GroupId::from_uuid(id)),
            _ => return Ok(None),
        };
        let (Some(tenant), Some(ticket), Some(expires_at)) = (row.tenant, row.opened, row.expires)
        else {
            return Ok(None);
        };
        Ok(Some(Presented {
            tenant: TenantId::from_uuid(tenant),
            ticket: TicketId::from_uuid(ticket),
            opens,
            expires_at,
            holds: row.holds.unwrap_or(false),
            listed: row.listed.unwrap_or(false),
        }))
    }
}
