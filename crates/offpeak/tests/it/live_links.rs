//! A client behind a bad link and a server that restarts, broken at any moment
//! and in every way, each by a seed: in mode `events` it ends with every event in
//! order, in mode `view` with the last state of everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use offpeak_testkit::proxy::{Direction, Proxy};
use offpeak_wire::live::{Frame, LiveEvent, Mode};
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

/// More than the heartbeat of [`hasty`]: a link on which nothing comes for so long
/// is dead.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Worlds of each mode.
const SEEDS: u64 = 4;
/// Things that happen in each.
const STEPS: u32 = 12;

/// What a client has kept over all its connections.
#[derive(Default)]
struct Kept {
    cursor: Option<String>,
    events: BTreeMap<u64, LiveEvent>,
    /// Numbers in the order in which they came first.
    order: Vec<u64>,
    /// By id: `rev` and state.
    rows: BTreeMap<String, (u64, String)>,
    resyncs: u64,
}

/// A client that comes back for ever, with the cursor of its last frame.
struct Client {
    kept: Arc<Mutex<Kept>>,
    connections: Arc<AtomicU64>,
    news: Arc<Notify>,
    _running: AbortOnDropHandle<()>,
}

impl Client {
    fn start(address: String, key: &str, mode: Mode) -> Self {
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
                    // However it ended, it begins anew.
                    let _ = once(&address, &key, mode, &kept, &connections, &news).await;
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
async fn once(
    address: &str,
    key: &str,
    mode: Mode,
    kept: &Mutex<Kept>,
    connections: &AtomicU64,
    news: &Notify,
) -> Result<()> {
    let mut request = format!("ws://{address}/v1/live").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {key}").parse()?);
    let stream = timeout(SILENCE, TcpStream::connect(address)).await??;
    let connecting = tokio_tungstenite::client_async(request, stream);
    let (mut socket, _) = timeout(SILENCE, connecting).await??;
    let mut hello = json!({
        "t": "hello", "mode": mode, "topics": ["jobs", "batches", "usage", "user:ada"]
    });
    if let Some(cursor) = &kept.lock().unwrap_or_else(PoisonError::into_inner).cursor {
        hello["cursor"] = cursor.as_str().into();
    }
    socket.send(Message::text(hello.to_string())).await?;
    loop {
        let message = timeout(SILENCE, socket.next()).await?.context("closed")??;
        let Message::Text(text) = message else {
            continue;
        };
        let frame: Frame = serde_json::from_str(&text)?;
        let acked = {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            match frame {
                Frame::Hello { cursor, .. } => {
                    connections.fetch_add(1, Ordering::Relaxed);
                    kept.cursor.get_or_insert(cursor);
                    None
                }
                Frame::Events { cursor, events } => {
                    for event in events {
                        if !kept.events.contains_key(&event.n) {
                            kept.order.push(event.n);
                        }
                        kept.events.insert(event.n, event);
                    }
                    kept.cursor = Some(cursor);
                    None
                }
                Frame::Rows { cursor, jobs, .. } => {
                    for row in jobs {
                        let old = kept.rows.get(&row.id).map_or(0, |(rev, _)| *rev);
                        if row.rev > old {
                            let state = serde_json::to_value(row.state)?;
                            let state = state.as_str().unwrap_or_default().to_owned();
                            kept.rows.insert(row.id, (row.rev, state));
                        }
                    }
                    kept.cursor = Some(cursor.clone());
                    Some(cursor)
                }
                Frame::Beat { cursor } => {
                    kept.cursor = Some(cursor);
                    None
                }
                Frame::Resync { cursor, .. } => {
                    kept.resyncs += 1;
                    kept.cursor = Some(cursor);
                    None
                }
                Frame::Counts { .. } | Frame::Bye { .. } => None,
            }
        };
        news.notify_waiters();
        if let Some(cursor) = acked {
            let ack = json!({"t": "ack", "cursor": cursor}).to_string();
            socket.send(Message::text(ack)).await?;
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

async fn broken_at_any_moment(mode: Mode, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut api = Api::with_live(hasty()).await?;
    let proxy = Proxy::start(api.url.trim_start_matches("http://"))?;
    let client = Client::start(proxy.address().to_string(), &api.key, mode);
    client
        .until("the first connection", |kept| kept.cursor.is_some())
        .await?;
    let mut jobs = Vec::new();
    for _ in 0..STEPS {
        happen(&mut api, &mut jobs, &mut rng).await?;
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
    let stands = api
        .world
        .texts("SELECT state FROM offpeak.job_state ORDER BY id")
        .await?;
    let mut ids: Vec<String> = jobs.clone();
    ids.sort();
    let kept = client.kept.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(kept.resyncs == 0, "nothing was too old");
    match mode {
        Mode::Events => {
            let all: Vec<u64> = (1..=last).collect();
            ensure!(kept.order == all, "{:?} of {last}", kept.order);
        }
        Mode::View => {
            let shown: Vec<String> = ids
                .iter()
                .map(|id| kept.rows.get(id).map_or("nothing", |row| &row.1).to_owned())
                .collect();
            ensure!(shown == stands, "{shown:?}, and it is {stands:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_in_order_whatever_breaks() -> Result<()> {
    for seed in 0..SEEDS {
        broken_at_any_moment(Mode::Events, seed)
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ends_with_the_last_state_whatever_breaks() -> Result<()> {
    for seed in 0..SEEDS {
        broken_at_any_moment(Mode::View, seed)
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}
