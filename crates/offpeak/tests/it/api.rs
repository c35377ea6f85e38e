//! The API as programs meet it: a world with its HTTP side on loopback.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it cannot go on"
)]

use std::sync::{Arc, Mutex};

use anyhow::Result;
use offpeak_api::{Hint, Hub, LiveOptions, State, Upstream};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_domain::room::Queue;
use offpeak_domain::{job_type, price::Prices};
use offpeak_store::{Tenants, api_key, tenant, upstream};
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
        Self::with_limits(Queue::default()).await
    }

    /// One with limits of what a tenant may have waiting.
    pub(crate) async fn with_limits(limits: Queue) -> Result<Self> {
        Self::with(limits, LiveOptions::default()).await
    }

    /// One whose live connections behave like this.
    pub(crate) async fn with_live(live: LiveOptions) -> Result<Self> {
        Self::with(Queue::default(), live).await
    }

    /// One with other prices.
    pub(crate) async fn priced(prices: Prices) -> Result<Self> {
        let world = World::priced(prices).await?;
        Self::over(world, Queue::default(), LiveOptions::default()).await
    }

    async fn with(limits: Queue, live: LiveOptions) -> Result<Self> {
        Self::over(World::new().await?, limits, live).await
    }

    async fn over(world: World, limits: Queue, live: LiveOptions) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(11);
        let mut tx = world.system.begin().await?;
        offpeak_store::job_type::seed_shipped(&mut tx, &job_type::shipped()?).await?;
        tx.commit().await?;
        let key = key_for(&world, world.tenant, &mut rng).await?;

        let (url, serving) = serve(&world, limits, live, None).await?;
        // The world's own client has installed the TLS provider that this one asks for.
        let http = Client::builder().no_proxy().build()?;
        Ok(Self {
            world,
            url,
            key,
            http,
            rng,
            serving,
        })
    }

    /// The same after a restart, with other limits.
    pub(crate) async fn again(&mut self, limits: Queue) -> Result<()> {
        (self.url, self.serving) = serve(&self.world, limits, LiveOptions::default(), None).await?;
        Ok(())
    }

    /// The same after a restart, with live connections that behave like this.
    pub(crate) async fn live_again(&mut self, live: LiveOptions) -> Result<()> {
        (self.url, self.serving) = serve(&self.world, Queue::default(), live, None).await?;
        Ok(())
    }

    /// The same, with live connections that have their own way to the database.
    pub(crate) async fn live_through(&mut self, way: Tenants, live: LiveOptions) -> Result<()> {
        (self.url, self.serving) = serve(&self.world, Queue::default(), live, Some(way)).await?;
        Ok(())
    }

    /// What `/metrics` says: a line of it.
    pub(crate) async fn measures(&self, line: &str) -> Result<bool> {
        let shown = self.get("/metrics").await?.text;
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
    limits: Queue,
    live: LiveOptions,
    way: Option<Tenants>,
) -> Result<(String, DropGuard)> {
    let hint = Hint::default();
    let state = State::new(
        world.tenants.clone(),
        Arc::new(world.prices.clone()),
        Arc::new(Mutex::new(Registry::default())),
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
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    tokio::spawn(hint.forward(world.tenants.clone(), stop.clone()));
    let way = way.unwrap_or_else(|| world.tenants.clone());
    let hub = Hub::new(way, live, stop.clone());
    let router = offpeak_api::router(state.with_limits(limits).with_live(hub));
    tokio::spawn(offpeak_api::serve(listener, router, stop.clone()));
    Ok((url, stop.drop_guard()))
}

async fn key_for(world: &World, tenant: TenantId, rng: &mut StdRng) -> Result<String> {
    let key = ApiKey::generate(&mut *rng);
    let mut tx = world.system.begin().await?;
    let id = Minter::new(tx.now(), rng).mint();
    api_key::create(&mut tx, tenant, id, "test", &key.hint(), &key.digest()).await?;
    tx.commit().await?;
    Ok(key.expose().to_owned())
}

/// The text of a raw job around a prompt.
pub(crate) fn raw_job(prompt: &str) -> String {
    let params = String::from_utf8(offpeak_testkit::world::params(prompt)).expect("UTF-8");
    format!(r#"{{"params":{params}}}"#)
}
