//! LISTEN and NOTIFY as a hint. Whoever is told reads the database and acts on
//! that alone; whoever is not told reads it a few seconds later anyway.

use std::collections::BTreeSet;

use offpeak_domain::id::TenantId;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::bounded::Pool;
use crate::{Result, System, Tenants};

/// Jobs became ready, or events were told.
const READY: &str = "offpeak_ready";
/// Events were told, but no job became ready.
const TOLD: &str = "offpeak_told";
/// Events were numbered.
const LIVE: &str = "offpeak_live";

/// Tenants that one hint names; of more it names none, and means all.
const NAMED: usize = 200;

/// Says that jobs became ready. Never inside a hot transaction: a commit with
/// a pending NOTIFY takes a lock for the whole cluster.
pub async fn ready(tenants: &Tenants) -> Result<()> {
    sqlx::query!("NOTIFY offpeak_ready")
        .execute(&tenants.pool)
        .await?;
    Ok(())
}

/// Says that events were told, to whoever numbers them.
pub async fn told(system: &System) -> Result<()> {
    sqlx::query!("NOTIFY offpeak_told")
        .execute(&system.pool)
        .await?;
    Ok(())
}

/// Says whose events were numbered.
pub async fn numbered(system: &System, whose: &BTreeSet<TenantId>) -> Result<()> {
    let named: Vec<String> = if whose.len() > NAMED {
        Vec::new()
    } else {
        whose
            .iter()
            .map(|tenant| tenant.as_uuid().simple().to_string())
            .collect()
    };
    sqlx::query!("SELECT pg_notify($1, $2)", LIVE, named.join(" "))
        .fetch_one(&system.pool)
        .await?;
    Ok(())
}

impl Tenants {
    /// Returns after a transaction of this process has committed events.
    pub async fn told(&self) {
        self.pool.told().await;
    }
}

impl System {
    /// Returns after a transaction of this process has committed events.
    pub async fn told(&self) {
        self.pool.told().await;
    }
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Jobs became ready, and that was told.
    Ready,
    /// Events were told.
    Told,
    /// Events of these tenants were numbered.
    Numbered(BTreeSet<TenantId>),
    /// Hints may have been lost, or say too little: read everything.
    Anything,
}

impl Heard {
    fn of(channel: &str, payload: &str) -> Self {
        match channel {
            READY => Self::Ready,
            TOLD => Self::Told,
            _ => {
                let whose: Option<BTreeSet<TenantId>> = payload
                    .split_ascii_whitespace()
                    .map(|id| id.parse().ok().map(TenantId::from_uuid))
                    .collect();
                match whose {
                    Some(whose) if !whose.is_empty() => Self::Numbered(whose),
                    _ => Self::Anything,
                }
            }
        }
    }
}

/// Hears hints.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
    pool: Pool,
    channels: &'static [&'static str],
}

impl Listener {
    /// Listens from now on for what a worker acts on: register first, then read
    /// the database.
    pub async fn of_worker(system: &System) -> Result<Self> {
        Self::on(&system.pool, &[READY, TOLD]).await
    }

    /// Listens from now on for events that were numbered.
    pub async fn of_live(tenants: &Tenants) -> Result<Self> {
        Self::on(&tenants.pool, &[LIVE]).await
    }

    async fn on(pool: &Pool, channels: &'static [&'static str]) -> Result<Self> {
        Ok(Self {
            inner: pool.listener(channels).await?,
            pool: pool.clone(),
            channels,
        })
    }

    /// Returns at the next hint, and also after a lost connection was
    /// restored, since hints may have been lost with it. A connection on which
    /// nothing comes is asked now and then whether it is alive: nothing else
    /// tells one that is dead from one without hints.
    pub async fn heard(&mut self) -> Result<Heard> {
        loop {
            let lost = match timeout(self.pool.patience(), self.inner.try_recv()).await {
                Ok(Ok(Some(hint))) => return Ok(Heard::of(hint.channel(), hint.payload())),
                Ok(Ok(None) | Err(_)) => true,
                Err(_) => !self.pool.is_alive(&mut self.inner).await,
            };
            if lost {
                // The old one takes its leave of a server that may not answer;
                // the kernel gives it up.
                self.inner = self.pool.listener(self.channels).await?;
                return Ok(Heard::Anything);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;
    use offpeak_domain::id::TenantId;
    use uuid::Uuid;

    #[test]
    fn a_hint_that_names_nobody_means_everybody() {
        let id = Uuid::from_u128(7);
        assert_eq!(
            Heard::of("offpeak_live", &id.simple().to_string()),
            Heard::Numbered([TenantId::from_uuid(id)].into())
        );
        assert_eq!(Heard::of("offpeak_live", ""), Heard::Anything);
        assert_eq!(Heard::of("offpeak_live", "no-id"), Heard::Anything);
        assert_eq!(Heard::of("offpeak_ready", ""), Heard::Ready);
        assert_eq!(Heard::of("offpeak_told", ""), Heard::Told);
    }
}
