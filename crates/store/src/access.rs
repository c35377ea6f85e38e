use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::id::TenantId;
use offpeak_domain::vault::Vault;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult};
use sqlx::query::Query;
use time::OffsetDateTime;

use crate::bounded::{Bounds, Connection, Pool};
use crate::lease::{self, Term};
use crate::sealed::{Held, Seal, Sealer};
use crate::{Error, Result, data_key, mutant, torture};

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where, and as whom to log in. The login role must be a member of
    /// `offpeak_api`, `offpeak_worker` and `offpeak_operator`; [`crate::migrate`]
    /// grants them.
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
    /// By what content is sealed and opened.
    pub sealer: Sealer,
}

impl Options {
    /// Options with defaults for one process: 10 connections a role, 10 s for
    /// everything but a worker's statement, which has a minute, and a silent
    /// server, which has 5 s. Content is plain.
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
            tenant_statement_timeout: Duration::from_secs(10),
            system_statement_timeout: Duration::from_mins(1),
            answer_timeout: Duration::from_secs(5),
            sealer: Sealer::plain(),
        }
    }

    /// A pool whose sessions start as `role`: `RESET ROLE` leads back to it,
    /// not to the login role, since it came with the connection.
    pub(crate) fn pool(&self, role: &str, statement_timeout: Duration) -> Pool {
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
    pub(crate) sealer: Sealer,
}

impl Tenants {
    /// A lazy pool under `offpeak_api`.
    pub fn new(options: &Options) -> Self {
        Self {
            pool: options.pool("offpeak_api", options.tenant_statement_timeout),
            sealer: options.sealer.clone(),
        }
    }

    /// Begins a transaction that sees the rows of `tenant` and no others. Nothing of a
    /// tenant that is being erased is opened ([`Error::Erased`]).
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx> {
        let tx = self.bind(tenant).await?;
        let Some(vault) = self.sealer.sealing().filter(|_| !tx.seal.has_key()) else {
            return Ok(tx);
        };
        // Committed before anything is sealed by it, on the connection that is here.
        self.make_key(tx, vault).await?;
        let tx = self.bind(tenant).await?;
        if tx.seal.has_key() {
            return Ok(tx);
        }
        Err(Error::NoDataKey)
    }

    async fn make_key(&self, mut tx: TenantTx, vault: &Vault) -> Result<()> {
        if let Some(rng) = self.sealer.rng() {
            data_key::own(&mut tx, vault, rng).await?;
        }
        tx.commit().await
    }

    async fn bind(&self, tenant: TenantId) -> Result<TenantTx> {
        let mut tx = self.pool.begin().await?;
        let bound = sqlx::query!(
            r#"SELECT bound.erased AS "erased!", bound.key_made_at, bound.master, bound.wrapped,
                      clock_timestamp() AS "now!"
                 FROM bind_tenant_with_key($1) AS bound"#,
            tenant.as_uuid(),
        )
        .fetch_one(&mut tx)
        .await?;
        if bound.erased {
            self.sealer.forget(tenant);
            return Err(Error::Erased);
        }
        let held = Held::of(bound.key_made_at, bound.master, bound.wrapped);
        Ok(TenantTx {
            tx,
            tenant,
            now: bound.now,
            seal: self.sealer.of(tenant, held),
        })
    }

    /// What seals for a tenant, and the time of its key if there is one to be sealed by: for
    /// whoever writes without a [`TenantTx`], and makes sure that this key is there.
    pub(crate) async fn sealing(&self, tenant: TenantId) -> Result<(Option<OffsetDateTime>, Seal)> {
        if self.sealer.sealing().is_none() {
            return Ok((None, self.sealer.of(tenant, None)));
        }
        if self.sealer.remembered(tenant).is_none() {
            self.begin(tenant).await?.seal().key_opens()?;
        }
        let (made_at, seal) = self.sealer.remembered(tenant).ok_or(Error::NoDataKey)?;
        Ok((Some(made_at), seal))
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
    seal: Seal,
}

impl TenantTx {
    /// Whose transaction this is.
    pub fn tenant(&self) -> TenantId {
        torture::bound(self.tenant)
    }

    /// The database's time when the transaction began: ids are minted from it.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// What seals and opens the tenant's content.
    pub(crate) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// The same, unless a function that it called has put another tenant in its place.
    pub(crate) async fn commit_unmoved(mut self) -> Result<()> {
        let bound = sqlx::query_scalar!(r#"SELECT current_tenant() AS "tenant""#)
            .fetch_one(&mut self.tx)
            .await?;
        if bound == Some(self.tenant.as_uuid()) {
            return self.commit().await;
        }
        Err(Error::Walls(
            "a statement was bound to another tenant than its transaction: nothing was written; \
             tell the authors"
                .to_owned(),
        ))
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

/// Access for the operator, as a role that sees counts of every tenant and the content
/// of none: no request, no result, no metadata.
#[derive(Clone, Debug)]
pub struct Operators {
    pool: Pool,
}

impl Operators {
    /// A lazy pool under `offpeak_operator`; few look at once.
    pub fn new(options: &Options) -> Self {
        let few = Options {
            max_connections: options.max_connections.min(3),
            ..options.clone()
        };
        Self {
            pool: few.pool("offpeak_operator", options.tenant_statement_timeout),
        }
    }

    /// Begins a transaction over what an operator may see.
    pub async fn begin(&self) -> Result<OperatorTx> {
        let mut tx = self.pool.begin().await?;
        let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
            .fetch_one(&mut tx)
            .await?;
        Ok(OperatorTx { tx, now })
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction of an operator. Dropped without [`OperatorTx::commit`] it leaves nothing.
#[derive(Debug)]
pub struct OperatorTx {
    tx: Connection,
    now: OffsetDateTime,
}

impl OperatorTx {
    /// The database's time when the transaction began.
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
    pub(crate) sealer: Sealer,
    /// Under which nothing is written any more once it is over.
    term: Option<Arc<Term>>,
}

impl System {
    /// A lazy pool under `offpeak_worker`.
    pub fn new(options: &Options) -> Self {
        Self {
            pool: options.pool("offpeak_worker", options.system_statement_timeout),
            sealer: options.sealer.clone(),
            term: None,
        }
    }

    /// The same access for the holder of a lease: what it writes is refused
    /// once the term is over.
    #[must_use]
    pub fn under(&self, term: Arc<Term>) -> Self {
        Self {
            pool: self.pool.clone(),
            sealer: self.sealer.clone(),
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
            sealer: self.sealer.clone(),
        })
    }

    /// Begins a transaction that sees the rows of `tenant` and no others, as if the
    /// API's role had: what a loop does for one tenant stays within its walls.
    pub async fn begin_for(&self, tenant: TenantId) -> Result<TenantTx> {
        let mut tx = self.pool.begin().await?;
        // Both end with the transaction.
        let now = sqlx::query_scalar!(
            r#"SELECT clock_timestamp() AS "now!"
                 FROM (SELECT set_config('app.tenant', $1, true),
                              set_config('role', 'offpeak_api', true)) AS bound"#,
            tenant.as_uuid().to_string(),
        )
        .fetch_one(&mut tx)
        .await?;
        let (seal, _) = data_key::seal(&mut tx, &self.sealer, tenant).await?;
        Ok(TenantTx {
            tx,
            tenant,
            now,
            seal,
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

    /// Sees to it that a tenant has a data key to be sealed by, if anything is sealed: before
    /// the transaction that does. None is made for one that is being erased.
    pub(crate) async fn ensure_key(&self, tenant: TenantId) -> Result<()> {
        let Some(vault) = self.sealer.sealing() else {
            return Ok(());
        };
        match self.sealer.rng() {
            Some(rng) if self.sealer.remembered(tenant).is_none() => {
                data_key::make(self, vault, tenant, rng).await
            }
            _ => Ok(()),
        }
    }

    /// What opens a tenant's content.
    pub(crate) async fn opener(&self, tenant: TenantId) -> Result<Seal> {
        Ok(data_key::seal(&self.pool, &self.sealer, tenant).await?.0)
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
    sealer: Sealer,
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

    /// What opens a tenant's content.
    pub(crate) async fn opener(&mut self, tenant: TenantId) -> Result<Seal> {
        Ok(data_key::seal(self.tx.conn(), &self.sealer, tenant)
            .await?
            .0)
    }

    /// What seals a tenant's content, as this transaction sees its data key:
    /// [`System::ensure_key`] has seen to that before it began.
    pub(crate) async fn seal(&mut self, tenant: TenantId) -> Result<Seal> {
        let (seal, erased) = data_key::seal(self.tx.conn(), &self.sealer, tenant).await?;
        if seal.has_key() || self.sealer.sealing().is_none() {
            return Ok(seal);
        }
        // What it has is deleted soon, and was plain before.
        if erased {
            return Ok(seal.unsealed());
        }
        self.sealer.forget(tenant);
        Err(Error::NoDataKey)
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        self.tx.conn()
    }
}
