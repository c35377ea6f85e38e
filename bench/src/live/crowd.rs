//! Many sockets in a process of their own, whose CPU and memory are not the
//! server's: they read what comes and count the jobs in it, no more.

use std::future::pending;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use memchr::memmem::Finder;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::abuse;
use super::socket::{Socket, To};
use crate::child::{self, Child};

const PART: &str = "crowd";
/// Handshakes at once.
const AT_ONCE: usize = 64;
/// How a job begins in a frame.
const JOB: &[u8] = b"\"job_";
const CARRY: usize = JOB.len() - 1;
/// What is read at once.
const PIECE: usize = 16_000;

/// The crowd, as the bench commands it.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    opened: usize,
}

impl Crowd {
    /// An empty one.
    pub fn start() -> Result<Self> {
        let child = Child::start(&[PART])?;
        Ok(Self { child, opened: 0 })
    }

    /// Opens so many sockets; `#` in the topics is each one's number.
    pub async fn open(&mut self, to: &To, count: usize, topics: &str) -> Result<()> {
        let To { address, path, key } = to;
        let line = format!("open {address} {path} {key} {count} {topics}");
        let opened: usize = self.asked(&line).await?;
        ensure!(opened == count, "{opened} of {count} sockets opened");
        self.opened += opened;
        Ok(())
    }

    /// Returns when each socket has read of so many jobs.
    pub async fn until(&mut self, jobs: u64, within: Duration) -> Result<()> {
        let line = format!("until {jobs} {}", within.as_secs());
        let least: u64 = self.asked(&line).await?;
        ensure!(least >= jobs, "a socket read of {least} jobs, not {jobs}");
        Ok(())
    }

    /// How many were opened.
    pub fn opened(&self) -> usize {
        self.opened
    }

    /// How many of them are still open.
    pub async fn open_still(&mut self) -> Result<usize> {
        self.asked("alive").await
    }

    /// Closes all.
    pub async fn close(&mut self) -> Result<()> {
        self.opened = 0;
        self.asked::<usize>("close").await.map(drop)
    }

    /// Is in the way for so long; says what came of it.
    pub async fn abuse(&mut self, to: &To, plan: &abuse::Plan) -> Result<abuse::Outcome> {
        let To { address, path, key } = to;
        self.asked(&format!("abuse {address} {path} {key} {plan}"))
            .await
    }

    /// Lets it end.
    pub async fn end(self) -> Result<()> {
        self.child.end().await
    }

    async fn asked<T: FromStr>(&mut self, line: &str) -> Result<T> {
        self.child.tell(line).await?;
        let said = self.child.hear().await?;
        let understood = said.parse().ok();
        understood.with_context(|| format!("the crowd says: {said}"))
    }
}

/// Plays the child, if this process is one that listens.
pub async fn play() -> Result<bool> {
    if child::part().is_none_or(|part| part != [PART]) {
        return Ok(false);
    }
    offpeak::open_files::raise()?;
    let mut orders = child::orders();
    let mut tasks = JoinSet::new();
    let mut all: Vec<Arc<Seen>> = Vec::new();
    while let Some(order) = orders.recv().await {
        let words: Vec<&str> = order.split(' ').collect();
        match words[..] {
            ["open", address, path, key, count, topics] => {
                let to = to(address, path, key)?;
                let opened = open(&to, count.parse()?, topics).await;
                match opened {
                    Ok(opened) => {
                        crate::print(opened.len());
                        for stream in opened {
                            let seen = Arc::new(Seen::default());
                            all.push(Arc::clone(&seen));
                            tasks.spawn(drain(stream, seen));
                        }
                    }
                    Err(error) => crate::print(format_args!("not opened: {error:#}")),
                }
            }
            ["until", jobs, seconds] => {
                let within = Duration::from_secs(seconds.parse()?);
                crate::print(until(&all, jobs.parse()?, within).await);
            }
            ["alive"] => crate::print(all.iter().filter(|one| !one.is_over()).count()),
            ["abuse", address, path, key, ref plan @ ..] => {
                let plan = plan.join(" ").parse()?;
                crate::print(abuse::run(to(address, path, key)?, plan).await?);
            }
            ["close"] => {
                tasks.shutdown().await;
                crate::print(all.len());
                all.clear();
            }
            _ => anyhow::bail!("no order {order:?}"),
        }
    }
    Ok(true)
}

fn to(address: &str, path: &str, key: &str) -> Result<To> {
    Ok(To {
        address: address.parse()?,
        path: path.to_owned(),
        key: key.to_owned(),
    })
}

async fn open(to: &To, count: usize, topics: &str) -> Result<Vec<TcpStream>> {
    stream::iter(0..count)
        .map(|number| async move {
            let socket = if topics == "-" {
                Socket::open(to).await?
            } else {
                Socket::follow(to, &topics.replace('#', &number.to_string())).await?
            };
            anyhow::Ok(socket.into_stream())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// What one socket has read.
#[derive(Debug, Default)]
struct Seen {
    jobs: AtomicU64,
    over: AtomicBool,
}

impl Seen {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

async fn drain(stream: TcpStream, seen: Arc<Seen>) {
    let finder = Finder::new(JOB);
    let mut carry = [0; CARRY];
    while stream.readable().await.is_ok() {
        if !read(&stream, &seen, &finder, &mut carry) {
            seen.over.store(true, Ordering::Relaxed);
            // It stays open on this side: nothing is to be seen of its end.
            pending::<()>().await;
        }
    }
}

/// Reads once, into memory that no socket keeps.
fn read(stream: &TcpStream, seen: &Seen, finder: &Finder<'_>, carry: &mut [u8; CARRY]) -> bool {
    let mut buffer = [0; CARRY + PIECE];
    match stream.try_read(&mut buffer[CARRY..]) {
        Ok(0) => false,
        Ok(length) => {
            // A job's beginning may lie across two pieces.
            buffer[..CARRY].copy_from_slice(carry);
            let jobs = finder.find_iter(&buffer[..CARRY + length]).count();
            seen.jobs.fetch_add(jobs as u64, Ordering::Relaxed);
            carry.copy_from_slice(&buffer[length..length + CARRY]);
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// What the socket that read least has read of, at the latest after that time.
async fn until(all: &[Arc<Seen>], jobs: u64, within: Duration) -> u64 {
    let least = || {
        let read = all.iter().map(|one| one.jobs.load(Ordering::Relaxed));
        read.min().unwrap_or(0)
    };
    let begun = Instant::now();
    let mut looks = interval(Duration::from_millis(2));
    let reached = async {
        while least() < jobs && begun.elapsed() < within {
            looks.tick().await;
        }
    };
    let _ = timeout(within, reached).await;
    least()
}
