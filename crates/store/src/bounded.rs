//! Connections on which every call ends.
//!
//! The server bounds its own part of a statement. It bounds nothing when the
//! link is silent, when it is suspended, or when a commit waits for a standby
//! that is away; a connection that was left in the middle of an answer would be
//! asked without bound on its way back to the pool, and its place would be lost.
//! So this is the only file that holds a pool, and what it gives out bounds each
//! call, with all rows of its answer, the commit and the way back. A connection that
//! failed, said nothing in time, or was dropped in the middle of a call is
//! closed, never used again.
//!
//! If the process dies here, the server ends the session and rolls back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgQueryResult, PgRow, PgStatement,
    PgTransactionManager, PgTypeInfo,
};
use sqlx::{
    Connection as _, Describe, Either, Error, Execute, Executor, Postgres, SqlStr, Transaction,
};
use sqlx_core::transaction::TransactionManager as _;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::{Silence, is_outdated, is_over};

mod retired;

use retired::Retired;

/// A connection that nobody used for so long may have been lost.
const RESTED: Duration = Duration::from_secs(1);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;
type BoxStream<'a, T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send + 'a>>;
type Step = Either<PgQueryResult, PgRow>;

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// What the server allows a statement.
    pub(crate) statement: Duration,
    /// How long the server may take to say anything beyond that.
    pub(crate) answer: Duration,
    /// How long to wait for a connection, a new one included.
    pub(crate) acquire: Duration,
}

impl Bounds {
    /// For a call that works: the server gives up before.
    fn call(&self) -> Duration {
        self.statement + self.answer
    }
}

/// The connections of one role. As an executor it takes one for one statement.
#[derive(Clone)]
pub(crate) struct Pool {
    inner: PgPool,
    bounds: Bounds,
    retired: Arc<Retired>,
    told: Arc<Notify>,
}

impl Pool {
    /// Connects when it has to, and not before.
    pub(crate) fn new(connect: PgConnectOptions, max: u32, bounds: Bounds) -> Self {
        let retired = Arc::new(Retired::default());
        let known = Arc::clone(&retired);
        let inner = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(bounds.acquire)
            // Asked whether it still answers only after a rest: in a busy
            // process that would be one more round trip for each transaction.
            .test_before_acquire(false)
            .before_acquire(move |conn, meta| {
                let retired = Arc::clone(&known);
                Box::pin(async move {
                    let made = Instant::now().checked_sub(meta.age);
                    if made.is_some_and(|made| retired.has(made)) {
                        return Ok(false);
                    }
                    if meta.idle_for < RESTED {
                        return Ok(true);
                    }
                    // A connection that fails this is replaced by a new one.
                    let pinged = timeout(bounds.answer, conn.ping()).await;
                    if pinged.is_err() {
                        retired.all();
                    }
                    Ok(matches!(pinged, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(connect);
        Self {
            inner,
            bounds,
            retired,
            told: Arc::default(),
        }
    }

    /// Takes a connection, or fails when there is none in time.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        Ok(Connection {
            inner: self.inner.acquire().await?,
            state: State {
                bounds: self.bounds,
                retired: Arc::clone(&self.retired),
                taken: Instant::now(),
                under_way: false,
                over: false,
                told: false,
            },
            news: Arc::clone(&self.told),
        })
    }

    /// Returns after a transaction of this process has committed events.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Takes a connection and begins a transaction on it.
    pub(crate) async fn begin(&self) -> Result<Connection, Error> {
        let mut conn = self.acquire().await?;
        let Connection { inner, state, .. } = &mut conn;
        // It has nothing to work at or to wait for.
        let call = Call::new(state, self.bounds.answer);
        call.run(PgTransactionManager::begin(inner, None)).await?;
        Ok(conn)
    }

    /// A read-only transaction on one snapshot, for an operator's command whose
    /// statements may take longer than any call of a loop. Not bounded here: there
    /// is somebody who waits for it, and may stop waiting.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.inner
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await
    }

    /// A listener with a connection of its own: what it does when it is dropped
    /// has no bound, and would keep a place here for as long.
    pub(crate) async fn listener(&self, channels: &[&str]) -> Result<PgListener, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.bounds.acquire)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with((*self.inner.connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // It would come back by itself, but without a bound.
        listener.eager_reconnect(false);
        self.answer(listener.listen_all(channels.iter().copied()))
            .await?;
        Ok(listener)
    }

    /// Whether a listener's connection is alive.
    pub(crate) async fn is_alive(&self, listener: &mut PgListener) -> bool {
        use sqlx::Acquire as _;
        let pinged = async { listener.acquire().await?.ping().await };
        self.answer(pinged).await.is_ok()
    }

    /// How long the server may be silent.
    pub(crate) fn patience(&self) -> Duration {
        self.bounds.answer
    }

    /// Closes every connection, waiting for those in use.
    pub(crate) async fn close(&self) {
        self.inner.close().await;
    }

    async fn answer<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let bound = self.bounds.answer;
        let answered = timeout(bound, call).await;
        answered.unwrap_or_else(|_| Err(Silence(bound).into()))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// A connection of the pool. Dropped, it goes back if it is in order; an open
/// transaction is rolled back on the way.
#[derive(Debug)]
pub(crate) struct Connection {
    inner: PoolConnection<Postgres>,
    state: State,
    /// Rung when events were committed on it.
    news: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    retired: Arc<Retired>,
    taken: Instant,
    /// A call began and has not ended: by this alone a dropped one is known.
    under_way: bool,
    /// It is not to be used again.
    over: bool,
    /// Its transaction has written events.
    told: bool,
}

impl Connection {
    /// Makes the transaction durable. After an error it may be so or not.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        let told = self.state.told;
        let Self { inner, state, .. } = &mut self;
        let call = Call::of(state);
        call.run(PgTransactionManager::commit(inner)).await?;
        if told {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Its transaction has written events: whoever numbers them is to hear of its
    /// commit.
    pub(crate) fn has_told(&mut self) {
        self.state.told = true;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let state = &self.state;
        if state.under_way || state.over || state.retired.has(state.taken) {
            self.inner.close_on_drop();
            return;
        }
        if PgTransactionManager::get_transaction_depth(&self.inner) > 0 {
            PgTransactionManager::start_rollback(&mut self.inner);
        }
        // Without a runtime there is nothing that could wait for an answer.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (back, bound) = (self.inner.return_to_pool(), state.bounds.answer);
        let retired = Arc::clone(&state.retired);
        runtime.spawn(async move {
            // What is dropped with the future is the connection, and its place
            // is free.
            if timeout(bound, back).await.is_err() {
                retired.all();
            }
        });
    }
}

/// One call on a connection, from its first word to its last.
struct Call<'a> {
    state: &'a mut State,
    bound: Duration,
}

impl<'a> Call<'a> {
    fn new(state: &'a mut State, bound: Duration) -> Self {
        state.under_way = true;
        Self { state, bound }
    }

    fn of(state: &'a mut State) -> Self {
        let bound = state.bounds.call();
        Self::new(state, bound)
    }

    async fn run<T>(mut self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match timeout(self.bound, call).await {
            Ok(Ok(value)) => {
                self.ended();
                Ok(value)
            }
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Gives what the stream gives, as long as all of it comes in time. What the
    /// taker does between two items does not count.
    fn stream(self, items: BoxStream<'a, Step>) -> BoxStream<'a, Step> {
        let left = self.bound;
        Box::pin(stream::unfold(Some((self, items, left)), async |going| {
            let (mut call, mut items, left) = going?;
            let asked = Instant::now();
            match timeout(left, items.next()).await {
                Ok(Some(Ok(item))) => {
                    let left = left.saturating_sub(asked.elapsed());
                    Some((Ok(item), Some((call, items, left))))
                }
                Ok(Some(Err(error))) => Some((Err(call.failed(error)), None)),
                Ok(None) => {
                    call.ended();
                    None
                }
                Err(_) => Some((Err(call.silent()), None)),
            }
        }))
    }

    fn ended(&mut self) {
        self.state.under_way = false;
    }

    fn failed(&mut self, error: Error) -> Error {
        self.ended();
        if is_outdated(&error) {
            self.state.retired.all();
        }
        self.state.over |= is_over(&error);
        error
    }

    /// What stands behind this connection is as good as gone, and with it what
    /// stands behind the others: each is to be a new one.
    fn silent(&mut self) -> Error {
        self.state.over = true;
        self.state.retired.all();
        Silence(self.bound).into()
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Connection { inner, state, .. } = self;
        Call::of(state).stream((&mut **inner).fetch_many(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Option<PgRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Connection { inner, state, .. } = self;
        Box::pin(Call::of(state).run((&mut **inner).fetch_optional(query)))
    }

    fn prepare_with<'e>(self, sql: SqlStr, types: &'e [PgTypeInfo]) -> BoxFuture<'e, PgStatement>
    where
        'c: 'e,
    {
        let Connection { inner, state, .. } = self;
        Box::pin(Call::of(state).run((&mut **inner).prepare_with(sql, types)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Describe<Postgres>>
    where
        'c: 'e,
    {
        let Connection { inner, state, .. } = self;
        Box::pin(Call::of(state).run((&mut **inner).describe(sql)))
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    /// Reads the answer whole before it gives the first row, so that nobody
    /// keeps a connection while he looks at one.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let whole = async move {
            let mut conn = self.acquire().await?;
            let steps: Vec<Step> = conn.fetch_many(query).try_collect().await?;
            Ok::<_, Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        Box::pin(stream::once(whole).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Option<PgRow>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move { self.acquire().await?.fetch_optional(query).await })
    }

    fn prepare_with<'e>(self, sql: SqlStr, types: &'e [PgTypeInfo]) -> BoxFuture<'e, PgStatement>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, types).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Describe<Postgres>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}
