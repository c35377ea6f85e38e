use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offpeak_store::System;
use offpeak_store::lease::uptime;
use time::OffsetDateTime;

use crate::Result;

/// The time that the loops decide by. Leases are the database's affair either way.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The database's clock, one for all processes.
    Database(System),
    /// A clock that a test moves.
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    /// What time it is.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        match self {
            Self::Database(system) => Ok(system.now().await?),
            Self::Manual(now) => Ok(*now.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// A time that only this process compares, without asking anybody.
    pub(crate) fn local(&self) -> Duration {
        match self {
            Self::Database(_) => uptime(),
            Self::Manual(now) => {
                let now = *now.lock().unwrap_or_else(PoisonError::into_inner);
                Duration::try_from(now - OffsetDateTime::UNIX_EPOCH).unwrap_or_default()
            }
        }
    }
}
