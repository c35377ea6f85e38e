//! API and worker of one process, wired together and stopped in order.
//!
//! What it never does: decide what to run with; that is given. If the process
//! dies here, what was accepted is in the database and any other process, or
//! this one's next start, goes on with it.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use offpeak_anthropic::Client;
use offpeak_domain::limits::Limits;
use offpeak_domain::origin::Origin;
use offpeak_domain::price::Prices;
use offpeak_domain::rate::Rate;
use offpeak_domain::vault::Vault;
use offpeak_store::{Operators, System, Tenants, upstream};
use offpeak_worker::{Clock, Worker};
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Role;
use crate::{dashboard, entropy, open_files};

/// How long requests that are under way may go on after the stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// How long those who watch may take.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Connections of those who watch.
const OBSERVERS: usize = 100;

/// How long live connections may take to say goodbye.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where jobs are sent.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// For a person.
    pub name: String,
    /// Scheme, host and port.
    pub base_url: String,
    /// The credential.
    pub key: SecretString,
    /// Whether it is the local stand-in.
    pub standin: bool,
    /// Batches created in a minute, at most.
    pub creates_per_minute: u32,
    /// Requests waiting there, at most.
    pub max_queued_items: u64,
}

/// What a process runs with.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: offpeak_store::Options,
    /// API, worker or both.
    pub role: Role,
    /// What everything is priced by.
    pub prices: Prices,
    /// Of the API, where the role has one. Bound already, so that a taken port is found
    /// before anything runs.
    pub listener: Option<TcpListener>,
    /// Of metrics and health.
    pub observed: Option<TcpListener>,
    /// How many connections the API may have, and how slow each.
    pub patience: offpeak_api::Patience,
    /// Where jobs are sent.
    pub upstream: Upstream,
    /// Master keys, under which tenants' own keys are kept.
    pub vault: Option<Arc<Vault>>,
    /// How the loops behave.
    pub worker: offpeak_worker::Options,
    /// What a tenant may take that has no limits of its own.
    pub limits: Limits,
    /// How often one address may try to sign in.
    pub sign_ins: Rate,
    /// How live connections behave.
    pub live: offpeak_api::LiveOptions,
    /// By which browsers reach it, where that is not its own address.
    pub public_url: Option<Origin>,
    /// Networks whose proxies say truly who asks.
    pub proxies: offpeak_api::Proxies,
    /// By which people may sign in, if one is set up.
    pub identity_server: Option<offpeak_api::IdentityServer>,
}

/// A process that answers and works until it is stopped.
#[derive(Debug)]
pub struct Engine {
    tenants: Tenants,
    live_tenants: Tenants,
    system: System,
    api: JoinHandle<anyhow::Result<()>>,
    observing: JoinHandle<anyhow::Result<()>>,
    worker: JoinHandle<()>,
    hints: JoinHandle<()>,
    live: offpeak_api::Hub,
    stop_api: CancellationToken,
    stop_worker: CancellationToken,
}

impl Engine {
    /// Starts everything that the role asks for.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            store,
            role,
            prices,
            listener,
            observed,
            mut patience,
            upstream: chosen,
            vault,
            worker: options,
            limits,
            sign_ins,
            live,
            public_url,
            proxies,
            identity_server,
        } = parts;
        if listener.is_some() {
            let allowed = open_files::raise().context("raising the limit of open files")?;
            patience.connections = open_files::connections(allowed, patience.connections);
            if let Err(short) = open_files::check(allowed, live.max_connections) {
                tracing::warn!("{short}");
            }
            dashboard::tell();
        }
        let retention = options.retention;
        let tenants = Tenants::new(&store);
        let system = System::new(&store);
        upstream::register(
            &system,
            &chosen.name,
            &chosen.base_url,
            chosen.creates_per_minute,
            chosen.max_queued_items,
        )
        .await
        .map_err(|error| match error {
            offpeak_store::Error::OtherUpstream { .. } => anyhow::Error::new(error),
            other if other.is_transient() => {
                anyhow::Error::new(other).context("the database does not answer: start again")
            }
            other => anyhow::Error::new(other)
                .context("the database is not ready for this version: run `offpeak migrate`"),
        })?;

        let registry = Arc::new(Mutex::new(Registry::default()));
        let stop_api = CancellationToken::new();
        let stop_worker = CancellationToken::new();

        let flush_after = options.limits.flush_after;
        let (poll_every, escalate_before) = (options.poll_every, options.escalate_before);
        let worker = if role.has_worker() {
            let client = Client::new(offpeak_anthropic::Config::new(
                chosen.base_url.clone(),
                chosen.key.clone(),
            ))
            .context("ANTHROPIC_BASE_URL or ANTHROPIC_API_KEY")?;
            let worker = Worker::new(
                system.clone(),
                offpeak_worker::Keys {
                    upstreams: vec![offpeak_worker::Upstream::new(upstream::OWN, client)],
                    vault: vault.clone(),
                },
                prices.clone(),
                options,
                Clock::Database(system.clone()),
                entropy::source()?,
                &mut registry.lock().unwrap_or_else(PoisonError::into_inner),
            );
            let stop = stop_worker.clone();
            tokio::spawn(async move { worker.run(stop).await })
        } else {
            let stop = stop_worker.clone();
            tokio::spawn(async move { stop.cancelled().await })
        };

        let hint = offpeak_api::Hint::default();
        let hints = tokio::spawn(hint.clone().forward(tenants.clone(), stop_worker.clone()));
        let stop = stop_api.clone();
        let mut of_live = store.clone();
        of_live.max_connections = offpeak_api::Hub::CONNECTIONS;
        let live_tenants = Tenants::new(&of_live);
        let live = offpeak_api::Hub::new(live_tenants.clone(), live, stop_api.clone());
        let observing = observed.map(|listener| {
            let router = offpeak_api::observe_router(tenants.clone(), Arc::clone(&registry));
            let patience = offpeak_api::Patience {
                connections: OBSERVERS,
                ..offpeak_api::Patience::default()
            };
            // As long as anything runs.
            offpeak_api::serve(listener, router, patience, stop_worker.clone())
        });
        let api = listener.map(|listener| {
            let state = offpeak_api::State::new(
                tenants.clone(),
                Operators::new(&store),
                Arc::new(prices),
                registry,
                hint,
                offpeak_api::Upstream {
                    id: upstream::OWN,
                    name: chosen.name,
                    standin: chosen.standin,
                    flush_after,
                    poll_every,
                    escalate_before,
                },
            );
            let state = state
                .with_limits(limits, sign_ins)
                .with_vault(vault)
                .with_public_url(public_url)
                .with_proxies(proxies)
                .with_retention(retention)
                .with_identity_server(identity_server)
                .with_live(live.clone());
            offpeak_api::serve(listener, offpeak_api::router(state), patience, stop.clone())
        });
        let observing = tokio::spawn(serving(observing, stop_worker.clone()));
        let api = tokio::spawn(serving(api, stop));
        Ok(Self {
            tenants,
            live_tenants,
            system,
            api,
            observing,
            worker,
            hints,
            live,
            stop_api,
            stop_worker,
        })
    }

    /// Waits until something ends that should not.
    pub async fn broke(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.api => served(ended),
            ended = &mut self.observing => served(ended),
            ended = &mut self.worker => match ended {
                Ok(()) => anyhow::anyhow!("the worker ended"),
                Err(error) => anyhow::Error::new(error).context("the worker"),
            },
            // Hints alone are no reason to stop.
            never = pending() => never,
        }
    }

    /// Stops in order: no new requests, the last ones answered, the loops at
    /// the end of their tick, the connections.
    pub async fn stop(self) {
        let Self {
            tenants,
            live_tenants,
            system,
            mut api,
            mut observing,
            worker,
            hints,
            live,
            stop_api,
            stop_worker,
        } = self;
        stop_api.cancel();
        // A WebSocket is no request any more: nobody else waits for its last words.
        if tokio::time::timeout(LAST_WORDS, live.ended())
            .await
            .is_err()
        {
            tracing::warn!("live connections were still open after {LAST_WORDS:?}");
        }
        if !api.is_finished() && tokio::time::timeout(LAST_REQUESTS, &mut api).await.is_err() {
            tracing::warn!("requests were still under way after {LAST_REQUESTS:?}");
            api.abort();
        }
        stop_worker.cancel();
        if tokio::time::timeout(LAST_LOOK, &mut observing)
            .await
            .is_err()
        {
            observing.abort();
        }
        for task in [worker, hints] {
            if !task.is_finished() {
                // A task that panicked has been reported where it did.
                let _ = task.await;
            }
        }
        tenants.close().await;
        live_tenants.close().await;
        system.close().await;
    }
}

/// Serves, or waits for the stop where there is nothing to serve.
async fn serving(
    server: Option<impl Future<Output = std::io::Result<()>>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if let Some(server) = server {
        return server.await.context("the HTTP server");
    }
    stop.cancelled().await;
    Ok(())
}

/// Why a server is no more that should be.
fn served(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("the HTTP server ended"),
        Ok(Err(error)) => error,
        Err(error) => anyhow::Error::new(error).context("the HTTP server"),
    }
}

/// Takes the address of metrics and health; says where none are.
pub async fn observed(address: &str, say: impl Fn(&str)) -> Option<TcpListener> {
    if address.is_empty() {
        return None;
    }
    match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        // Work goes on without anybody looking at it.
        Err(error) => {
            say(&format!(
                "no /metrics here: cannot listen on {address}: {error}; choose another address by \
                 OFFPEAK_SERVER_METRICS_LISTEN (metrics_listen in [server])"
            ));
            None
        }
    }
}

/// Takes the address, or says what to do about it being taken.
pub async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
                "{address} is taken by another program: stop that, or choose another address with \
             --listen, such as --listen 127.0.0.1:0 for any free port"
            ),
            _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
        })
}
