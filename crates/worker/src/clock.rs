use std::sync::{Arc, Mutex, PoisonError};

use offpeak_store::System;
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
}
