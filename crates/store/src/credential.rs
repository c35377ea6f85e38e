//! What opened something that stays open, and whether it still would.

use std::collections::HashSet;

use offpeak_domain::id::{KeyId, SessionId, TicketId};

use crate::{Result, TenantTx};

/// By what somebody came in: an id, never a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// A session, which somebody began.
    Session(SessionId),
    /// A ticket, which a key made.
    Ticket(TicketId),
}

/// Those of the tenant's `credentials` that still open something: not revoked,
/// not ended, their time not over, and whoever is behind them still in force: the key
/// not revoked or expired, the person not removed. One statement, however many they are.
pub async fn alive(tx: &mut TenantTx, credentials: &[Credential]) -> Result<HashSet<Credential>> {
    let (kinds, ids): (Vec<i16>, Vec<_>) = credentials
        .iter()
        .map(|credential| match credential {
            Credential::Key(id) => (0, id.as_uuid()),
            Credential::Session(id) => (1, id.as_uuid()),
            Credential::Ticket(id) => (2, id.as_uuid()),
        })
        .unzip();
    let places = sqlx::query_scalar!(
        r#"SELECT asked.place AS "place!"
             FROM unnest($2::smallint[], $3::uuid[]) WITH ORDINALITY AS asked (kind, id, place)
             LEFT JOIN session s ON asked.kind = 1 AND s.tenant_id = $1 AND s.id = asked.id
                                AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
             LEFT JOIN ticket t ON asked.kind = 2 AND t.tenant_id = $1 AND t.id = asked.id
                               AND t.expires_at > clock_timestamp()
             LEFT JOIN api_key k ON k.tenant_id = $1 AND k.revoked_at IS NULL
                                AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
                                AND k.id = CASE asked.kind WHEN 0 THEN asked.id
                                                           WHEN 1 THEN s.key_id
                                                           ELSE t.key_id END
             LEFT JOIN person p ON p.tenant_id = $1 AND p.id = s.person_id
                               AND p.removed_at IS NULL
            -- An operator's look lasts as long as its session, which is minutes.
            WHERE k.id IS NOT NULL OR p.id IS NOT NULL OR s.operator_id IS NOT NULL
            ORDER BY place
            LIMIT cardinality($2::smallint[])"#,
        tx.tenant().as_uuid(),
        &kinds,
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(places
        .into_iter()
        .filter_map(|place| usize::try_from(place).ok()?.checked_sub(1))
        .filter_map(|place| credentials.get(place).copied())
        .collect())
}
