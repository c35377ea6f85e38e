use std::sync::{Arc, Mutex};
use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use offpeak_domain::limits::Limits;
use offpeak_domain::origin::Origin;
use offpeak_domain::price::Prices;
use offpeak_domain::rate::Rate;
use offpeak_domain::retention::Days;
use offpeak_domain::vault::Vault;
use offpeak_oidc::Provider;
use offpeak_store::{Operators, Tenants};
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::caller::Known;
use crate::dashboard::Files;
use crate::edge::Requests;
use crate::estimates::Estimates;
use crate::job_types::Catalog;
use crate::limits::Allowance;
use crate::live::{self, Hub};
use crate::outlook::Kept;
use crate::overview::Spent;
use crate::room::Room;
use crate::{Hint, Proxies};

/// What every request may need. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub(crate) tenants: Tenants,
    pub(crate) operators: Operators,
    pub(crate) prices: Arc<Prices>,
    pub(crate) observed: Observed,
    pub(crate) hint: Hint,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) known: Arc<Known>,
    pub(crate) requests: Requests,
    pub(crate) room: Arc<Room>,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) hub: Hub,
    public_url: Option<Arc<Origin>>,
    identity_server: Option<Arc<IdentityServer>>,
    pub(crate) proxies: Proxies,
    pub(crate) kept: Arc<Kept>,
    pub(crate) estimates: Arc<Estimates>,
    pub(crate) dashboard: Arc<Files>,
    pub(crate) spent: Arc<Spent>,
    /// What keeps tenants' keys; none where there is no master key.
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) retention: Days,
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

/// A company's identity server, by which its people sign in.
#[derive(Clone, Debug)]
pub struct IdentityServer {
    /// What people know it by: "Sign in with …".
    pub name: String,
    /// The server.
    pub provider: Provider,
}

impl State {
    /// The state of one process. Metrics of the API are added to `registry`,
    /// which `/metrics` shows whole; [`Hint::forward`] must run beside the
    /// router, or workers hear of new jobs a few seconds later.
    pub fn new(
        tenants: Tenants,
        operators: Operators,
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
            operators,
            prices,
            observed: Observed { tenants, registry },
            hint,
            upstream: Arc::new(upstream),
            catalog: Arc::default(),
            known: Arc::default(),
            requests,
            room: Arc::default(),
            allowance: Arc::default(),
            kept: Arc::default(),
            estimates: Arc::default(),
            dashboard: Arc::new(Files::embedded()),
            spent: Arc::default(),
            vault: None,
            retention: Days::default(),
            hub,
            public_url: None,
            identity_server: None,
            proxies: Proxies::default(),
        }
    }

    /// By which browsers reach this server, where that is known.
    pub(crate) fn public_url(&self) -> Option<&Origin> {
        self.public_url.as_deref()
    }

    /// Whether browsers reach this server by HTTPS, as far as that is known.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url()
            .is_some_and(|own| own.as_str().starts_with("https://"))
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

    /// Who says who somebody is, where that is set up.
    pub(crate) fn identity_server(&self) -> Option<&IdentityServer> {
        self.identity_server.as_deref()
    }

    /// The same with an identity server by which people may sign in.
    #[must_use]
    pub fn with_identity_server(self, server: Option<IdentityServer>) -> Self {
        Self {
            identity_server: server.map(Arc::new),
            ..self
        }
    }

    /// The same behind proxies of these networks: what they say of who asked is believed.
    #[must_use]
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// The same with master keys, under which tenants' own keys are kept.
    #[must_use]
    pub fn with_vault(self, vault: Option<Arc<Vault>>) -> Self {
        Self { vault, ..self }
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

    /// The same where what tenants have not said themselves is kept for this long.
    #[must_use]
    pub fn with_retention(self, retention: Days) -> Self {
        Self { retention, ..self }
    }

    /// The same with limits for each tenant that has none of its own, and of how often
    /// one address may try to sign in.
    #[must_use]
    pub fn with_limits(self, limits: Limits, sign_ins: Rate) -> Self {
        Self {
            allowance: Arc::new(Allowance::new(limits, sign_ins)),
            ..self
        }
    }
}

/// A random source of the operating system's seed. The one place of this crate
/// where randomness begins: rules take it from here as a parameter.
pub(crate) fn rng() -> StdRng {
    rand::make_rng()
}
