//! A client behind a bad link and a server that restarts, broken at any moment
//! and in every way, each by a seed: in mode `events` it ends with every event in
//! order, in mode `view` with the last state of everything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use offpeak_testkit::proxy::{Direction, Proxy};
use offpeak_wire::Counts;
use offpeak_wire::live::{Frame, Mode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_util::task::AbortOnDropHandle;

use crate::api::Api;
use crate::live::{SOON, hasty, relay};

mod kept;

use kept::Kept;

/// More than the heartbeat of [`hasty`]: a link on which nothing comes for so long
/// is dead.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Worlds of each client.
const SEEDS: u64 = 3;
/// Things that happen in each.
const STEPS: u32 = 12;

/// What stands in the database.
const JOBS: &str = "SELECT state FROM offpeak.job_state ORDER BY id";
const BATCHES: &str = "SELECT state FROM offpeak.batch ORDER BY id";

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wants {
    /// All that there is.
    All,
    /// One user's jobs alone: most pages pass it by.
    Few,
    /// Rows of the jobs that it watches.
    Watched,
}

/// How it asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    WebSocket,
    /// Server-sent events, with the id of the last one.
    Sse,
}

/// A kind of client.
#[derive(Clone, Copy, Debug)]
struct Kind {
    mode: Mode,
    wants: Wants,
    by: By,
}

impl Kind {
    fn topics(self) -> &'static [&'static str] {
        match self.wants {
            Wants::All => &["jobs", "batches", "usage", "user:ada"],
            Wants::Few => &["user:ada"],
            Wants::Watched => &["jobs", "batches", "usage"],
        }
    }
}

/// A client that comes back for ever, with the cursor of its last frame.
struct Client {
    kept: Arc<Mutex<Kept>>,
    connections: Arc<AtomicU64>,
    news: Arc<Notify>,
    _running: AbortOnDropHandle<()>,
}

impl Client {
    fn start(address: String, key: &str, kind: Kind) -> Self {
        let (kept, connections, news) = (
            Arc::<Mutex<Kept>>::default(),
            Arc::new(AtomicU64::new(0)),
            Arc::new(Notify::new()),
        );
        let key = key.to_owned();
        let running = {
            let (kept, connections, news) = (kept.clone(), connections.clone(), news.clone());
            tokio::spawn(async move {
                loop {
                    let at = At {
                        address: &address,
                        key: &key,
                        kept: &kept,
                        connections: &connections,
                        news: &news,
                    };
                    // However it ended, it begins anew.
                    let _ = match kind.by {
                        By::WebSocket => at.once(kind).await,
                        By::Sse => at.once_sse(kind).await,
                    };
                    news.notify_waiters();
                    tokio::task::yield_now().await;
                }
            })
        };
        Self {
            kept,
            connections,
            news,
            _running: AbortOnDropHandle::new(running),
        }
    }

    fn watch(&self, jobs: &[String]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.watched = jobs.to_vec();
    }

    fn connected(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until what it has kept is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) -> Result<()> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if is_so(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)) {
                    return;
                }
                // Also by itself: a ring between the two is lost.
                let _ = timeout(Duration::from_millis(50), news).await;
            }
        };
        timeout(SOON, waiting).await.with_context(|| {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let events = kept.events.len();
            let rows = &kept.rows;
            format!(
                "waited for {what}: cursor {:?}, {events} events, {rows:?}",
                kept.cursor
            )
        })
    }
}

/// One connection, until it breaks.
struct At<'a> {
    address: &'a str,
    key: &'a str,
    kept: &'a Mutex<Kept>,
    connections: &'a AtomicU64,
    news: &'a Notify,
}

impl At<'_> {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame in. Gives the cursor to acknowledge.
    fn take(&self, text: &str) -> Result<Option<String>> {
        let frame: Frame = serde_json::from_str(text)?;
        if matches!(frame, Frame::Hello { .. }) {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        let acked = self.kept().take(frame);
        self.news.notify_waiters();
        Ok(acked)
    }

    async fn once(&self, kind: Kind) -> Result<()> {
        let Self { address, key, .. } = self;
        let mut request = format!("ws://{address}/v1/live").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {key}").parse()?);
        let stream = timeout(SILENCE, TcpStream::connect(address)).await??;
        let connecting = tokio_tungstenite::client_async(request, stream);
        let (mut socket, _) = timeout(SILENCE, connecting).await??;
        let mut hello = json!({ "t": "hello", "mode": kind.mode, "topics": kind.topics() });
        if let Some(cursor) = &self.kept().cursor {
            hello["cursor"] = cursor.as_str().into();
        }
        socket.send(Message::text(hello.to_string())).await?;
        let mut watched = 0;
        loop {
            let ids = self.kept().watched.clone();
            if kind.wants == Wants::Watched && ids.len() > watched {
                watched = ids.len();
                let watch = json!({"t": "watch", "jobs": ids}).to_string();
                socket.send(Message::text(watch)).await?;
            }
            let message = timeout(SILENCE, socket.next()).await?.context("closed")??;
            let Message::Text(text) = message else {
                continue;
            };
            if let Some(cursor) = self.take(&text)? {
                let ack = json!({"t": "ack", "cursor": cursor}).to_string();
                socket.send(Message::text(ack)).await?;
            }
        }
    }

    async fn once_sse(&self, kind: Kind) -> Result<()> {
        let Self { address, key, .. } = self;
        let topics = kind.topics().join(",");
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client
            .get(format!("http://{address}/v1/events?topics={topics}"))
            .bearer_auth(key);
        if let Some(cursor) = &self.kept().cursor {
            request = request.header("last-event-id", cursor);
        }
        let answer = timeout(SILENCE, request.send()).await??;
        let mut body = answer.error_for_status()?.bytes_stream();
        let mut read = Vec::new();
        loop {
            let piece = timeout(SILENCE, body.next()).await?.context("closed")??;
            read.extend(piece);
            while let Some(end) = read.windows(2).position(|two| two == b"\n\n") {
                let event = String::from_utf8(read.drain(..end + 2).collect())?;
                let mut lines = event.lines();
                if let Some(frame) = lines.find_map(|line| line.strip_prefix("data: ")) {
                    self.take(frame)?;
                }
            }
        }
    }
}

/// A job of Ada's.
fn job(text: &str) -> String {
    let params = String::from_utf8_lossy(&offpeak_testkit::world::params(text)).into_owned();
    format!(r#"{{"params":{params},"user":"ada"}}"#)
}

/// Breaks the link, or the server, in some way, and mends it once that was noticed.
async fn strike(api: &mut Api, proxy: &Proxy, client: &Client, rng: &mut StdRng) -> Result<()> {
    proxy.heal();
    let before = client.connected();
    match rng.random_range(0..7) {
        0 => proxy.reset(),
        1 => {
            proxy.cut();
            client.until("the cut", |_| proxy.open() == 0).await?;
            proxy.heal();
        }
        2 => {
            proxy.half_open();
            // It finds out by itself that nothing comes any more.
            proxy.heal();
        }
        3 => {
            // Each connection ends there until the next strike, maybe before it
            // could say anything.
            proxy.truncate_after(rng.random_range(1..2_000));
            return Ok(());
        }
        4 => {
            api.live_again(hasty()).await?;
            proxy.set_target(api.url.trim_start_matches("http://"));
            proxy.reset();
        }
        5 => {
            proxy.drip(
                Direction::Down,
                rng.random_range(20..200),
                Duration::from_millis(2),
            );
            return Ok(());
        }
        _ => {
            proxy.latency(Duration::from_millis(rng.random_range(0..30)));
            return Ok(());
        }
    }
    // Sometimes it is back before anything else happens, sometimes not.
    if rng.random_bool(0.5) {
        client
            .until("another connection", |_| client.connected() > before)
            .await?;
    }
    Ok(())
}

/// Lets something happen to jobs.
async fn happen(api: &mut Api, jobs: &mut Vec<String>, rng: &mut StdRng) -> Result<()> {
    match rng.random_range(0..4) {
        0 | 1 => {
            for n in 0..rng.random_range(1..6) {
                let text = format!("Text {} {n}.", jobs.len());
                jobs.push(api.post("/v1/jobs", job(&text)).await?.at("/id"));
            }
        }
        2 if !jobs.is_empty() => {
            let one = &jobs[rng.random_range(0..jobs.len())];
            let act = ["cancel", "retry"][rng.random_range(0..2)];
            // Refused where it cannot be.
            api.post(&format!("/v1/jobs/{one}/{act}"), "").await?;
        }
        _ => {
            api.world.pass(Duration::from_secs(40));
            api.world.worker.settle_down().await?;
        }
    }
    relay(api).await
}

async fn broken_at_any_moment(kind: Kind, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut api = Api::with_live(hasty()).await?;
    let proxy = Proxy::start(api.url.trim_start_matches("http://"))?;
    let client = Client::start(proxy.address().to_string(), &api.key, kind);
    client
        .until("the first connection", |kept| kept.cursor.is_some())
        .await?;
    let mut jobs = Vec::new();
    for _ in 0..STEPS {
        happen(&mut api, &mut jobs, &mut rng).await?;
        client.watch(&jobs);
        strike(&mut api, &proxy, &client, &mut rng).await?;
    }
    proxy.drip(Direction::Down, 0, Duration::ZERO);
    proxy.latency(Duration::ZERO);
    proxy.heal();
    api.world.run_out().await?;
    relay(&api).await?;

    let last = api
        .world
        .number("SELECT max(seq) FROM offpeak.event")
        .await?;
    let last = u64::try_from(last)?;
    let ends = format!(".{last}");
    let caught_up = |kept: &Kept| kept.cursor.as_ref().is_some_and(|it| it.ends_with(&ends));
    client.until("everything", caught_up).await?;
    match kind.mode {
        Mode::Events => {
            let wanted = if kind.wants == Wants::Few {
                "SELECT seq::text FROM offpeak.event WHERE kind = 'job' ORDER BY event.seq"
            } else {
                "SELECT seq::text FROM offpeak.event ORDER BY event.seq"
            };
            let wanted = api.world.texts(wanted).await?;
            let kept = client.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let order: Vec<String> = kept.order.iter().map(u64::to_string).collect();
            ensure!(order == wanted, "{order:?} of {wanted:?}");
        }
        Mode::View => shows_all(&api, &client, kind, &jobs).await?,
    }
    let kept = client.kept.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(kept.resyncs == 0, "nothing was too old");
    Ok(())
}

/// Waits until what it shows is what stands in the database: rows, and with them
/// batches and counts.
async fn shows_all(api: &Api, client: &Client, kind: Kind, jobs: &[String]) -> Result<()> {
    let world = &api.world;
    let stands = world.texts(JOBS).await?;
    let batches = world.texts(BATCHES).await?;
    let mut ids = jobs.to_vec();
    ids.sort();
    let of = |state: &str| stands.iter().filter(|one| *one == state).count() as u64;
    let counts = Counts {
        completed: of("completed"),
        failed: of("failed"),
        canceled: of("canceled"),
        ..Counts::default()
    };
    client
        .until("the last state", |kept| {
            let rows = ids.iter().zip(&stands).all(|(id, state)| {
                let row = kept.rows.get(id);
                row.is_some_and(|(_, shown)| shown == state)
            });
            let shown = kept.batches.values().map(|(_, state)| state);
            let sums =
                kind.wants == Wants::Few || shown.eq(&batches) && kept.counts == Some(counts);
            rows && sums
        })
        .await
        .with_context(|| format!("{stands:?}, {batches:?}, {counts:?}"))
}

async fn seeds(mode: Mode, wants: Wants, by: By) -> Result<()> {
    let kind = Kind { mode, wants, by };
    for seed in 0..SEEDS {
        broken_at_any_moment(kind, seed)
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_in_order_whatever_breaks() -> Result<()> {
    seeds(Mode::Events, Wants::All, By::WebSocket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_one_user_comes_whatever_breaks() -> Result<()> {
    seeds(Mode::Events, Wants::Few, By::WebSocket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_sent_event_comes_whatever_breaks() -> Result<()> {
    seeds(Mode::Events, Wants::All, By::Sse).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ends_with_the_last_state_whatever_breaks() -> Result<()> {
    seeds(Mode::View, Wants::All, By::WebSocket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_one_user_ends_with_it_whatever_breaks() -> Result<()> {
    seeds(Mode::View, Wants::Few, By::WebSocket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_screen_ends_with_it_whatever_breaks() -> Result<()> {
    seeds(Mode::View, Wants::Watched, By::WebSocket).await
}
