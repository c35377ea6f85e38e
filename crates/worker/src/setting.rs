//! What all loops share, and the leases under which they write.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use offpeak_domain::breaker::Call;
use offpeak_domain::id::UpstreamId;
use offpeak_domain::price::Prices;
use offpeak_domain::vault::Vault;
use offpeak_store::batch::Key;
use offpeak_store::lease::{self, Term};
use offpeak_store::{Error as StoreError, System};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::Result;
use crate::clock::Clock;
use crate::options::Options;
use crate::upstream::Upstream;
use crate::worker::Keys;

/// What a loop works with: the database, as itself or under a lease, and what
/// is the same for all.
pub(crate) struct Setting {
    pub(crate) system: System,
    shared: Arc<Shared>,
}

/// What is the same for all loops of a process.
pub(crate) struct Shared {
    upstreams: RwLock<Arc<[Upstream]>>,
    /// What opens the keys of tenants; none where there are none.
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) prices: Prices,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    /// This process, as leases name it.
    pub(crate) process: Uuid,
    /// The batches whose results this process is reading.
    pub(crate) reading: tokio::sync::Mutex<Reading>,
    rng: Mutex<StdRng>,
}

/// Batches that are being read, each for as long as its token lives.
#[derive(Debug, Default)]
pub(crate) struct Reading(Vec<(Key, Weak<()>)>);

impl Reading {
    /// Those whose token lives.
    pub(crate) fn keys(&mut self) -> Vec<Key> {
        self.0.retain(|(_, token)| token.strong_count() > 0);
        self.0.iter().map(|(key, _)| *key).collect()
    }

    /// From now on, until the token is dropped.
    pub(crate) fn begin(&mut self, key: Key) -> Arc<()> {
        let token = Arc::new(());
        self.0.push((key, Arc::downgrade(&token)));
        token
    }
}

impl Shared {
    pub(crate) fn new(
        keys: Keys,
        prices: Prices,
        options: Options,
        clock: Clock,
        process: Uuid,
        rng: &mut impl Rng,
    ) -> Self {
        Self {
            upstreams: RwLock::new(keys.upstreams.into()),
            vault: keys.vault,
            prices,
            options,
            clock,
            process,
            reading: tokio::sync::Mutex::default(),
            rng: Mutex::new(StdRng::from_rng(rng)),
        }
    }
}

impl Deref for Setting {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// The same setting for as long as a lease is held: whatever is written through
/// it is refused once somebody else leads. Renewed until it is dropped.
pub(crate) struct Led {
    setting: Arc<Setting>,
    _renewal: AbortOnDropHandle<()>,
}

impl Led {
    /// To build a loop on, which is to be dropped before this.
    pub(crate) fn setting(&self) -> Arc<Setting> {
        Arc::clone(&self.setting)
    }
}

impl Setting {
    pub(crate) fn new(system: System, shared: Shared) -> Self {
        Self {
            system,
            shared: Arc::new(shared),
        }
    }

    /// Takes a lease for this process, or gives nothing while another has it.
    pub(crate) async fn lead(&self, name: &str) -> Result<Option<Led>> {
        let length = self.options.lease;
        let Some(term) = lease::take(&self.system, name, self.process, length).await? else {
            return Ok(None);
        };
        let term = Arc::new(term);
        let renewal = tokio::spawn(renew(self.system.clone(), Arc::clone(&term), length / 3));
        Ok(Some(Led {
            setting: Arc::new(Self {
                system: self.system.under(term),
                shared: Arc::clone(&self.shared),
            }),
            _renewal: AbortOnDropHandle::new(renewal),
        }))
    }

    /// Whether nobody did this within the time; if so, it counts as done now.
    pub(crate) async fn once_in(&self, time: Duration, name: &str) -> Result<bool> {
        let nobody = Uuid::from_u128(self.random().random());
        Ok(lease::take(&self.system, name, nobody, time)
            .await?
            .is_some())
    }

    /// Says that this process lives. Without it, nothing may be sent.
    pub(crate) async fn is_alive(&self) -> Result<bool> {
        let name = self.alive_lease();
        let taken = lease::take(&self.system, &name, self.process, self.options.lease).await?;
        Ok(taken.is_some())
    }

    /// The lease by which others see that this process lives.
    pub(crate) fn alive_lease(&self) -> String {
        format!("process/{}", self.process)
    }

    /// The upstreams that this process has a key for, as they are at this moment.
    pub(crate) fn upstreams(&self) -> Arc<[Upstream]> {
        Arc::clone(
            &self
                .upstreams
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// From now on it has keys for these. Calls that are under way go on.
    pub(crate) fn set_upstreams(&self, upstreams: Vec<Upstream>) {
        *self
            .upstreams
            .write()
            .unwrap_or_else(PoisonError::into_inner) = upstreams.into();
    }

    /// How long no results can be read from any upstream, if so.
    pub(crate) fn reads_held(&self) -> Option<Duration> {
        self.upstreams()
            .iter()
            .map(|one| one.held(Call::Read).or(one.held(Call::Results)))
            .min()
            .flatten()
    }

    /// The upstreams from which results can be read at the moment.
    pub(crate) fn readable(&self) -> Vec<UpstreamId> {
        let free = |one: &&Upstream| one.held(Call::Read).or(one.held(Call::Results)).is_none();
        self.upstreams()
            .iter()
            .filter(free)
            .map(|one| one.id)
            .collect()
    }

    /// Uniform in 0..1.
    pub(crate) fn unit_random(&self) -> f64 {
        self.random().random()
    }

    /// A random source of its own for one caller, drawn from the worker's.
    pub(crate) fn random(&self) -> StdRng {
        StdRng::from_rng(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits; only between two offers of an answer to a database that is away.
    pub(crate) async fn pause(&self, time: Duration) {
        sleep(time).await;
    }
}

/// Keeps a term while its tick goes on, which may wait on the network for
/// longer than the term. A tick that is dropped takes this with it.
async fn renew(system: System, term: Arc<Term>, every: Duration) {
    loop {
        sleep(every).await;
        match tokio::time::timeout(every, lease::renew(&system, &term)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let over = StoreError::Fenced(term.name().to_owned());
                tracing::warn!(epoch = term.epoch(), error = %over, "lease lost");
                return;
            }
            Ok(Err(error)) => tracing::warn!(lease = term.name(), %error, "lease not renewed"),
            Err(_) => tracing::warn!(lease = term.name(), "renewing a lease took too long"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "renewals and offers of an answer are spaced by time"
)]
async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}
