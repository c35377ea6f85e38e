//! `offpeak serve` in a child process: what a bench of the API talks to.

use anyhow::{Context as _, Result, bail};
use offpeak::config::Role;
use offpeak::engine::{Engine, Parts, Upstream, listen};

use crate::child::{self, Child};

const PART: &str = "serve";

/// How a child serves.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The database.
    pub url: &'a str,
    /// `api`, `worker` or `all`.
    pub role: &'a str,
    /// Where jobs are sent.
    pub upstream: &'a str,
    /// Seconds after which a batch is closed for want of more.
    pub idle_after: u64,
    /// Seconds from a create to the first look, and between two looks.
    pub poll: u64,
    /// Megabytes that a batch may have.
    pub megabytes: u64,
}

impl<'a> Settings<'a> {
    /// An API alone.
    pub fn api(url: &'a str) -> Self {
        Self {
            url,
            role: "api",
            upstream: "http://127.0.0.1:1",
            idle_after: 1,
            poll: 1,
            megabytes: 64,
        }
    }
}

/// Starts a server; gives it and its URL.
pub async fn start(settings: &Settings<'_>) -> Result<(Child, String)> {
    let idle = settings.idle_after.to_string();
    let poll = settings.poll.to_string();
    let megabytes = settings.megabytes.to_string();
    let mut child = Child::start(&[
        PART,
        settings.url,
        settings.role,
        settings.upstream,
        &idle,
        &poll,
        &megabytes,
    ])?;
    let url = child.hear().await?;
    Ok((child, url))
}

/// Plays the child, if this process is one that serves.
pub async fn play() -> Result<bool> {
    let Some(part) = child::part() else {
        return Ok(false);
    };
    let [name, url, role, upstream, idle, poll, megabytes] = &part[..] else {
        return Ok(false);
    };
    if name != PART {
        return Ok(false);
    }
    let role = match role.as_str() {
        "api" => Role::Api,
        "worker" => Role::Worker,
        "all" => Role::All,
        other => bail!("no role {other}"),
    };
    let listener = listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut worker = offpeak_worker::Options::default();
    worker.limits.idle_after = std::time::Duration::from_secs(idle.parse()?);
    worker.limits.max_bytes = megabytes.parse::<u64>()? * 1_000_000;
    worker.limits.max_items = 100_000;
    worker.first_poll = std::time::Duration::from_secs(poll.parse()?);
    worker.poll_every = worker.first_poll;
    let mut engine = Engine::start(Parts {
        store: offpeak_store::Options::new(url.parse().context("the database's URL")?),
        role,
        prices: offpeak_domain::price::Prices::shipped()?,
        listener: role.has_api().then_some(listener),
        observed: None,
        patience: offpeak_api::Patience::default(),
        upstream: Upstream {
            name: "bench".to_owned(),
            base_url: upstream.clone(),
            key: "sk-ant-bench".to_owned().into(),
            standin: true,
            creates_per_minute: 10_000,
            max_queued_items: 1_000_000,
        },
        vault: None,
        worker,
        limits: offpeak_domain::limits::Limits::default(),
        sign_ins: offpeak_domain::rate::Rate::default(),
        live: offpeak_api::LiveOptions::default(),
        public_url: None,
        proxies: offpeak_api::Proxies::default(),
        identity_server: None,
    })
    .await?;
    crate::print(format_args!("http://{address}"));
    let mut orders = child::orders();
    tokio::select! {
        // Whoever started us is done, or gone.
        () = async { while orders.recv().await.is_some() {} } => {}
        error = engine.broke() => return Err(error),
    }
    engine.stop().await;
    Ok(true)
}
