//! A TCP proxy that breaks the link on demand, before any server: the faults of
//! a network, in the words of Toxiproxy where it has one.
//!
//! | here | there |
//! | --- | --- |
//! | [`Proxy::latency`] | `latency` |
//! | [`Proxy::drip`] | `slicer`, `bandwidth` |
//! | [`Proxy::half_open`] | `timeout` 0 |
//! | [`Proxy::reset`] | `reset_peer` 0 |
//! | [`Proxy::cut`], [`Proxy::heal`] | `enabled` |
//! | [`Proxy::truncate_after`] | `limit_data` |
//! | [`Proxy::set_target`] | `upstream` |
//!
//! Each may be called at any time, from any task. A failover is
//! [`Proxy::set_target`] and then [`Proxy::reset`]. Dropped, it closes what is
//! open and listens no more.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

mod carry;

use carry::{Fate, carry, refuse};

/// The server behind the proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// `host:port`.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

impl From<&str> for Target {
    fn from(address: &str) -> Self {
        Self::Tcp(address.to_owned())
    }
}

impl From<String> for Target {
    fn from(address: String) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&PgConnectOptions> for Target {
    fn from(connect: &PgConnectOptions) -> Self {
        match connect.get_socket() {
            Some(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{}", connect.get_port()))),
            None => Self::Tcp(format!("{}:{}", connect.get_host(), connect.get_port())),
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, Default)]
enum Mode {
    #[default]
    Open,
    Cut,
    HalfOpen,
}

/// How fast bytes go one way.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    latency: Duration,
    drip: Option<(usize, Duration)>,
}

/// The answer that is to be lost.
#[derive(Clone, Copy, Debug, Default)]
enum Loss {
    #[default]
    None,
    /// That to the message after so many more.
    After(u64),
    Done,
}

#[derive(Debug)]
struct State {
    target: Target,
    mode: Mode,
    up: Pace,
    down: Pace,
    truncate: Option<u64>,
    truncated: u64,
    loss: Loss,
    open: Vec<watch::Sender<Fate>>,
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self, way: Direction) -> Pace {
        let state = self.state();
        match way {
            Direction::Up => state.up,
            Direction::Down => state.down,
        }
    }

    /// Counts a message of a client; whether its answer is to be lost.
    fn is_lost(&self) -> bool {
        let mut state = self.state();
        match &mut state.loss {
            Loss::None | Loss::Done => false,
            Loss::After(0) => {
                state.loss = Loss::Done;
                true
            }
            Loss::After(left) => {
                *left -= 1;
                false
            }
        }
    }
}

impl State {
    /// Decides for every connection that carries.
    fn end_all(&mut self, fate: Fate) {
        self.open.retain(|open| !open.is_closed());
        for open in &self.open {
            open.send_replace(fate);
        }
    }
}

/// Stands between a client and a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own, on loopback. Needs a runtime around it.
    pub fn start(target: impl Into<Target>) -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared(Mutex::new(State {
            target: target.into(),
            mode: Mode::default(),
            up: Pace::default(),
            down: Pace::default(),
            truncate: None,
            truncated: 0,
            loss: Loss::default(),
            open: Vec::new(),
        })));
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// Puts itself before the database of these options, whether it listens on
    /// TCP or on a socket; gives those to use. They have the same user, and no
    /// password where there was a socket: the cluster of the tests asks none.
    pub fn before(connect: &PgConnectOptions) -> Result<(Self, PgConnectOptions)> {
        let proxy = Self::start(connect)?;
        let through = if connect.get_socket().is_some() {
            // A socket cannot be taken out of options.
            PgConnectOptions::new_without_pgpass()
                .username(connect.get_username())
                .database(connect.get_database().unwrap_or(connect.get_username()))
                .ssl_mode(PgSslMode::Disable)
        } else {
            connect.clone()
        };
        let through = through
            .host(&proxy.address.ip().to_string())
            .port(proxy.address.port());
        Ok((proxy, through))
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        let mut state = self.shared.state();
        state.open.retain(|open| !open.is_closed());
        state.open.len()
    }

    /// Sends new connections to another server. Those that are open stay.
    pub fn set_target(&self, target: impl Into<Target>) {
        self.shared.state().target = target.into();
    }

    /// Delays everything by so much, both ways; zero ends it. What is on its
    /// way keeps its time.
    pub fn latency(&self, latency: Duration) {
        self.latency_of(Direction::Up, latency);
        self.latency_of(Direction::Down, latency);
    }

    /// The same one way.
    pub fn latency_of(&self, way: Direction, latency: Duration) {
        self.pace(way, |pace| pace.latency = latency);
    }

    /// Lets only so many bytes through at a time, one way, with this pause
    /// between them; 0 bytes end it.
    pub fn drip(&self, way: Direction, bytes: usize, every: Duration) {
        self.pace(way, |pace| {
            pace.drip = (bytes > 0).then_some((bytes, every));
        });
    }

    fn pace(&self, way: Direction, change: impl FnOnce(&mut Pace)) {
        let mut state = self.shared.state();
        change(match way {
            Direction::Up => &mut state.up,
            Direction::Down => &mut state.down,
        });
    }

    /// Resets every open connection, at both ends. New ones are let through.
    pub fn reset(&self) {
        self.shared.state().end_all(Fate::Reset);
    }

    /// Closes every open connection and resets new ones as they come.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        state.mode = Mode::Cut;
        state.end_all(Fate::Close);
    }

    /// Lets nothing through and says nothing: open connections stay open at
    /// both ends and new ones are accepted, but neither a byte nor an end
    /// arrives anywhere.
    pub fn half_open(&self) {
        let mut state = self.shared.state();
        state.mode = Mode::HalfOpen;
        state.end_all(Fate::Swallow);
    }

    /// Lets new connections through again. Those that lost bytes carry no more,
    /// but the end of one side now arrives at the other.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.mode = Mode::Open;
        for open in &state.open {
            open.send_if_modified(|fate| {
                let swallows = *fate == Fate::Swallow;
                if swallows {
                    *fate = Fate::Dead;
                }
                swallows
            });
        }
    }

    /// Closes the next new connection when the server has sent so many bytes.
    pub fn truncate_after(&self, bytes: u64) {
        self.shared.state().truncate = Some(bytes);
    }

    /// How many connections were closed by that.
    pub fn truncated(&self) -> u64 {
        self.shared.state().truncated
    }

    /// Lets so many more messages of clients through, and then one of which the
    /// server's answer is lost: it did what it was asked, and the connection is
    /// reset. A message is what arrives at once, as a request of a database
    /// does, and it must have an answer.
    pub fn lose_answer(&self, after: u64) {
        self.shared.state().loss = Loss::After(after);
    }

    /// Whether the message of [`Proxy::lose_answer`] came.
    pub fn lost_answer(&self) -> bool {
        matches!(self.shared.state().loss, Loss::Done)
    }

    /// Loses no answer any more. Gives what [`Proxy::lost_answer`] gave before.
    pub fn keep_answers(&self) -> bool {
        let mut state = self.shared.state();
        matches!(std::mem::take(&mut state.loss), Loss::Done)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => client,
                Err(_) => return,
            },
            Some(_) = connections.join_next() => continue,
        };
        let mut state = shared.state();
        let fate = match state.mode {
            Mode::Open => Fate::Flow,
            Mode::HalfOpen => Fate::Swallow,
            Mode::Cut => {
                refuse(&client);
                continue;
            }
        };
        let (sender, fate) = watch::channel(fate);
        state.open.retain(|open| !open.is_closed());
        state.open.push(sender);
        let (target, truncate) = (state.target.clone(), state.truncate.take());
        connections.spawn(carry(client, target, truncate, fate, Arc::clone(&shared)));
    }
}

#[cfg(test)]
mod tests;
