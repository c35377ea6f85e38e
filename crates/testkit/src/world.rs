//! A whole offpeak for one test, without its HTTP side: a database, a stand-in
//! on loopback, a worker whose ticks the test calls, one clock for all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use offpeak_anthropic::{Client, Config};
use offpeak_domain::id::{BatchId, JobId, Minter, TenantId};
use offpeak_domain::price::Prices;
use offpeak_domain::vault::Vault;
use offpeak_standin::{Manual, Standin};
use offpeak_store::invariants::{self, Checked};
use offpeak_store::{Options, Sealer, System, Tenants, batch, upstream};
use offpeak_worker::{Clock, Keys, Loop, Upstream, Worker};
use prometheus_client::registry::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::database;

mod canaries;
mod everything;
mod queue;
mod several;

pub use queue::{EXPECTED, insistent, terms};
pub use several::{SECOND_KEY, metrics};

/// A model that the shipped prices know.
pub const MODEL: &str = "claude-haiku-5-5";

/// Its master key.
pub const MASTER: &str = "test:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";

/// The parts, and what a test does with them.
pub struct World {
    /// Access as the worker's role.
    pub system: System,
    /// Access as the API's role.
    pub tenants: Tenants,
    /// Access as a superuser, to look behind the walls.
    pub root: PgPool,
    /// Anthropic's stand-in.
    pub standin: Standin,
    /// Where it listens.
    pub standin_url: String,
    /// A tenant to work with.
    pub tenant: TenantId,
    /// What everything is priced by.
    pub prices: Prices,
    /// What tenants' own keys and content are kept under.
    pub vault: Arc<Vault>,
    /// By what content is sealed, in every process of this world.
    pub sealer: Sealer,
    /// The worker under test.
    pub worker: Worker,
    /// How to reach the database, as its superuser.
    pub connect: PgConnectOptions,
    now: Arc<Mutex<OffsetDateTime>>,
    standin_clock: Manual,
    rng: StdRng,
    _data: TempDir,
    _serving: DropGuard,
}

impl World {
    /// A fresh world with batches that take a minute.
    pub async fn new() -> Result<Self> {
        Self::with(offpeak_worker::Options::default()).await
    }

    /// The same with other options for the worker.
    pub async fn with(options: offpeak_worker::Options) -> Result<Self> {
        let store = Options::new(database::fresh().await?);
        Self::build(options, store, Prices::shipped()?).await
    }

    /// One in which new content is plain, for tests that look at it, or change it, by SQL.
    pub async fn plain(options: offpeak_worker::Options) -> Result<Self> {
        let mut store = Options::new(database::fresh().await?);
        store.sealer = sealer(vault()?, false);
        Self::build(options, store, Prices::shipped()?).await
    }

    /// How another process of this world reaches the database this way.
    pub fn options(&self, connect: PgConnectOptions) -> Options {
        Options {
            sealer: self.sealer.clone(),
            ..Options::new(connect)
        }
    }

    /// One with other prices.
    pub async fn priced(prices: Prices) -> Result<Self> {
        let store = Options::new(database::fresh().await?);
        Self::build(offpeak_worker::Options::default(), store, prices).await
    }

    async fn build(
        options: offpeak_worker::Options,
        mut store: Options,
        prices: Prices,
    ) -> Result<Self> {
        let vault = vault()?;
        if !store.sealer.opens() {
            store.sealer = sealer(Arc::clone(&vault), true);
        }
        let sealer = store.sealer.clone();
        let connect = store.connect.clone();
        let root = pool(&connect);
        watch(&root).await?;
        let (system, tenants) = (System::new(&store), Tenants::new(&store));
        let mut rng = StdRng::seed_from_u64(7);

        let start = system.now().await? + Duration::from_secs(1);
        let (now, standin_clock) = (Arc::new(Mutex::new(start)), Manual::new(start));
        let data = tempfile::tempdir()?;
        let standin = Standin::open(offpeak_standin::Options {
            clock: offpeak_standin::Clock::Manual(standin_clock.clone()),
            turnaround: Duration::from_mins(1)..Duration::from_mins(1),
            ..offpeak_standin::Options::new(data.path())
        })?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let standin_url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        tokio::spawn(
            standin
                .clone()
                .serve(listener, stop.clone().cancelled_owned()),
        );

        upstream::register(&system, "stand-in", &standin_url, 1_000, 200_000).await?;
        let mut tx = system.begin().await?;
        let tenant = Minter::new(tx.now(), &mut rng).mint();
        offpeak_store::tenant::create(&mut tx, tenant, "acme").await?;
        tx.commit().await?;
        // Its data key is made at the first look.
        drop(tenants.begin(tenant).await?);

        let worker = Worker::new(
            system.clone(),
            Keys {
                upstreams: vec![Upstream::new(upstream::OWN, client(&standin_url)?)],
                vault: Some(Arc::clone(&vault)),
            },
            prices.clone(),
            options,
            Clock::Manual(Arc::clone(&now)),
            &mut rng,
            &mut Registry::default(),
        );
        // The first start, so that loops can be run one by one from here on.
        worker.tick(Loop::Reconcile).await?;
        Ok(Self {
            system,
            tenants,
            root,
            standin,
            standin_url,
            tenant,
            prices,
            vault,
            sealer,
            worker,
            connect,
            now,
            standin_clock,
            rng,
            _data: data,
            _serving: stop.drop_guard(),
        })
    }

    /// A second process, as far as the database can tell.
    pub fn second_worker(&mut self, options: offpeak_worker::Options) -> Result<Worker> {
        self.worker_on(self.system.clone(), options)
    }

    /// Puts the worker's clock ahead of the stand-in's.
    pub fn set_ahead(&self, time: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    /// Sets the worker's clock back, while the stand-in's goes on.
    pub fn set_back(&self, time: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) -= time;
    }

    /// Lets time pass, for worker and stand-in alike.
    pub fn pass(&self, time: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += time;
        self.standin_clock.advance(time);
    }

    /// Lets time pass and the loops run until every job has ended, or for a
    /// day of steps.
    pub async fn run_out(&mut self) -> Result<()> {
        for _ in 0..200 {
            self.worker.settle_down().await?;
            if self.open_jobs().await? == 0 {
                return Ok(());
            }
            self.pass(Duration::from_secs(30));
        }
        let batches = "SELECT state || ' × ' || count(*) || coalesce(': ' || min(last_error), '')
                         FROM offpeak.batch GROUP BY state ORDER BY state";
        anyhow::bail!(
            "{} jobs have not ended; batches: {:?}",
            self.open_jobs().await?,
            self.texts(batches).await?
        )
    }

    /// Ids of the message batches that the stand-in lists, newest first.
    pub async fn listed(&self) -> Result<Vec<String>> {
        let page = client(&self.standin_url)?
            .batches(1000, None, None)
            .await?
            .value;
        Ok(page.data.into_iter().map(|batch| batch.id).collect())
    }

    /// Deletes every ended message batch at the stand-in.
    pub async fn delete_listed(&self) -> Result<()> {
        let client = client(&self.standin_url)?;
        for id in self.listed().await? {
            client.delete_batch(&id).await?;
        }
        Ok(())
    }

    /// Writes down that the batch at this place, in the order of their making,
    /// is this message batch; as recognised, or as told for certain.
    pub async fn stored(&self, place: i64, upstream_batch_id: &str, certain: bool) -> Result<()> {
        let (tenant, batch): (uuid::Uuid, uuid::Uuid) =
            sqlx::query_as("SELECT tenant_id, id FROM offpeak.batch ORDER BY id LIMIT 1 OFFSET $1")
                .bind(place)
                .fetch_one(&self.root)
                .await?;
        let key = batch::Key {
            tenant: TenantId::from_uuid(tenant),
            batch: BatchId::from_uuid(batch),
        };
        let seen = client(&self.standin_url)?.batch(upstream_batch_id).await?;
        let stored = batch::Stored {
            upstream_batch_id,
            created_at: seen.created_at,
            expires_at: seen.expires_at,
            next_poll_at: seen.created_at,
            verified: certain,
            body_hash: None,
        };
        Ok(batch::stored(&self.system, key, &stored).await?)
    }

    /// Fails with what is broken of what must always hold of the rows.
    pub async fn check_invariants(&self) -> Result<()> {
        let checked = invariants::check(&self.system, self.time()).await?;
        let broken: Vec<_> = checked.iter().filter(|check| check.broken > 0).collect();
        anyhow::ensure!(broken.is_empty(), "broken invariants: {broken:#?}");
        Ok(())
    }

    /// How they stand after a change with all rights, which is then taken back.
    pub async fn invariants_after(&self, change: &'static str) -> Result<Vec<Checked>> {
        let mut tx = self.hold(change).await?;
        sqlx::raw_sql("SET LOCAL ROLE offpeak_worker; SET LOCAL search_path = offpeak")
            .execute(&mut *tx)
            .await?;
        let checked = invariants::check_within(&mut tx, self.time()).await?;
        tx.rollback().await?;
        Ok(checked)
    }

    /// What time it is for the worker.
    pub fn time(&self) -> OffsetDateTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a job stands in the ledger.
    pub async fn booked(&self, job: JobId) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "SELECT count(*) FROM offpeak.ledger WHERE id = $1 AND source_id IS NULL",
        )
        .bind(job.as_uuid())
        .fetch_one(&self.root)
        .await?)
    }

    /// Every change of a batch's state that the worker has made, as `from to`.
    pub async fn transitions(&self) -> Result<Vec<String>> {
        self.texts("SELECT DISTINCT was || ' ' || is_now FROM public.batch_transition ORDER BY 1")
            .await
    }

    /// Jobs without a result.
    pub async fn open_jobs(&self) -> Result<i64> {
        self.number(
            "SELECT count(*) FROM offpeak.job j
              WHERE NOT EXISTS (SELECT FROM offpeak.result r
                                 WHERE r.tenant_id = j.tenant_id AND r.id = j.id)",
        )
        .await
    }

    /// One number from a statement, with all rights.
    pub async fn number(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.root).await?)
    }

    /// What the tallies and the differences say together about the tenant's
    /// jobs in a state.
    pub async fn counted(&self, state: &str) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "SELECT coalesce(sum(n), 0)::bigint
               FROM (SELECT scope, name, n FROM offpeak.tally
                      UNION ALL SELECT scope, name, n FROM offpeak.delta) AS t
              WHERE scope = 'tenant' AND name = $1",
        )
        .bind(state)
        .fetch_one(&self.root)
        .await?)
    }

    /// How many rows of a table the API's role sees as this tenant.
    pub async fn seen_by(&self, tenant: TenantId, table: &str) -> Result<i64> {
        self.seen(&tenant.as_uuid().to_string(), table).await
    }

    /// The same before any tenant is set.
    pub async fn seen_by_nobody(&self, table: &str) -> Result<i64> {
        self.seen("", table).await
    }

    async fn seen(&self, tenant: &str, table: &str) -> Result<i64> {
        let mut tx = self.as_api(tenant).await?;
        // The tenants' own job types: the shipped ones are for everybody.
        let mine = "tenant_id <> '00000000-0000-0000-0000-000000000000'";
        let sql = format!("SELECT count(*) FROM offpeak.{table} WHERE {mine}");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *tx)
            .await?)
    }

    /// Tries to queue a job for `victim` while acting as `tenant`.
    pub async fn forge_ready(&self, tenant: TenantId, victim: TenantId) -> Result<()> {
        let mut tx = self.as_api(&tenant.as_uuid().to_string()).await?;
        sqlx::query(
            "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt)
             VALUES ($1, $1, $1, 0, now(), 1, 1)",
        )
        .bind(victim.as_uuid())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn as_api(&self, tenant: &str) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        let mut tx = self.root.begin().await?;
        sqlx::query("SET LOCAL ROLE offpeak_api")
            .execute(&mut *tx)
            .await?;
        sqlx::query("SELECT set_config('app.tenant', $1, true)")
            .bind(tenant)
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    }

    /// Changes rows behind the product's back, with all rights.
    pub async fn meddle(&self, sql: &'static str) -> Result<()> {
        sqlx::query(sql).execute(&self.root).await?;
        Ok(())
    }

    /// Runs statements with all rights in a transaction, which holds their locks
    /// until it is dropped.
    pub async fn hold(
        &self,
        sql: &'static str,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        let mut tx = self.root.begin().await?;
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        Ok(tx)
    }

    /// Rows of text from a statement, with all rights.
    pub async fn texts(&self, sql: &'static str) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(sql).fetch_all(&self.root).await?)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("standin_url", &self.standin_url)
            .finish_non_exhaustive()
    }
}

/// A client of the stand-in.
pub fn client(url: &str) -> Result<Client> {
    Ok(Client::new(Config::new(
        url,
        "sk-ant-standin".to_owned().into(),
    ))?)
}

/// A small Messages body around a text.
pub fn params(text: &str) -> Vec<u8> {
    serde_json::json!({
        "model": MODEL,
        "max_tokens": 256,
        "messages": [{"role": "user", "content": text}],
    })
    .to_string()
    .into_bytes()
}

/// Notes every change of a batch's state that the product makes.
async fn watch(root: &PgPool) -> Result<()> {
    sqlx::raw_sql(
        "CREATE TABLE public.batch_transition (was text NOT NULL, is_now text NOT NULL);
         CREATE FUNCTION public.note_transition() RETURNS trigger
             LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             INSERT INTO public.batch_transition VALUES (OLD.state, NEW.state);
             RETURN NULL;
         END $$;
         CREATE TRIGGER note_transition AFTER UPDATE ON offpeak.batch FOR EACH ROW
             WHEN (OLD.state <> NEW.state AND current_user = 'offpeak_worker')
             EXECUTE FUNCTION public.note_transition();",
    )
    .execute(root)
    .await?;
    Ok(())
}

fn vault() -> Result<Arc<Vault>> {
    Ok(Arc::new(Vault::read(&MASTER.to_owned().into())?))
}

fn sealer(vault: Arc<Vault>, seals: bool) -> Sealer {
    Sealer::new(vault, seals, StdRng::seed_from_u64(8))
}

fn pool(connect: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(2)
        .connect_lazy_with(connect.clone())
}
