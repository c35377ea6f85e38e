//! Content as it stands in the rows: requests, result lines (also how those begin that were
//! put aside) and contexts, plain or sealed by their tenant's data key. A column `key_id`
//! beside each says which.
//!
//! Sealed is: compressed, since nobody can compress what is encrypted, then encrypted for
//! its very row. Opening never gives an empty value for one that does not open.
//!
//! A data key seals nothing before it is committed, and nothing in a transaction that does
//! not see it: one that was rolled back, or lost with a server, would take all with it.

mod content;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offpeak_domain::id::TenantId;
use offpeak_domain::vault::{DataKey, Error as Closed, Vault, Wrapped};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng as _};
use time::OffsetDateTime;

pub(crate) use content::{Piece, Seal};

/// Data keys in memory, at most. With more, all are forgotten and read anew.
const CACHED: usize = 10_000;

/// By what content is sealed and opened in this process. Clones are one.
#[derive(Clone, Default)]
pub struct Sealer(Option<Arc<Inner>>);

struct Inner {
    vault: Arc<Vault>,
    /// Whether what is new is sealed; what is sealed is opened in any case.
    seals: bool,
    keys: Mutex<HashMap<TenantId, Cached>>,
    rng: Mutex<StdRng>,
}

/// A committed data key, and when it was made: no two of a tenant have that in common.
#[derive(Clone)]
struct Cached {
    made_at: OffsetDateTime,
    key: Arc<DataKey>,
}

/// A data key's row, as a transaction sees it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) made_at: OffsetDateTime,
    pub(crate) wrapped: Wrapped,
}

impl Held {
    /// Of the columns, if there is a row.
    pub(crate) fn of(
        made_at: Option<OffsetDateTime>,
        master: Option<String>,
        bytes: Option<Vec<u8>>,
    ) -> Option<Self> {
        let wrapped = Wrapped {
            master: master?,
            bytes: bytes?,
        };
        made_at.map(|made_at| Self { made_at, wrapped })
    }
}

impl Sealer {
    /// Everything is plain, and nothing that is sealed opens.
    pub fn plain() -> Self {
        Self(None)
    }

    /// Opens what is sealed, and seals what is new if `seals`.
    pub fn new(vault: Arc<Vault>, seals: bool, mut rng: impl CryptoRng) -> Self {
        Self(Some(Arc::new(Inner {
            vault,
            seals,
            keys: Mutex::default(),
            rng: Mutex::new(StdRng::from_rng(&mut rng)),
        })))
    }

    /// The master keys, if what is new is sealed.
    pub(crate) fn sealing(&self) -> Option<&Vault> {
        self.0
            .as_ref()
            .filter(|inner| inner.seals)
            .map(|inner| &*inner.vault)
    }

    /// Whether anything that is sealed could be opened.
    pub fn opens(&self) -> bool {
        self.0.is_some()
    }

    /// Randomness of its own for one call.
    pub(crate) fn rng(&self) -> Option<StdRng> {
        let inner = self.0.as_ref()?;
        let mut rng = inner.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Some(StdRng::from_rng(&mut *rng))
    }

    /// For a tenant whose key is in memory: when that was made, and what seals by it. Whoever
    /// writes has still to make sure that it is there.
    pub(crate) fn remembered(&self, tenant: TenantId) -> Option<(OffsetDateTime, Seal)> {
        let found = self.0.as_ref()?.keys().get(&tenant).cloned()?;
        let seal = Seal {
            tenant,
            key: Ok(Some(found.key)),
            sealer: self.clone(),
            seals: self.sealing().is_some(),
        };
        Some((found.made_at, seal))
    }

    /// What seals and opens by this row, which is committed.
    pub(crate) fn of(&self, tenant: TenantId, held: Option<Held>) -> Seal {
        Seal {
            tenant,
            key: held.map(|held| self.key(tenant, &held)).transpose(),
            sealer: self.clone(),
            seals: self.sealing().is_some(),
        }
    }

    fn key(&self, tenant: TenantId, held: &Held) -> std::result::Result<Arc<DataKey>, Closed> {
        let Some(inner) = &self.0 else {
            return Err(Closed::NoMaster(held.wrapped.master.clone()));
        };
        if let Some(found) = inner.keys().get(&tenant)
            && found.made_at == held.made_at
        {
            return Ok(Arc::clone(&found.key));
        }
        let key = Arc::new(inner.vault.unwrap(tenant, &held.wrapped)?);
        let mut keys = inner.keys();
        if keys.len() >= CACHED {
            keys.clear();
        }
        let cached = Cached {
            made_at: held.made_at,
            key: Arc::clone(&key),
        };
        keys.insert(tenant, cached);
        Ok(key)
    }

    /// Takes a tenant's key out of memory.
    pub(crate) fn forget(&self, tenant: TenantId) {
        if let Some(inner) = &self.0 {
            inner.keys().remove(&tenant);
        }
    }
}

impl Inner {
    fn keys(&self) -> MutexGuard<'_, HashMap<TenantId, Cached>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("opens", &self.opens())
            .field("seals", &self.sealing().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
