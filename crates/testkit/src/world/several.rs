//! Several workers and several upstreams in one world.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use offpeak_anthropic::{Client, Config};
use offpeak_domain::id::{BatchId, TenantId};
use offpeak_domain::price::Prices;
use offpeak_domain::upstream_key::UpstreamKey;
use offpeak_store::batch::{Key, Sent};
use offpeak_store::upstream_key::{self, New, ways};
use offpeak_store::{Options, System, upstream};
use offpeak_worker::{Clock, Keys, Loop, Upstream, Worker};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{World, client};
use crate::database;

/// The key of a second upstream; the stand-in sees another workspace in it.
pub const SECOND_KEY: &str = "sk-ant-second-key";

impl World {
    /// One in which nobody waits long for a row that another transaction holds.
    pub async fn impatient() -> Result<Self> {
        let mut store = Options::new(database::fresh().await?);
        store.lock_timeout = Duration::from_millis(50);
        Self::build(Self::quick(), store, Prices::shipped()?).await
    }

    /// Options under which an uncertain send is settled within minutes.
    pub fn quick() -> offpeak_worker::Options {
        offpeak_worker::Options {
            send_within: Duration::from_mins(1),
            settle_time: Duration::from_mins(1),
            sweep_every: Duration::from_secs(1),
            ..offpeak_worker::Options::default()
        }
    }

    /// Another process with its own way to the database.
    pub fn worker_on(
        &mut self,
        system: System,
        options: offpeak_worker::Options,
    ) -> Result<Worker> {
        let upstreams = vec![Upstream::new(upstream::OWN, client(&self.standin_url)?)];
        let mut registry = Registry::default();
        Ok(self.worker_with(system, upstreams, options, &mut registry))
    }

    /// One whose upstream has this key, as after a restart: the leases of others
    /// are over.
    pub async fn worker_under(&mut self, key: &str) -> Result<Worker> {
        anyhow::ensure!(self.expire_leases().await?, "a lease is in use");
        let config = Config::new(&self.standin_url, key.to_owned().into());
        let upstreams = vec![Upstream::new(upstream::OWN, Client::new(config)?)];
        let (system, options) = (self.system.clone(), offpeak_worker::Options::default());
        Ok(self.worker_with(system, upstreams, options, &mut Registry::default()))
    }

    /// One that gives a download up when it does not bring everything within so
    /// much waiting.
    pub fn hasty_worker(
        &mut self,
        options: offpeak_worker::Options,
        within: Duration,
    ) -> Result<Worker> {
        let mut config = Config::new(&self.standin_url, "sk-ant-standin".to_owned().into());
        (config.pace_bytes, config.pace_window) = (u64::MAX, within);
        let upstreams = vec![Upstream::new(upstream::OWN, Client::new(config)?)];
        let system = self.system.clone();
        Ok(self.worker_with(system, upstreams, options, &mut Registry::default()))
    }

    fn worker_with(
        &mut self,
        system: System,
        upstreams: Vec<Upstream>,
        options: offpeak_worker::Options,
        registry: &mut Registry,
    ) -> Worker {
        Worker::new(
            system,
            Keys {
                upstreams,
                vault: Some(Arc::clone(&self.vault)),
            },
            self.prices.clone(),
            options,
            Clock::Manual(Arc::clone(&self.now)),
            &mut self.rng,
            registry,
        )
    }

    /// Puts a new worker in the place of the world's own. Gives its metrics.
    pub fn one_upstream(&mut self, options: offpeak_worker::Options) -> Result<Registry> {
        let upstreams = vec![Upstream::new(upstream::OWN, client(&self.standin_url)?)];
        let mut registry = Registry::default();
        self.worker = self.worker_with(self.system.clone(), upstreams, options, &mut registry);
        Ok(registry)
    }

    /// Puts a worker with two upstreams in the place of the world's own, the
    /// second one for this tenant alone, under [`SECOND_KEY`]. Gives its metrics.
    pub async fn two_upstreams(
        &mut self,
        tenant: TenantId,
        options: offpeak_worker::Options,
    ) -> Result<Registry> {
        sqlx::query(
            "INSERT INTO offpeak.upstream (id, name, base_url, creates_per_minute, max_queued_items)
             SELECT $1, 'second', base_url, creates_per_minute, max_queued_items
               FROM offpeak.upstream",
        )
        .bind(tenant.as_uuid())
        .execute(&self.root)
        .await?;
        let second = Client::new(Config::new(&self.standin_url, SECOND_KEY.to_owned().into()))?;
        let upstreams = vec![
            Upstream::new(upstream::OWN, client(&self.standin_url)?),
            Upstream::new(ways::of_tenant(tenant), second),
        ];
        let mut registry = Registry::default();
        self.worker = self.worker_with(self.system.clone(), upstreams, options, &mut registry);
        self.worker.tick(Loop::Reconcile).await?;
        Ok(registry)
    }

    /// Sets a tenant's own Anthropic key, as the API does. Gives its version.
    pub async fn set_own_key(&self, tenant: TenantId, key: &str) -> Result<i32> {
        let key = UpstreamKey::parse(key)?;
        let new = New {
            key: &key,
            creates_per_minute: New::CREATES_PER_MINUTE,
            max_queued_items: New::MAX_QUEUED_ITEMS,
        };
        let mut tx = self.tenants.begin(tenant).await?;
        // Another nonce each time.
        let at = tx.now().unix_timestamp_nanos();
        let rng = StdRng::seed_from_u64(u64::try_from(at % i128::from(u64::MAX))?);
        let version = upstream_key::set(&mut tx, &self.vault, &new, rng).await?;
        tx.commit().await?;
        version.ok_or_else(|| anyhow::anyhow!("somebody else sets one"))
    }

    /// Removes it.
    pub async fn remove_own_key(&self, tenant: TenantId) -> Result<()> {
        let mut tx = self.tenants.begin(tenant).await?;
        let removed = upstream_key::remove(&mut tx).await?;
        anyhow::ensure!(!removed.is_empty(), "there is none");
        Ok(tx.commit().await?)
    }

    /// The send of the last batch, by which its answer is known.
    pub async fn sent(&self) -> Result<Sent> {
        let (tenant, batch, sender, at) = sqlx::query_as(
            "SELECT b.tenant_id, b.id, l.holder, b.sent_at
               FROM offpeak.batch b, offpeak.lease l
              WHERE l.name LIKE 'process/%'
              ORDER BY b.id DESC LIMIT 1",
        )
        .fetch_one(&self.root)
        .await?;
        let key = Key {
            tenant: TenantId::from_uuid(tenant),
            batch: BatchId::from_uuid(batch),
        };
        Ok(Sent { key, sender, at })
    }

    /// Ends every lease, as time would. False while a holder is just committing:
    /// the row is locked, so that nobody can take over.
    pub async fn expire_leases(&self) -> Result<bool> {
        let mut tx = self.root.begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '100ms'")
            .execute(&mut *tx)
            .await?;
        let done = sqlx::query("UPDATE offpeak.lease SET expires_at = now() - interval '1 s'")
            .execute(&mut *tx)
            .await;
        match done {
            Ok(_) => {
                tx.commit().await?;
                Ok(true)
            }
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// [`World::everything`] but for the leases by which processes say that they
    /// live: whoever wakes says so again.
    pub async fn everything_led(&self) -> Result<String> {
        let leases = self
            .texts(
                "SELECT name || ' ' || holder || ' ' || epoch || ' ' || expires_at
                   FROM offpeak.lease WHERE name NOT LIKE 'process/%' ORDER BY name",
            )
            .await?;
        let everything = self.everything().await?;
        let tables: Vec<&str> = everything
            .lines()
            .filter(|line| !line.starts_with("lease:"))
            .collect();
        Ok(format!("{}\n{}", tables.join("\n"), leases.join("\n")))
    }
}

/// Metrics as they are shown.
pub fn metrics(registry: &Registry) -> Result<String> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
