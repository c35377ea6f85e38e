use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::id::TenantId;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult};
use sqlx::query::Query;
use time::OffsetDateTime;

use crate::bounded::{Bounds, Connection, Pool};
use crate::lease::{self, Term};
use crate::{Result, mutant};

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where, and as whom to log in. The login role must be a member of
    /// `offpeak_api` and `offpeak_worker`; [`crate::migrate`] grants both.
    pub connect: PgConnectOptions,
    /// Connections at most, for each of the two roles. Who listens for hints has
    /// one more.
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long to wait for a row that another transaction holds.
    pub lock_timeout: Duration,
    /// After how long the server gives up a statement of the API's role.
    pub tenant_statement_timeout: Duration,
    /// After how long the server gives up a statement of the worker's role.
    pub system_statement_timeout: Duration,
    /// How much longer than the server would work at a call to wait for its
    /// answer. Then the connection is closed and the call is
    /// [`Error::NoAnswer`](crate::Error::NoAnswer).
    pub answer_timeout: Duration,
}

impl Options {
    /// Options with defaults for one process: 10 connections a role, 10 s for
    /// everything but a worker's statement, which has a minute, and a silent
    /// server, which has 5 s.
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
            tenant_statement_timeout: Duration::from_secs(10),
            system_statement_timeout: Duration::from_mins(1),
            answer_timeout: Duration::from_secs(5),
        }
    }

    /// A pool whose sessions start as `role`: `RESET ROLE` leads back to it,
    /// not to the login role, since it came with the connection.
    fn pool(&self, role: &str, statement_timeout: Duration) -> Pool {
        let connect = self.connect.clone().application_name("offpeak").options([
            ("search_path", "offpeak"),
            ("role", role),
            ("timezone", "UTC"),
            (
                "statement_timeout",
                &format!("{}ms", statement_timeout.as_millis()),
            ),
            ("idle_in_transaction_session_timeout", "30s"),
            (
                "lock_timeout",
                &format!("{}ms", self.lock_timeout.as_millis()),
            ),
            // The other side of a dead link: what a client left that is gone,
            // its statement, its locks, its session, ends there as well.
            ("client_connection_check_interval", "5s"),
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
            // A plan for any parameters prunes no partition and, on tables that
            // turn over all the time, prefers a walk to a thousand probes.
            ("plan_cache_mode", "force_custom_plan"),
            // Every statement is short: starting a second process or a compiler
            // for it takes longer than the statement.
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
        ]);
        let bounds = Bounds {
            statement: statement_timeout,
            answer: self.answer_timeout,
            acquire: self.acquire_timeout,
        };
        Pool::new(connect, self.max_connections, bounds)
    }
}

/// Access bound to one tenant at a time, as the API's role.
#[derive(Clone, Debug)]
pub struct Tenants {
    pub(crate) pool: Pool,
}

impl Tenants {
    /// A lazy pool under `offpeak_api`.
    pub fn new(options: &Options) -> Self {
        Self {
            pool: options.pool("offpeak_api", options.tenant_statement_timeout),
        }
    }

    /// Begins a transaction that sees the rows of `tenant` and no others.
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx> {
        let mut tx = self.pool.begin().await?;
        let now = sqlx::query_scalar!(
            r#"SELECT clock_timestamp() AS "now!"
                 FROM (SELECT set_config('app.tenant', $1, true)) AS bound"#,
            tenant.as_uuid().to_string(),
        )
        .fetch_one(&mut tx)
        .await?;
        Ok(TenantTx { tx, tenant, now })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("SELECT 1 AS one")
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction of one tenant. Dropped without [`TenantTx::commit`] it leaves nothing.
#[derive(Debug)]
pub struct TenantTx {
    tx: Connection,
    tenant: TenantId,
    now: OffsetDateTime,
}

impl TenantTx {
    /// Whose transaction this is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The database's time when the transaction began: ids are minted from it.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

/// Access to all tenants, as the worker's role.
#[derive(Clone, Debug)]
pub struct System {
    pub(crate) pool: Pool,
    /// Under which nothing is written any more once it is over.
    term: Option<Arc<Term>>,
}

impl System {
    /// A lazy pool under `offpeak_worker`.
    pub fn new(options: &Options) -> Self {
        Self {
            pool: options.pool("offpeak_worker", options.system_statement_timeout),
            term: None,
        }
    }

    /// The same access for the holder of a lease: what it writes is refused
    /// once the term is over.
    #[must_use]
    pub fn under(&self, term: Arc<Term>) -> Self {
        Self {
            pool: self.pool.clone(),
            term: Some(term),
        }
    }

    /// The term under which it writes, if any.
    pub fn term(&self) -> Option<&Term> {
        self.term.as_deref()
    }

    /// Begins a transaction over all tenants.
    pub async fn begin(&self) -> Result<SystemTx> {
        let WriteTx { mut tx, term } = self.begin_write().await?;
        let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
            .fetch_one(&mut tx)
            .await?;
        Ok(SystemTx {
            tx: WriteTx { tx, term },
            now,
        })
    }

    /// The same without asking for the time. A leader's single statements go
    /// through here too, or nothing would keep a late one from taking effect.
    pub(crate) async fn begin_write(&self) -> Result<WriteTx> {
        if let Some(term) = self.term.as_deref().filter(|term| !term.is_trusted())
            && !mutant!("no_epoch_check")
        {
            return Err(term.fenced());
        }
        Ok(WriteTx {
            tx: self.pool.begin().await?,
            term: self.term.clone(),
        })
    }

    /// The database's time.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction that commits only while its term, if it has one, is not over.
#[derive(Debug)]
pub(crate) struct WriteTx {
    tx: Connection,
    term: Option<Arc<Term>>,
}

impl WriteTx {
    pub(crate) async fn commit(mut self) -> Result<()> {
        if let Some(term) = &self.term
            && !mutant!("no_epoch_check")
        {
            lease::guard(&mut self.tx, term).await?;
        }
        Ok(self.tx.commit().await?)
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

/// A single statement that writes: a transaction of its own, under the term.
pub(crate) trait Write {
    fn write(self, system: &System) -> impl Future<Output = Result<PgQueryResult>> + Send;
}

impl Write for Query<'_, Postgres, PgArguments> {
    async fn write(self, system: &System) -> Result<PgQueryResult> {
        if system.term.is_none() {
            return Ok(self.execute(&system.pool).await?);
        }
        let mut tx = system.begin_write().await?;
        let done = self.execute(tx.conn()).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// A transaction over all tenants.
#[derive(Debug)]
pub struct SystemTx {
    tx: WriteTx,
    now: OffsetDateTime,
}

impl SystemTx {
    /// The database's time when the transaction began.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        self.tx.conn()
    }
}
