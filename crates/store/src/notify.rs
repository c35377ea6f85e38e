//! LISTEN and NOTIFY as a hint. Whoever is told reads the database and acts on
//! that alone; whoever is not told reads it a few seconds later anyway.

use sqlx::postgres::PgListener;

use crate::{Result, System, Tenants};

/// Says that jobs became ready. Never inside a hot transaction: a commit with
/// a pending NOTIFY takes a lock for the whole cluster.
pub async fn ready(tenants: &Tenants) -> Result<()> {
    sqlx::query!("NOTIFY offpeak_ready")
        .execute(&tenants.pool)
        .await?;
    Ok(())
}

/// Hears hints.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

impl Listener {
    /// Listens from now on: register first, then read the database.
    pub async fn ready(system: &System) -> Result<Self> {
        let mut inner = PgListener::connect_with(&system.pool).await?;
        inner.listen("offpeak_ready").await?;
        Ok(Self { inner })
    }

    /// Returns at the next hint, and also after a lost connection was
    /// restored, since hints may have been lost with it.
    pub async fn heard(&mut self) -> Result<()> {
        self.inner.try_recv().await?;
        Ok(())
    }
}
