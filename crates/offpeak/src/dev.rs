//! `offpeak dev`: everything on this machine with nothing to configure.
//!
//! What it never does: pass the stand-in off as Anthropic. If it dies by
//! `kill -9`, its PostgreSQL lives on and is adopted, the stand-in's state is on
//! disk, and the next start goes on with every job.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use offpeak_standin::Standin;
use offpeak_store::{System, Tenants, data_key};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{TARGET_FILE, Target};
use crate::config::{Config, Environment, Role};
use crate::engine::{self, Engine, Parts, Upstream};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::postgres::{self, Postgres};
use crate::{entropy, reach, seed, serve, signals};

/// Between two looks of the stand-in at batches that nobody asks for.
const STANDIN_TICK: Duration = Duration::from_millis(500);

/// Everything that `offpeak dev` runs.
#[derive(Debug)]
pub struct Dev {
    /// How to reach it.
    pub target: Target,
    /// One line on where the data is.
    pub database: String,
    folder: Folder,
    engine: Engine,
    postgres: Option<Postgres>,
    standin: Option<(CancellationToken, JoinHandle<()>)>,
}

/// With a real key the data is kept apart: what the stand-in answered must
/// never be asked for, or counted, at Anthropic.
pub fn data_folder(config: &Config) -> PathBuf {
    if config.anthropic.api_key.is_some() {
        config.dev.data.join("live")
    } else {
        config.dev.data.clone()
    }
}

impl Dev {
    /// Starts it all, or undoes it when told to stop meanwhile: then `None`.
    pub async fn start_unless_stopped(
        config: &Config,
        environment: &Environment,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Option<Self>, Failure> {
        let mut starting = pin!(Self::start(config, environment, say));
        tokio::select! {
            started = &mut starting => started.map(Some).map_err(Failure::start),
            () = signals::stop() => {
                say("stopping as soon as all is up; a second Ctrl-C ends it at once");
                // Cut short it would leave a server behind.
                if let Ok(dev) = starting.await {
                    dev.stop().await.map_err(Failure::server)?;
                }
                Ok(None)
            }
        }
    }

    /// Starts it all. `say` gets lines for the person.
    pub async fn start(
        config: &Config,
        environment: &Environment,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> anyhow::Result<Self> {
        // What is wrong with the settings is said before anything is taken.
        config.prices.list()?;
        config.oidc.server(config.server.public_url.as_ref())?;
        let folder = Folder::take(&data_folder(config))?;
        // Before anything runs: a taken port is the most likely trouble.
        let listener = engine::listen(&config.server.listen).await?;
        let url = format!("http://{}", reachable(&listener)?);

        let (postgres, database_url, database) =
            database(config, environment, &folder, say).await?;
        let observed = engine::observed(&config.server.metrics_listen, say).await;
        let listeners = (listener, observed);
        let started =
            Self::on_database(config, folder, listeners, &url, &database_url, database).await;
        match started {
            Ok(dev) => Ok(Self { postgres, ..dev }),
            Err(error) => {
                if let Some(postgres) = postgres {
                    postgres.stop().await?;
                }
                Err(error)
            }
        }
    }

    async fn on_database(
        config: &Config,
        folder: Folder,
        (listener, observed): (TcpListener, Option<TcpListener>),
        url: &str,
        database_url: &SecretString,
        database: String,
    ) -> anyhow::Result<Self> {
        let mut store = serve::store_options(config, database_url)?;
        offpeak_store::migrate(&store.connect)
            .await
            .context("setting up the database")?;
        let (system, tenants) = (System::new(&store), Tenants::new(&store));
        reach::schema(&system).await?;
        reach::walls(&store).await?;
        let vault = match config.vault.open()? {
            Some(vault) => vault,
            None => seed::vault(&folder)?,
        };
        store.sealer = config.vault.sealer(Some(&vault))?;
        data_key::check(&system, Some(&vault)).await?;
        seed::job_types(&system).await?;
        let key = seed::demo_key(&folder, &system, &tenants).await?;
        tenants.close().await;
        system.close().await;

        let (standin, upstream) = if config.anthropic.api_key.is_some() {
            let upstream = serve::upstream(config)?;
            config.reliability.check_for(&upstream.base_url)?;
            (None, upstream)
        } else {
            let (standin, upstream) = standin(config, folder.path()).await?;
            (Some(standin), upstream)
        };
        let standin_url = upstream.standin.then(|| upstream.base_url.clone());
        let mut worker = serve::worker_options(config);
        worker.data_folder = (config.database.url.is_none()).then(|| folder.path().to_owned());
        if upstream.standin {
            hurry(&mut worker, config);
        }
        let parts = Parts {
            store,
            role: Role::All,
            prices: config.prices.list()?,
            listener: Some(listener),
            observed,
            patience: config.server.patience(),
            upstream,
            vault: Some(vault),
            worker,
            limits: config.tenant_limits(),
            sign_ins: config.limits.sign_ins(),
            live: config.live.options(),
            public_url: config.server.public_url.clone(),
            proxies: config.server.trusted_proxies.clone(),
            identity_server: config.oidc.server(config.server.public_url.as_ref())?,
        };
        let engine = Engine::start(parts).await?;
        let target = Target {
            url: url.to_owned(),
            key: key.expose().to_owned(),
            pid: std::process::id(),
            standin_url,
            database_url: Some(database_url.expose_secret().to_owned()),
        };
        folder.write_private(TARGET_FILE, &serde_json::to_string_pretty(&target)?)?;
        Ok(Self {
            target,
            database,
            folder,
            engine,
            postgres: None,
            standin,
        })
    }

    /// Waits until something ends that should not.
    pub async fn broke(&mut self) -> anyhow::Error {
        let database = async {
            match &mut self.postgres {
                Some(postgres) => postgres.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.engine.broke() => error,
            () = database => anyhow::anyhow!(
                "PostgreSQL ended; its log is postgres.log in the data folder"
            ),
        }
    }

    /// Stops everything, in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.folder.remove(TARGET_FILE);
        self.engine.stop().await;
        if let Some((stop, task)) = self.standin {
            stop.cancel();
            task.await.context("the stand-in")?;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(())
    }
}

/// The configured database, or a private one.
async fn database(
    config: &Config,
    environment: &Environment,
    folder: &Folder,
    say: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<(Option<Postgres>, SecretString, String)> {
    if let Some(url) = &config.database.url {
        return Ok((
            None,
            url.clone(),
            "the one that DATABASE_URL names".to_owned(),
        ));
    }
    let options = postgres::Options::from_config(config, environment, true);
    let postgres = Postgres::start(folder, &options, &mut entropy::source()?, say).await?;
    let place = format!(
        "private, in {} (process {})",
        postgres.cluster().display(),
        postgres.pid()
    );
    let url = SecretString::from(postgres.url());
    Ok((Some(postgres), url, place))
}

type Running = (CancellationToken, JoinHandle<()>);

/// The stand-in on a free port of this machine.
async fn standin(config: &Config, data: &Path) -> anyhow::Result<(Running, Upstream)> {
    let standin = Standin::open(offpeak_standin::Options {
        turnaround: config.dev.turnaround_min..config.dev.turnaround_max,
        ..offpeak_standin::Options::new(data.join("standin"))
    })?;
    let listener = engine::listen("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_standin(standin, listener, stop.clone()));
    let upstream = Upstream {
        name: "stand-in".to_owned(),
        base_url,
        key: SecretString::from("sk-ant-standin-of-offpeak-dev".to_owned()),
        standin: true,
        creates_per_minute: config.anthropic.creates_per_minute,
        max_queued_items: config.anthropic.max_queued_items,
    };
    Ok(((stop, task), upstream))
}

/// Serves a stand-in until told to stop, ending batches whose time has come.
pub async fn run_standin(standin: Standin, listener: TcpListener, stop: CancellationToken) {
    let ticking = standin.clone();
    let stop_ticking = stop.clone();
    let ticks = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(STANDIN_TICK);
        while stop_ticking
            .run_until_cancelled(ticks.tick())
            .await
            .is_some()
        {
            ticking.settle_due().await;
        }
    });
    if let Err(error) = standin.serve(listener, stop.cancelled_owned()).await {
        tracing::error!(%error, "the stand-in's server ended");
    }
    let _ = ticks.await;
}

/// Times that suit the stand-in, which answers in seconds and whose list shows
/// a batch as soon as it is stored.
fn hurry(worker: &mut offpeak_worker::Options, config: &Config) {
    let shorter = |time: &mut Duration, limit: Duration| *time = (*time).min(limit);
    // Small enough that a try-out shows several batches.
    worker.limits.max_items = worker.limits.max_items.min(250);
    shorter(&mut worker.limits.flush_after, Duration::from_secs(5));
    shorter(&mut worker.limits.idle_after, Duration::from_secs(1));
    shorter(&mut worker.first_poll, config.dev.turnaround_min);
    shorter(&mut worker.poll_every, Duration::from_secs(1));
    shorter(&mut worker.send_within, Duration::from_secs(10));
    shorter(&mut worker.escalate_before, Duration::from_secs(5));
    shorter(&mut worker.settle_time, Duration::from_secs(5));
    shorter(&mut worker.list_every, Duration::from_secs(1));
    shorter(&mut worker.list_later, Duration::from_secs(5));
    shorter(&mut worker.sweep_every, Duration::from_mins(1));
    shorter(&mut worker.lease, Duration::from_secs(5));
    // It is nobody else's.
    worker.dedicated_workspace = true;
}

/// The address as one can write it into a URL: a wildcard is reached locally.
fn reachable(listener: &TcpListener) -> std::io::Result<std::net::SocketAddr> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}
