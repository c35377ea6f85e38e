//! Slow clients, in a process of their own: thousands of sockets that send a head or a
//! body byte by byte, take an answer byte by byte, or do nothing. One that the server
//! closes is opened again at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use offpeak::open_files;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::child::{self, Child};

const PART: &str = "slow";
/// Between two bytes of a socket.
const STEP: Duration = Duration::from_secs(1);
/// Bytes that the system keeps for a socket that does not read, so that the server
/// notices.
const KEPT: u32 = 4_096;

/// What all of them come to.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    closed: AtomicU64,
}

/// Starts so many against the server; returns when nine of ten are open.
pub async fn start(address: &str, key: &str, count: usize) -> Result<Child> {
    let mut child = Child::start(&[PART, address, key, &count.to_string()])?;
    child.hear().await?;
    Ok(child)
}

/// How many are open at this moment, and how many the server has closed.
pub async fn counts(child: &mut Child) -> Result<(u64, u64)> {
    child.tell("counts").await?;
    let said = child.hear().await?;
    let (open, closed) = said.split_once(' ').context("two counts")?;
    Ok((open.parse()?, closed.parse()?))
}

/// Plays the child, if this process is one that is slow.
pub async fn play() -> Result<bool> {
    let Some(part) = child::part() else {
        return Ok(false);
    };
    let [name, address, key, count] = &part[..] else {
        return Ok(false);
    };
    if name != PART {
        return Ok(false);
    }
    open_files::raise()?;
    let (address, count) = (address.parse()?, count.parse::<u64>()?);
    let counts = Arc::new(Counts::default());
    let heads: [Arc<str>; 4] = heads(key).map(Into::into);
    for number in 0..count {
        let kind = usize::try_from(number % 4)?;
        let (head, counts) = (Arc::clone(&heads[kind]), Arc::clone(&counts));
        tokio::spawn(async move {
            loop {
                // The server ends it: that is what is measured.
                let _ = slow(address, kind, &head, &counts).await;
                counts.closed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    // Some are always about to be opened again.
    while counts.open.load(Ordering::Relaxed) * 10 < count * 9 {
        ticks.tick().await;
        anyhow::ensure!(begun.elapsed() < Duration::from_mins(1), "they do not open");
    }
    crate::print("open");
    let mut orders = child::orders();
    while orders.recv().await.is_some() {
        let (open, closed) = (
            counts.open.load(Ordering::Relaxed),
            counts.closed.load(Ordering::Relaxed),
        );
        crate::print(format_args!("{open} {closed}"));
    }
    // Whoever started us is done, or gone.
    std::process::exit(0)
}

/// What a socket of each kind sends at once, before it becomes slow.
fn heads(key: &str) -> [String; 4] {
    let asks = format!("host: x\r\nauthorization: Bearer {key}\r\n");
    [
        "GET /v1/jobs HTTP/1.1\r\nx: ".to_owned(),
        format!(
            "POST /v1/jobs HTTP/1.1\r\n{asks}content-type: application/json\r\n\
             content-length: 1000000\r\n\r\n"
        ),
        // So many answers that no buffer holds them.
        format!("GET /openapi.json HTTP/1.1\r\n{asks}\r\n").repeat(20),
        String::new(),
    ]
}

async fn slow(address: SocketAddr, kind: usize, head: &str, counts: &Counts) -> Result<()> {
    let mut socket = connect(address).await?;
    counts.open.fetch_add(1, Ordering::Relaxed);
    let ended = trickle(&mut socket, kind, head).await;
    counts.open.fetch_sub(1, Ordering::Relaxed);
    ended
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(KEPT)?;
    Ok(socket.connect(address).await?)
}

async fn trickle(socket: &mut TcpStream, kind: usize, head: &str) -> Result<()> {
    socket.write_all(head.as_bytes()).await?;
    let mut ticks = tokio::time::interval(STEP);
    loop {
        ticks.tick().await;
        match kind {
            0 | 1 => {
                socket.write_all(b"x").await?;
                // A refusal is read, and with it the end.
                let mut said = [0; 512];
                match socket.try_read(&mut said) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                        return Err(error.into());
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            // One has answers without end to take, the other waits for one in vain.
            _ => {
                socket.read_u8().await?;
            }
        }
    }
}
