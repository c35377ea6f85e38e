//! LISTEN and NOTIFY as a hint. Whoever is told reads the database and acts on
//! that alone; whoever is not told reads it a few seconds later anyway.

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::bounded::Pool;
use crate::{Result, System, Tenants};

const READY: &str = "offpeak_ready";

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
    pool: Pool,
}

impl Listener {
    /// Listens from now on: register first, then read the database.
    pub async fn ready(system: &System) -> Result<Self> {
        let pool = system.pool.clone();
        let inner = pool.listener(READY).await?;
        Ok(Self { inner, pool })
    }

    /// Returns at the next hint, and also after a lost connection was
    /// restored, since hints may have been lost with it. A connection on which
    /// nothing comes is asked now and then whether it is alive: nothing else
    /// tells one that is dead from one without hints.
    pub async fn heard(&mut self) -> Result<()> {
        loop {
            let lost = match timeout(self.pool.patience(), self.inner.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None) | Err(_)) => true,
                Err(_) => !self.pool.is_alive(&mut self.inner).await,
            };
            if lost {
                // The old one takes its leave of a server that may not answer;
                // the kernel gives it up.
                self.inner = self.pool.listener(READY).await?;
                return Ok(());
            }
        }
    }
}
