//! `offpeak serve`: API, worker or both, on a database that somebody else keeps.

use anyhow::Context as _;
use offpeak_store::{System, data_key};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::engine::{self, Engine, Parts, Upstream};
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;
use crate::reach::{self, Unreachable};
use crate::{seed, signals};

/// Runs until SIGTERM or Ctrl-C, then stops in order.
pub async fn run(config: &Config, output: Output) -> Ended {
    let mut engine = start(config, output).await.map_err(Failure::start)?;
    let ended = tokio::select! {
        () = signals::stop() => Ok(Exit::Ok),
        error = engine.broke() => Err(Failure::server(error)),
    };
    output.talk("stopping");
    engine.stop().await;
    ended
}

async fn start(config: &Config, output: Output) -> anyhow::Result<Engine> {
    let role = config.server.role;
    // What is wrong with the settings is said before anything is taken.
    let mut store = store_options(config, config.database_url()?)?;
    let upstream = upstream(config)?;
    config.reliability.check_for(&upstream.base_url)?;
    let prices = config.prices.list()?;
    let vault = config.vault.open()?;
    store.sealer = config.vault.sealer(vault.as_ref())?;
    let identity_server = if role.has_api() {
        config.oidc.server(config.server.public_url.as_ref())?
    } else {
        None
    };
    let listener = if role.has_api() {
        Some(engine::listen(&config.server.listen).await?)
    } else {
        None
    };
    reach::database(&store).await.map_err(Unreachable)?;
    let system = System::new(&store);
    system.now().await.map_err(|error| {
        let remedy = reach::remedy(&error.to_string(), &store);
        anyhow::Error::new(error).context(format!("the database refuses us: {remedy}"))
    })?;
    reach::schema(&system).await?;
    reach::walls(&store).await?;
    data_key::check(&system, vault.as_deref()).await?;
    seed::job_types(&system)
        .await
        .context("the shipped job types")?;
    system.close().await;
    let worker = worker_options(config);
    let say = |line: &str| output.talk(line);
    let observed = engine::observed(&config.server.metrics_listen, say).await;
    let address =
        |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    let (here, watched) = (address(&listener)?, address(&observed)?);
    let engine = Engine::start(Parts {
        store,
        role,
        prices,
        listener,
        observed,
        patience: config.server.patience(),
        upstream,
        vault,
        worker,
        limits: config.tenant_limits(),
        sign_ins: config.limits.sign_ins(),
        live: config.live.options(),
        public_url: config.server.public_url.clone(),
        proxies: config.server.trusted_proxies.clone(),
        identity_server,
    })
    .await?;
    if let Some(address) = watched {
        output.talk(&format!("/metrics and /healthz are on http://{address}"));
    }
    match here {
        Some(address) => output.talk(&format!("offpeak listens on http://{address}")),
        None => output.talk("offpeak's worker runs"),
    }
    Ok(engine)
}

/// The store's options from the configuration and a URL.
pub fn store_options(
    config: &Config,
    url: &SecretString,
) -> anyhow::Result<offpeak_store::Options> {
    // The library's own error would quote the URL, with its password.
    let connect = Some(url.expose_secret())
        .filter(|text| text.starts_with("postgres://") || text.starts_with("postgresql://"))
        .and_then(|text| text.parse().ok())
        .context("DATABASE_URL is not of the form postgres://user:password@host:port/database")?;
    let mut options = offpeak_store::Options::new(connect);
    options.max_connections = config.database.max_connections;
    Ok(options)
}

/// Anthropic's API with the configured key.
pub fn upstream(config: &Config) -> anyhow::Result<Upstream> {
    let anthropic = &config.anthropic;
    let key = match (&anthropic.api_key, config.server.role.has_worker()) {
        (Some(key), _) => key.clone(),
        // The API never calls Anthropic.
        (None, false) => SecretString::from(String::new()),
        (None, true) => anyhow::bail!(
            "no Anthropic key: set ANTHROPIC_API_KEY, or use `offpeak dev`, which brings a stand-in"
        ),
    };
    Ok(Upstream {
        name: "anthropic".to_owned(),
        base_url: config.base_url()?.to_owned(),
        key,
        standin: false,
        creates_per_minute: anthropic.creates_per_minute,
        max_queued_items: anthropic.max_queued_items,
    })
}

/// How the loops behave, by the configuration.
pub fn worker_options(config: &Config) -> offpeak_worker::Options {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = config.batch.max_items;
    options.limits.max_bytes = config.batch.max_bytes;
    options.limits.flush_after = config.batch.flush_after;
    options.limits.idle_after = config.batch.idle_after;
    options.first_poll = config.batch.first_poll;
    options.poll_every = config.batch.poll_every;
    options.parallel_calls = config.direct.parallel_calls;
    options.call_within = config.direct.call_within;
    options.escalate_before = config.direct.escalate_before;
    let reliability = &config.reliability;
    options.settle_time = reliability.settle_time;
    options.list_every = reliability.list_every;
    options.list_often_for = reliability.list_often_for;
    options.list_later = reliability.list_later;
    options.sweep_every = reliability.sweep_every;
    options.dedicated_workspace = reliability.dedicated_workspace;
    options.max_uncertain = reliability.max_uncertain;
    options.overloaded_is_uncertain = reliability.overloaded_is_uncertain;
    options.send_within = reliability.send_within;
    options.lease = reliability.lease;
    options.idle = reliability.idle;
    options.retention = config.retention.days();
    options.storage.max_database_bytes = config.limits.max_database_bytes;
    options.storage.min_free_bytes = config.limits.min_free_bytes;
    options
}
