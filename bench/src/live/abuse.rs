//! Clients that no server likes, all at once and for a bounded time: some ask for
//! all that there was and never read it, over either way, one reads it slowly, many
//! come and go, and one sends a message without end. And, by themselves, slow readers
//! of very much.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use offpeak_wire::live::Frame;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};

use super::socket::{Message, Socket, To, frame, header, hello};

/// The least room that the kernel gives what is not read.
const ROOM: u32 = 4096;
/// Connections that come and go at once.
const AT_ONCE: usize = 256;
/// Addresses that they come from: one alone runs out of ports.
const ADDRESSES: u64 = 32;
/// Of the message without end.
const GIANT: usize = 1 << 30;
const PIECE: usize = 64 << 10;
/// Time for what was sent to one that never read.
const DRAINED: Duration = Duration::from_secs(3);

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections that never read, of either way: a WebSocket, and server-sent events.
    pub mute: usize,
    /// Connects and disconnects attempted in a second.
    pub connects: u32,
    /// For how long.
    pub seconds: u32,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.mute, self.connects, self.seconds)
    }
}

impl FromStr for Plan {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let [mute, connects, seconds] = numbers(text)?;
        Ok(Self {
            mute: usize::try_from(mute)?,
            connects: u32::try_from(connects)?,
            seconds: u32::try_from(seconds)?,
        })
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Connections that were upgraded, said `hello` and left.
    pub connected: u64,
    /// Bytes of the message without end that were sent.
    pub giant_bytes: u64,
    /// The code with which it was cut off; 0 without one.
    pub giant_code: u64,
    /// Of the sockets that never read, how many the server closed.
    pub mute_closed: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connected,
            giant_bytes,
            giant_code,
            mute_closed,
        } = self;
        write!(f, "{connected} {giant_bytes} {giant_code} {mute_closed}")
    }
}

impl FromStr for Outcome {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let [connected, giant_bytes, giant_code, mute_closed] = numbers(text)?;
        Ok(Self {
            connected,
            giant_bytes,
            giant_code,
            mute_closed,
        })
    }
}

fn numbers<const N: usize>(text: &str) -> Result<[u64; N]> {
    let all: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
    all?.try_into().ok().context("other numbers were expected")
}

/// All of it.
pub async fn run(to: To, plan: Plan) -> Result<Outcome> {
    let until = Instant::now() + Duration::from_secs(u64::from(plan.seconds));
    let oldest = oldest(&to).await?;
    let mut mute = Vec::new();
    for _ in 0..plan.mute {
        mute.push(deaf(&to, &oldest).await?);
        mute.push(deaf_sse(&to, &oldest).await?);
    }
    let mut slow = deaf(&to, &oldest).await?;
    let slowly = async {
        let mut ticks = interval(Duration::from_millis(100));
        let mut little = [0; 256];
        loop {
            ticks.tick().await;
            if !matches!(slow.read(&mut little).await, Ok(1..)) {
                return;
            }
        }
    };
    let (_, (giant_bytes, giant_code), connected) = tokio::join!(
        timeout_at(until.into(), slowly),
        giant(&to, until),
        come_and_go(&to, plan.connects, until)
    );
    let mut ends = JoinSet::new();
    for mut stream in mute {
        ends.spawn(async move {
            // What had room comes first; an open one has no end.
            let mut rest = Vec::with_capacity(PIECE);
            let drained = async {
                while matches!(stream.read_buf(&mut rest).await, Ok(1..)) {
                    rest.clear();
                }
            };
            timeout(DRAINED, drained).await.is_ok()
        });
    }
    let ended = ends.join_all().await;
    Ok(Outcome {
        connected: connected?,
        giant_bytes,
        giant_code,
        mute_closed: ended.into_iter().map(u64::from).sum(),
    })
}

/// The cursor from which everything follows.
async fn oldest(to: &To) -> Result<String> {
    let mut socket = Socket::open(to).await?;
    socket.say(&hello("jobs")).await?;
    let Some(Message::Text(text)) = socket.next().await? else {
        bail!("no hello");
    };
    let frame: serde_json::Value = serde_json::from_slice(&text)?;
    Ok(frame["oldest"].as_str().context("no cursor")?.to_owned())
}

/// Follows everything, and reads nothing.
async fn deaf(to: &To, oldest: &str) -> Result<TcpStream> {
    let stream = to.connect(None, Some(ROOM)).await?;
    let mut socket = Socket::upgrade(stream, to).await?;
    let hello = json!({ "t": "hello", "topics": ["jobs"], "cursor": oldest });
    socket.say(&hello.to_string()).await?;
    Ok(socket.into_stream())
}

/// The same, as server-sent events.
async fn deaf_sse(to: &To, oldest: &str) -> Result<TcpStream> {
    let mut stream = to.connect(None, Some(ROOM)).await?;
    let To { address, key, .. } = to;
    let request = format!(
        "GET /v1/events?topics=jobs&cursor={oldest} HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads all that there was on so many sockets at once, none of them faster than so
/// many bytes a second; gives how many bytes that were. It fails where one is closed,
/// or misses an event.
pub async fn slowly(to: &To, sockets: usize, rate: u32, last: u64) -> Result<u64> {
    let oldest = oldest(to).await?;
    let mut readers = JoinSet::new();
    for _ in 0..sockets {
        let stream = deaf(to, &oldest).await?;
        readers.spawn(slow(stream, rate, last));
    }
    let mut bytes = 0;
    while let Some(read) = readers.join_next().await {
        bytes += read??;
    }
    Ok(bytes)
}

/// Reads slowly up to the event of this number.
async fn slow(mut stream: TcpStream, rate: u32, last: u64) -> Result<u64> {
    let mut ticks = interval(Duration::from_millis(50));
    let piece = usize::try_from(rate / 20)?;
    let (mut read, mut bytes, mut next) = (BytesMut::new(), 0, 1);
    loop {
        ticks.tick().await;
        read.reserve(piece);
        let mut little = (&mut stream).take(u64::try_from(piece)?);
        let count = little.read_buf(&mut read).await?;
        ensure!(count > 0, "closed at event {next}");
        bytes += u64::try_from(count)?;
        while let Some((opcode, payload)) = frame(&mut read)? {
            ensure!(opcode != 0x8, "closed at event {next}");
            if opcode != 0x1 {
                continue;
            }
            if let Frame::Events { events, .. } = serde_json::from_slice(&payload)? {
                for event in events {
                    ensure!(event.n == next, "{} came after {}", event.n, next - 1);
                    next += 1;
                }
            }
            if next > last {
                return Ok(bytes);
            }
        }
    }
}

/// Sends a message without end; gives how much of it was taken, and what the
/// server said.
async fn giant(to: &To, until: Instant) -> (u64, u64) {
    let sent = AtomicU64::new(0);
    let whole = async {
        let socket = Socket::follow(to, "jobs").await?;
        let (mut reads, mut writes) = socket.into_stream().into_split();
        let sends = async {
            writes.write_all(&header(0x1, GIANT)).await?;
            let piece = vec![b'x'; PIECE];
            for _ in 0..GIANT / PIECE {
                writes.write_all(&piece).await?;
                sent.fetch_add(PIECE as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        };
        let (_, code) = tokio::join!(sends, code(&mut reads));
        anyhow::Ok(code)
    };
    let code = timeout_at(until.into(), whole).await;
    let code = code.ok().and_then(Result::ok).unwrap_or(0);
    (sent.load(Ordering::Relaxed), code)
}

/// The code of the frame with which the other side closes; 0 without one.
async fn code(reads: &mut (impl AsyncRead + Unpin)) -> u64 {
    let mut read = BytesMut::new();
    loop {
        while let Ok(Some((opcode, mut payload))) = frame(&mut read) {
            if opcode == 0x8 && payload.len() >= 2 {
                return u64::from(payload.get_u16());
            }
        }
        if !matches!(reads.read_buf(&mut read).await, Ok(1..)) {
            return 0;
        }
    }
}

/// Connects, waits for the upgrade, says `hello` and leaves; gives how often all of
/// that came to pass.
async fn come_and_go(to: &To, rate: u32, until: Instant) -> Result<u64> {
    let mut ticks = interval(Duration::from_millis(1));
    // What cannot be done in its time is not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let connected = Arc::new(AtomicU64::new(0));
    let mut open = JoinSet::new();
    let mut number = 0_u64;
    let to = Arc::new(to.clone());
    while Instant::now() < until {
        ticks.tick().await;
        let due = begun.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while u128::from(number) < due {
            number += 1;
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                continue;
            };
            let last = u8::try_from(number % ADDRESSES + 2)?;
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, last));
            let (to, connected) = (Arc::clone(&to), Arc::clone(&connected));
            open.spawn(async move {
                let came = async {
                    let stream = to.connect(Some(from), None).await?;
                    let mut socket = Socket::upgrade(stream, &to).await?;
                    socket.say(&hello("jobs")).await
                };
                if came.await.is_ok() {
                    connected.fetch_add(1, Ordering::Relaxed);
                }
                drop(place);
            });
        }
        while open.try_join_next().is_some() {}
    }
    open.shutdown().await;
    Ok(connected.load(Ordering::Relaxed))
}
