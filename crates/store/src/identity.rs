//! Sign-ins by an identity server: those under way, and as whom somebody may enter.

use std::time::Duration;

use offpeak_domain::id::{PersonId, TenantId};
use time::OffsetDateTime;

use crate::person::SignedIn;
use crate::{Result, TenantTx, Tenants};

/// Whom an identity server vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// SHA-256 of issuer and subject.
    pub identity: [u8; 32],
    /// The address that it verified: ASCII in lower case.
    pub address: Option<String>,
}

/// As whom somebody may enter a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, and as whom.
    pub as_whom: SignedIn,
    /// What the tenant is called.
    pub tenant_name: String,
    /// Whether they came so before; else by the address, for the first time.
    pub known: bool,
}

/// Ties somebody to an identity, which is theirs from now on, and notes when they came.
/// False when they were removed, or are tied to another.
pub async fn tie(tx: &mut TenantTx, person: PersonId, identity: &[u8; 32]) -> Result<bool> {
    let tenant = tx.tenant();
    let done = sqlx::query!(
        "UPDATE person SET identity = $3, last_seen_at = clock_timestamp()
          WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL
            AND (identity IS NULL OR identity = $3)",
        tenant.as_uuid(),
        person.as_uuid(),
        &identity[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

impl Tenants {
    /// Notes that the browser with this secret's digest was sent to the identity server.
    pub async fn begin_attempt(&self, digest: &[u8; 32], lifetime: Duration) -> Result<()> {
        let seconds = i32::try_from(lifetime.as_secs()).unwrap_or(i32::MAX);
        sqlx::query!("SELECT begin_attempt($1, $2)", &digest[..], seconds)
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

    /// Uses it up, and says when that was; none when there is no such attempt, it came back
    /// before, or its time is over.
    pub async fn redeem_attempt(&self, digest: &[u8; 32]) -> Result<Option<OffsetDateTime>> {
        let at = sqlx::query_scalar!("SELECT redeem_attempt($1)", &digest[..])
            .fetch_one(&self.pool)
            .await?;
        Ok(at)
    }

    /// Remembers who came back with it, until they have chosen a tenant or its time is over.
    pub async fn keep_attempt(&self, digest: &[u8; 32], who: &Vouched) -> Result<()> {
        sqlx::query!(
            "SELECT keep_attempt($1, $2, $3)",
            &digest[..],
            &who.identity[..],
            who.address.as_deref(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Who came back with it, once.
    pub async fn end_attempt(&self, digest: &[u8; 32]) -> Result<Option<Vouched>> {
        let row = sqlx::query!(
            "SELECT vouched, of_address FROM end_attempt($1)",
            &digest[..]
        )
        .fetch_one(&self.pool)
        .await?;
        let identity = row.vouched.and_then(|bytes| bytes.try_into().ok());
        Ok(identity.map(|identity| Vouched {
            identity,
            address: row.of_address,
        }))
    }

    /// As whom somebody may enter, one for each tenant, at most a hundred. Changes nothing.
    pub async fn entries(&self, who: &Vouched) -> Result<Vec<Entry>> {
        let rows = sqlx::query!(
            "SELECT tenant, tenant_name, person, called, known FROM vouched_people($1, $2)
              ORDER BY lower(tenant_name), tenant
              LIMIT 100",
            &who.identity[..],
            who.address.as_deref(),
        )
        .fetch_all(&self.pool)
        .await?;
        let entries = rows.into_iter().filter_map(|row| {
            Some(Entry {
                as_whom: SignedIn {
                    tenant: TenantId::from_uuid(row.tenant?),
                    person: PersonId::from_uuid(row.person?),
                    name: row.called?,
                },
                tenant_name: row.tenant_name?,
                known: row.known?,
            })
        });
        Ok(entries.collect())
    }
}
