//! The API as programs meet it: a world with its HTTP side on loopback.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it cannot go on"
)]

use std::sync::{Arc, Mutex};

use anyhow::Result;
use offpeak_api::{Hint, Hub, LiveOptions, Patience, State, Upstream};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_domain::limits::Limits;
use offpeak_domain::rate::Rate;
use offpeak_domain::scope::Scopes;
use offpeak_domain::{job_type, price::Prices};
use offpeak_store::{Operators, Options, Tenants, api_key, tenant, upstream};
use offpeak_testkit::world::World;
use prometheus_client::registry::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Body, Client, Method};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A served world, and a key to it.
pub(crate) struct Api {
    pub(crate) world: World,
    pub(crate) url: String,
    metrics_url: String,
    /// Of the world's own tenant.
    pub(crate) key: String,
    http: Client,
    rng: StdRng,
    serving: DropGuard,
}

/// What came back, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The value at a pointer, as text without quotes.
    pub(crate) fn at(&self, pointer: &str) -> String {
        match self.json().pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => panic!("nothing at {pointer}: {self:?}"),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// Status and code of a problem, and where its first fault is.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let json = self.json();
        assert_eq!(json["status"], self.status);
        let first = &json["errors"][0];
        let place = match (&first["line"], first["field"].as_str()) {
            (_, None) => String::new(),
            (Value::Null, Some(field)) => format!(" {field:?} {}", first["code"]),
            (line, Some(field)) => format!(" line {line} {field:?} {}", first["code"]),
        };
        format!(
            "{} {}{place}",
            self.status,
            json["code"].as_str().unwrap_or("?")
        )
    }

    /// The lines of an NDJSON answer.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        assert!(self.text.is_empty() || self.text.ends_with('\n'));
        self.text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}

impl Api {
    pub(crate) async fn new() -> Result<Self> {
        Self::with_limits(Limits::default()).await
    }

    /// One with limits of what a tenant may take.
    pub(crate) async fn with_limits(limits: impl Into<Limits>) -> Result<Self> {
        Self::with(limits.into(), LiveOptions::default()).await
    }

    /// One whose live connections behave like this.
    pub(crate) async fn with_live(live: LiveOptions) -> Result<Self> {
        Self::with(Limits::default(), live).await
    }

    /// One with other prices.
    pub(crate) async fn priced(prices: Prices) -> Result<Self> {
        let world = World::priced(prices).await?;
        Self::over(world, Limits::default(), LiveOptions::default()).await
    }

    /// One whose new content is plain.
    pub(crate) async fn plain() -> Result<Self> {
        let world = World::plain(offpeak_worker::Options::default()).await?;
        Self::over(world, Limits::default(), LiveOptions::default()).await
    }

    pub(crate) async fn with(limits: Limits, live: LiveOptions) -> Result<Self> {
        Self::over(World::new().await?, limits, live).await
    }

    async fn over(world: World, limits: Limits, live: LiveOptions) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(11);
        let mut tx = world.system.begin().await?;
        offpeak_store::job_type::seed_shipped(&mut tx, &job_type::shipped()?).await?;
        tx.commit().await?;
        let key = key_for(&world, world.tenant, &mut rng).await?;

        let (url, metrics_url, serving) =
            serve(&world, limits, live, Patience::default(), None).await?;
        // The world's own client has installed the TLS provider that this one asks for.
        let http = Client::builder().no_proxy().build()?;
        Ok(Self {
            world,
            url,
            metrics_url,
            key,
            http,
            rng,
            serving,
        })
    }

    /// The same after a restart, with other limits.
    pub(crate) async fn again(&mut self, limits: impl Into<Limits>) -> Result<()> {
        let live = LiveOptions::default();
        self.restart(limits.into(), live, Patience::default(), None)
            .await
    }

    /// The same after a restart, with live connections that behave like this.
    pub(crate) async fn live_again(&mut self, live: LiveOptions) -> Result<()> {
        self.restart(Limits::default(), live, Patience::default(), None)
            .await
    }

    /// The same, with live connections that have their own way to the database.
    pub(crate) async fn live_through(&mut self, way: Tenants, live: LiveOptions) -> Result<()> {
        self.restart(Limits::default(), live, Patience::default(), Some(way))
            .await
    }

    /// The same after a restart, as patient with slow clients.
    pub(crate) async fn patient(&mut self, patience: Patience) -> Result<()> {
        let live = LiveOptions::default();
        self.restart(Limits::default(), live, patience, None).await
    }

    async fn restart(
        &mut self,
        limits: Limits,
        live: LiveOptions,
        patience: Patience,
        way: Option<Tenants>,
    ) -> Result<()> {
        (self.url, self.metrics_url, self.serving) =
            serve(&self.world, limits, live, patience, way).await?;
        Ok(())
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let asked = self.http.get(&self.metrics_url).send().await?;
        Ok(asked.text().await?)
    }

    /// Whether it says a line.
    pub(crate) async fn measures(&self, line: &str) -> Result<bool> {
        let shown = self.metrics().await?;
        Ok(shown.lines().any(|one| one == line))
    }

    /// For requests of another form.
    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    /// Stops the server, as the process does.
    pub(crate) fn stop(&mut self) {
        self.serving = CancellationToken::new().drop_guard();
    }

    /// Another tenant with a key.
    pub(crate) async fn tenant(&mut self, name: &str) -> Result<(TenantId, String)> {
        let mut tx = self.world.system.begin().await?;
        let id = Minter::new(tx.now(), &mut self.rng).mint();
        assert!(tenant::create(&mut tx, id, name).await?);
        tx.commit().await?;
        Ok((id, key_for(&self.world, id, &mut self.rng).await?))
    }

    /// Another key of the world's own tenant.
    pub(crate) async fn another_key(&mut self) -> Result<String> {
        key_for(&self.world, self.world.tenant, &mut self.rng).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &self.key, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Result<Answer> {
        self.send(Method::POST, path, &self.key, &[], body).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        header: (&'static str, &str),
        body: impl Into<Body>,
    ) -> Result<Answer> {
        self.send(Method::POST, path, &self.key, &[header], body)
            .await
    }

    /// Any request; an empty key means none.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Body>,
    ) -> Result<Answer> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .body(body);
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), *value);
        }
        let answer = request.send().await?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await?,
        })
    }
}

/// Serves the world on loopback until the guard is dropped.
async fn serve(
    world: &World,
    limits: Limits,
    live: LiveOptions,
    patience: Patience,
    way: Option<Tenants>,
) -> Result<(String, String, DropGuard)> {
    let hint = Hint::default();
    let registry = Arc::new(Mutex::new(Registry::default()));
    let state = State::new(
        world.tenants.clone(),
        Operators::new(&Options::new(world.connect.clone())),
        Arc::new(world.prices.clone()),
        Arc::clone(&registry),
        hint.clone(),
        Upstream {
            id: upstream::OWN,
            name: "stand-in".into(),
            standin: true,
            flush_after: std::time::Duration::from_mins(1),
            poll_every: std::time::Duration::from_mins(1),
            escalate_before: std::time::Duration::from_mins(2),
        },
    );
    let bind = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        anyhow::Ok((listener, url))
    };
    let (listener, url) = bind().await?;
    let (watched, watched_url) = bind().await?;
    let stop = CancellationToken::new();
    tokio::spawn(hint.forward(world.tenants.clone(), stop.clone()));
    let way = way.unwrap_or_else(|| world.tenants.clone());
    let hub = Hub::new(way, live, stop.clone());
    let router = offpeak_api::router(
        state
            .with_limits(limits, Rate::default())
            .with_vault(Some(Arc::clone(&world.vault)))
            .with_live(hub),
    );
    let served = offpeak_api::serve(listener, router, patience.clone(), stop.clone());
    tokio::spawn(served);
    let router = offpeak_api::observe_router(world.tenants.clone(), registry);
    tokio::spawn(offpeak_api::serve(watched, router, patience, stop.clone()));
    Ok((url, format!("{watched_url}/metrics"), stop.drop_guard()))
}

async fn key_for(world: &World, tenant: TenantId, rng: &mut StdRng) -> Result<String> {
    let key = ApiKey::generate(&mut *rng);
    let mut tx = world.system.begin().await?;
    let id = Minter::new(tx.now(), rng).mint();
    let new = api_key::New {
        id,
        name: "test",
        hint: &key.hint(),
        digest: &key.digest(),
        scopes: Scopes::all(),
        lifetime: None,
    };
    api_key::create(&mut tx, tenant, &new).await?;
    tx.commit().await?;
    Ok(key.expose().to_owned())
}

/// The text of a raw job around a prompt.
pub(crate) fn raw_job(prompt: &str) -> String {
    let params = String::from_utf8(offpeak_testkit::world::params(prompt)).expect("UTF-8");
    format!(r#"{{"params":{params}}}"#)
}
