use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offpeak_domain::price::Prices;
use offpeak_store::{System, lease};
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Result;
use crate::clock::Clock;
use crate::driver;
use crate::loops::form::Form;
use crate::loops::ingest::Ingest;
use crate::loops::poll::Poll;
use crate::loops::relay::Relay;
use crate::loops::rescue::Rescue;
use crate::loops::submit::Submit;
use crate::loops::sweep::Sweep;
use crate::loops::tend::Tend;
use crate::measure::{Measure, Shared};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::upstream::Upstream;

/// The loops, in the order in which a job meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Plans batches from what waits.
    Form,
    /// Sends them.
    Submit,
    /// Looks at what Anthropic holds.
    Poll,
    /// Reads results.
    Ingest,
    /// Settles uncertain sends.
    Rescue,
    /// Finds late twins of sends that were given up.
    Sweep,
    /// Folds counts.
    Relay,
    /// Keeps the database in shape.
    Tend,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Form,
        Self::Submit,
        Self::Poll,
        Self::Ingest,
        Self::Rescue,
        Self::Sweep,
        Self::Relay,
        Self::Tend,
    ];

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Submit => "submit",
            Self::Poll => "poll",
            Self::Ingest => "ingest",
            Self::Rescue => "rescue",
            Self::Sweep => "sweep",
            Self::Relay => "relay",
            Self::Tend => "tend",
        }
    }
}

/// What all loops share.
pub(crate) struct Setting {
    pub(crate) system: System,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) prices: Prices,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    /// This process, as leases name it.
    pub(crate) process: Uuid,
    rng: Mutex<StdRng>,
}

impl Setting {
    /// Whether this process is the one that runs a loop, for another term.
    pub(crate) async fn leads(&self, name: &str) -> Result<bool> {
        let term = self.options.lease;
        Ok(lease::take(&self.system, name, self.process, term)
            .await?
            .is_some())
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
        self.leads(&self.alive_lease()).await
    }

    /// The lease by which others see that this process lives.
    pub(crate) fn alive_lease(&self) -> String {
        format!("process/{}", self.process)
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
    #[expect(
        clippy::disallowed_methods,
        reason = "an answer in hand waits for the database"
    )]
    pub(crate) async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// All loops of one process. [`Worker::run`] drives them; [`Worker::tick`] runs
/// one of them once, the same code, for tests.
pub struct Worker {
    pub(crate) setting: Arc<Setting>,
    pub(crate) measure: Shared,
}

impl Worker {
    /// A worker over `system` that sends through `upstreams`. `rng` names the
    /// process and spreads retries; metrics go into `registry`.
    pub fn new(
        system: System,
        upstreams: Vec<Upstream>,
        prices: Prices,
        options: Options,
        clock: Clock,
        mut rng: impl Rng,
        registry: &mut Registry,
    ) -> Self {
        let measure = Arc::new(Measure::register(registry));
        let upstreams = upstreams
            .into_iter()
            .map(|one| one.counted(Arc::clone(&measure)))
            .collect();
        let process = Uuid::from_u128(rng.random());
        let rng = Mutex::new(StdRng::from_rng(&mut rng));
        let setting = Setting {
            system,
            upstreams,
            prices,
            options,
            clock,
            process,
            rng,
        };
        Self {
            setting: Arc::new(setting),
            measure,
        }
    }

    /// Runs all loops until told to stop. A create under way is given some time
    /// to finish, every other tick is dropped where it is, which is as safe as a
    /// crash; then every lease is resigned.
    pub async fn run(&self, stop: CancellationToken) {
        driver::run(self, stop).await;
    }

    /// Runs one loop once.
    pub async fn tick(&self, which: Loop) -> Result<Outcome> {
        let setting = Arc::clone(&self.setting);
        match which {
            Loop::Form => Form(setting).tick().await,
            Loop::Submit => Submit(setting).tick().await,
            Loop::Poll => Poll(setting).tick().await,
            Loop::Ingest => Ingest(setting).tick().await,
            Loop::Rescue => Rescue(setting).tick().await,
            Loop::Sweep => Sweep(setting).tick().await,
            Loop::Relay => Relay(setting).tick().await,
            Loop::Tend => Tend(setting).tick().await,
        }
    }

    /// Runs every loop in turn until none of them has anything more to do just
    /// now. Returns how much was done.
    pub async fn settle_down(&self) -> Result<u64> {
        let mut total = 0;
        loop {
            let mut done = 0;
            for which in Loop::ALL {
                done += self.tick(which).await?.done;
            }
            if done == 0 {
                return Ok(total);
            }
            total += done;
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("process", &self.setting.process)
            .finish_non_exhaustive()
    }
}
