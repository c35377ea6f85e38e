use std::sync::{Arc, Mutex};
use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use offpeak_domain::origin::Origin;
use offpeak_domain::price::Prices;
use offpeak_domain::room::Queue;
use offpeak_store::Tenants;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::Hint;
use crate::caller::Known;
use crate::dashboard::Files;
use crate::edge::Requests;
use crate::estimates::Estimates;
use crate::job_types::Catalog;
use crate::live::{self, Hub};
use crate::outlook::Kept;
use crate::overview::Spent;
use crate::room::Room;

/// What every request may need. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub(crate) tenants: Tenants,
    pub(crate) prices: Arc<Prices>,
    pub(crate) observed: Observed,
    pub(crate) hint: Hint,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) known: Arc<Known>,
    pub(crate) requests: Requests,
    pub(crate) room: Arc<Room>,
    pub(crate) hub: Hub,
    public_url: Option<Arc<Origin>>,
    pub(crate) kept: Arc<Kept>,
    pub(crate) estimates: Arc<Estimates>,
    pub(crate) dashboard: Arc<Files>,
    pub(crate) spent: Arc<Spent>,
}

/// What health and metrics need: also there in a process without the API.
#[derive(Clone)]
pub(crate) struct Observed {
    pub(crate) tenants: Tenants,
    pub(crate) registry: Arc<Mutex<Registry>>,
}

/// Where jobs go.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its row.
    pub id: UpstreamId,
    /// For a person.
    pub name: String,
    /// Whether it is the local stand-in.
    pub standin: bool,
    /// The longest that a job waits for its batch to fill.
    pub flush_after: Duration,
    /// From a batch's end until that is noticed, more or less.
    pub poll_every: Duration,
    /// How long before its deadline a job is called for at the latest.
    pub escalate_before: Duration,
}

impl State {
    /// The state of one process. Metrics of the API are added to `registry`,
    /// which `/metrics` shows whole; [`Hint::forward`] must run beside the
    /// router, or workers hear of new jobs a few seconds later.
    pub fn new(
        tenants: Tenants,
        prices: Arc<Prices>,
        registry: Arc<Mutex<Registry>>,
        hint: Hint,
        upstream: Upstream,
    ) -> Self {
        let requests = Requests::default();
        requests.register(
            &mut registry
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        let never = CancellationToken::new();
        let hub = Hub::new(tenants.clone(), live::Options::default(), never);
        Self {
            tenants: tenants.clone(),
            prices,
            observed: Observed { tenants, registry },
            hint,
            upstream: Arc::new(upstream),
            catalog: Arc::default(),
            known: Arc::default(),
            requests,
            room: Arc::default(),
            kept: Arc::default(),
            estimates: Arc::default(),
            dashboard: Arc::new(Files::embedded()),
            spent: Arc::default(),
            hub,
            public_url: None,
        }
    }

    /// By which browsers reach this server, where that is known.
    pub(crate) fn public_url(&self) -> Option<&Origin> {
        self.public_url.as_deref()
    }

    /// The same for a server that browsers reach by this address, through a proxy
    /// mostly: its own pages are those that come from there.
    #[must_use]
    pub fn with_public_url(self, public_url: Option<Origin>) -> Self {
        Self {
            public_url: public_url.map(Arc::new),
            ..self
        }
    }

    /// The same with live connections that end when a process stops: until then
    /// they would keep it.
    #[must_use]
    pub fn with_live(self, hub: Hub) -> Self {
        hub.register(
            &mut self
                .observed
                .registry
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        Self { hub, ..self }
    }

    /// The same with limits of what a tenant may have waiting.
    #[must_use]
    pub fn with_limits(self, limits: Queue) -> Self {
        Self {
            room: Arc::new(Room::new(limits)),
            ..self
        }
    }
}

/// A random source of the operating system's seed. The one place of this crate
/// where randomness begins: rules take it from here as a parameter.
pub(crate) fn rng() -> StdRng {
    rand::make_rng()
}
