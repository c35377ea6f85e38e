use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::price::Prices;
use offpeak_domain::vault::Vault;
use offpeak_store::System;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::driver;
use crate::loops::direct::Direct;
use crate::loops::enroll::Enroll;
use crate::loops::escalate::Escalate;
use crate::loops::fold::Fold;
use crate::loops::form::Form;
use crate::loops::ingest::Ingest;
use crate::loops::operate::Operate;
use crate::loops::poll::Poll;
use crate::loops::purge::Purge;
use crate::loops::reconcile::Reconcile;
use crate::loops::relay::Relay;
use crate::loops::rescue::Rescue;
use crate::loops::share::Share;
use crate::loops::submit::Submit;
use crate::loops::sweep::Sweep;
use crate::loops::tend::Tend;
use crate::measure::{Measure, Shared};
use crate::options::Options;
use crate::outcome::{Outcome, Wait};
use crate::pause;
use crate::setting;
use crate::upstream::Upstream;
use crate::{Error, Result};

pub(crate) use crate::setting::Setting;

/// The loops, in the order in which a job meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Plans batches from what waits.
    Form,
    /// Sends them.
    Submit,
    /// Sees to jobs whose deadline nears.
    Escalate,
    /// Calls for urgent jobs.
    Direct,
    /// Looks at what Anthropic holds.
    Poll,
    /// Reads results.
    Ingest,
    /// Serves those who waited for the result of another job.
    Share,
    /// Does a chunk of what is to be done with all jobs that match.
    Operate,
    /// Takes in tenants' own keys.
    Enroll,
    /// Compares what Anthropic holds with a database that may have forgotten it.
    Reconcile,
    /// Settles uncertain sends.
    Rescue,
    /// Finds late twins of sends that were given up.
    Sweep,
    /// Numbers events.
    Relay,
    /// Folds counts.
    Fold,
    /// Keeps the database in shape.
    Tend,
    /// Deletes what is not to be kept at Anthropic.
    Purge,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Form,
        Self::Submit,
        Self::Escalate,
        Self::Direct,
        Self::Poll,
        Self::Ingest,
        Self::Share,
        Self::Operate,
        Self::Enroll,
        Self::Reconcile,
        Self::Rescue,
        Self::Sweep,
        Self::Relay,
        Self::Fold,
        Self::Tend,
        Self::Purge,
    ];

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Submit => "submit",
            Self::Escalate => "escalate",
            Self::Direct => "direct",
            Self::Poll => "poll",
            Self::Ingest => "ingest",
            Self::Share => "share",
            Self::Operate => "operate",
            Self::Enroll => "enroll",
            Self::Reconcile => "reconcile",
            Self::Rescue => "rescue",
            Self::Sweep => "sweep",
            Self::Relay => "relay",
            Self::Fold => "fold",
            Self::Tend => "tend",
            Self::Purge => "purge",
        }
    }
}

/// What a worker sends with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The upstreams that it is started with: the deployment's own.
    pub upstreams: Vec<Upstream>,
    /// What opens the keys of tenants' own, which are where the deployment's own is; with
    /// none, it takes none in.
    pub vault: Option<Arc<Vault>>,
}

/// Without tenants' own.
impl From<Vec<Upstream>> for Keys {
    fn from(upstreams: Vec<Upstream>) -> Self {
        Self {
            upstreams,
            vault: None,
        }
    }
}

/// All loops of one process. [`Worker::run`] drives them; [`Worker::tick`] runs
/// one of them once, the same code, for tests.
pub struct Worker {
    pub(crate) setting: Arc<Setting>,
    pub(crate) measure: Shared,
}

impl Worker {
    /// A worker over `system` that sends with these `keys`. `rng` names the process and
    /// spreads retries; metrics go into `registry`.
    pub fn new(
        system: System,
        keys: impl Into<Keys>,
        prices: Prices,
        options: Options,
        clock: Clock,
        mut rng: impl Rng,
        registry: &mut Registry,
    ) -> Self {
        let measure = Arc::new(Measure::register(registry));
        let Keys { upstreams, vault } = keys.into();
        let upstreams = upstreams
            .into_iter()
            .map(|one| one.watched(&measure, &clock, StdRng::from_rng(&mut rng)))
            .collect();
        let process = Uuid::from_u128(rng.random());
        let keys = Keys { upstreams, vault };
        let shared = setting::Shared::new(keys, prices, options, clock, process, &mut rng);
        Self {
            setting: Arc::new(Setting::new(system, shared)),
            measure,
        }
    }

    /// Runs all loops until told to stop. A create under way is given some time
    /// to finish, every other tick is dropped where it is, which is as safe as a
    /// crash; then every lease is resigned.
    pub async fn run(&self, stop: CancellationToken) {
        driver::run(self, stop).await;
    }

    /// Runs one loop once. That calls are held back for a while is no failure,
    /// but a time to wait.
    pub async fn tick(&self, which: Loop) -> Result<Outcome> {
        // Boxed: as large as the largest loop, and every caller's future holds it.
        let done = Box::pin(self.run_once(which)).await;
        // Whatever came of the tick, what its calls met is known now.
        let written = pause::write_down(&self.setting).await;
        match done.and_then(|outcome| written.map(|()| outcome)) {
            Err(Error::Upstream(offpeak_anthropic::Error::Held { wait })) => Ok(Outcome {
                wait: Wait::For(wait.max(Duration::from_secs(1))),
                ..Outcome::default()
            }),
            done => done,
        }
    }

    async fn run_once(&self, which: Loop) -> Result<Outcome> {
        let setting = Arc::clone(&self.setting);
        match which {
            Loop::Form => Form(setting).tick().await,
            Loop::Submit => Submit(setting).tick().await,
            Loop::Escalate => Escalate(setting).tick().await,
            Loop::Direct => Direct(setting).tick().await,
            Loop::Poll => Poll(setting).tick().await,
            // Only while this process counts as alive: once it does not, another
            // one may be reading the same results.
            Loop::Ingest if let Some(wait) = setting.reads_held() => Ok(Outcome {
                wait: Wait::For(wait),
                ..Outcome::default()
            }),
            Loop::Ingest => match setting.lead(&setting.alive_lease()).await? {
                Some(led) => Ingest(led.setting()).tick().await,
                None => Ok(Outcome::default()),
            },
            Loop::Share => Share(setting).tick().await,
            Loop::Operate => Operate(setting).tick().await,
            Loop::Enroll => Enroll(setting, Arc::clone(&self.measure)).tick().await,
            Loop::Reconcile => Reconcile(setting).tick().await,
            Loop::Rescue => Rescue(setting).tick().await,
            Loop::Sweep => Sweep(setting).tick().await,
            Loop::Relay => Relay(setting).tick().await,
            Loop::Fold => Fold(setting).tick().await,
            Loop::Tend => Tend(setting).tick().await,
            Loop::Purge => Purge(setting).tick().await,
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
