//! The least that a WebSocket server can do: what comes in on one goes out on
//! all others, over a broadcast channel.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::crowd::Crowd;
use super::sample;
use super::socket::{Socket, To};
use crate::child::{self, Child};
use crate::figures::Samples;

const PART: &str = "bare";
/// Frames that a socket may be behind.
const BEHIND: usize = 1024;

/// Plays the child, if this process is that server.
pub async fn play() -> Result<bool> {
    if child::part().is_none_or(|part| part != [PART]) {
        return Ok(false);
    }
    offpeak::open_files::raise()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/in", get(take))
        .route("/out", get(give))
        .with_state(Sender::<Utf8Bytes>::new(BEHIND));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    crate::print(url);
    let mut orders = child::orders();
    while orders.recv().await.is_some() {}
    serving.abort();
    Ok(true)
}

async fn take(State(all): State<Sender<Utf8Bytes>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                // Nobody may be listening yet.
                let _ = all.send(text);
            }
        }
    })
}

async fn give(State(all): State<Sender<Utf8Bytes>>, upgrade: WebSocketUpgrade) -> Response {
    let mut all: broadcast::Receiver<_> = all.subscribe();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Ok(text) = all.recv().await {
            if socket.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    })
}

/// Frames as the server under test has sent them.
#[derive(Clone, Copy, Debug)]
pub struct Like {
    /// Sockets of the crowd.
    pub crowd: usize,
    /// Sockets whose times count.
    pub samples: usize,
    /// In a second, to each.
    pub rate: f64,
    /// Of a frame.
    pub bytes: usize,
    /// For how long.
    pub seconds: u32,
}

/// Milliseconds from the sending of each frame to its arrival.
pub async fn measure(crowd: &mut Crowd, like: Like) -> Result<Samples> {
    let mut server = Child::start(&[PART])?;
    let url = server.hear().await?;
    let out = To::new(&url, "/out", "-")?;
    crowd.open(&out, like.crowd, "-").await?;
    let period = Duration::from_secs_f64(1.0 / like.rate);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some hundreds"
    )]
    let frames = (like.rate * f64::from(like.seconds)) as usize;
    let sent = Arc::new(Mutex::new(Vec::with_capacity(frames)));
    let mut clients = sample::bare(&out, like.samples, Arc::clone(&sent), frames).await?;
    let mut sender = Socket::open(&To::new(&url, "/in", "-")?).await?;
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let filler = "x".repeat(like.bytes.saturating_sub(30));
    for number in 0..frames {
        ticks.tick().await;
        let text = json!({ "t": "events", "n": number, "x": filler }).to_string();
        if let Ok(mut sent) = sent.lock() {
            sent.push(Instant::now());
        }
        sender.say(&text).await?;
    }
    let mut late = Samples::default();
    let ends = async {
        while let Some(ended) = clients.join_next().await {
            late.extend(&ended??);
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(20), ends)
        .await
        .context("frames of the bare server did not arrive")??;
    crowd.close().await?;
    server.end().await?;
    Ok(late)
}
