//! Clients that read every frame as an app would, and say how late it came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use offpeak_wire::live::{Frame, LiveWhat};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::{Message, Socket, To};
use super::writer::Writer;
use crate::figures::Samples;

/// What clients read.
#[derive(Debug, Default)]
pub struct Read {
    /// Milliseconds from each job's COMMIT to the frame that names it.
    pub late: Samples,
    /// Frames of events.
    pub frames: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// Clients that listen.
#[derive(Debug)]
pub struct Clients {
    tasks: JoinSet<Result<Read>>,
    /// How many jobs each is to hear of; none while that is open.
    expected: watch::Sender<Option<usize>>,
}

impl Clients {
    /// Opens one for each of these topics.
    pub async fn open(to: &To, topics: Vec<String>, writer: &Writer) -> Result<Self> {
        let sockets: Vec<Socket> = stream::iter(topics)
            .map(|topics| async move { Socket::follow(to, &topics).await })
            .buffer_unordered(16)
            .try_collect()
            .await?;
        let expected = watch::Sender::new(None);
        let mut tasks = JoinSet::new();
        for socket in sockets {
            tasks.spawn(listen(socket, writer.clone(), expected.subscribe()));
        }
        Ok(Self { tasks, expected })
    }

    /// What they read, once each has heard of so many jobs.
    pub async fn until(mut self, jobs: usize, within: Duration) -> Result<Read> {
        self.expected.send_replace(Some(jobs));
        let mut all = Read::default();
        let ends = async {
            while let Some(read) = self.tasks.join_next().await {
                let read = read??;
                all.late.extend(&read.late);
                all.frames += read.frames;
                all.bytes += read.bytes;
            }
            anyhow::Ok(())
        };
        let ended = timeout(within, ends).await;
        ended.with_context(|| format!("clients did not hear of {jobs} jobs in {within:?}"))??;
        Ok(all)
    }
}

async fn listen(
    mut socket: Socket,
    writer: Writer,
    mut expected: watch::Receiver<Option<usize>>,
) -> Result<Read> {
    let mut read = Read::default();
    let (mut jobs, mut last) = (0, None);
    loop {
        let enough = (*expected.borrow_and_update()).is_some_and(|all| jobs >= all);
        if enough {
            return Ok(read);
        }
        let message = tokio::select! {
            message = socket.next() => message?,
            changed = expected.changed() => {
                changed?;
                continue;
            }
        };
        let now = Instant::now();
        let Some(Message::Text(text)) = message else {
            bail!("a client was closed: {message:?}");
        };
        let frame: Frame = serde_json::from_slice(&text)?;
        let mut ids = Vec::new();
        match frame {
            Frame::Events { events, .. } => {
                for event in events {
                    ensure!(last.is_none_or(|last| last < event.n), "out of order");
                    last = Some(event.n);
                    if let LiveWhat::Job { jobs, .. } = event.what {
                        ids.extend(jobs);
                    }
                }
            }
            Frame::Rows { jobs, .. } => ids.extend(jobs.into_iter().map(|row| row.id)),
            Frame::Beat { .. } | Frame::Counts { .. } => continue,
            other => bail!("not expected: {other:?}"),
        }
        read.frames += 1;
        read.bytes += text.len();
        jobs += ids.len();
        for id in ids {
            let job = id.parse().ok().context("no id of a job")?;
            if let Some(at) = writer.committed(job) {
                read.late
                    .push(now.saturating_duration_since(at).as_secs_f64() * 1e3);
            }
        }
    }
}

/// Clients of the bare server: milliseconds from each sending to its arrival.
pub async fn bare(
    to: &To,
    count: usize,
    sent: Arc<std::sync::Mutex<Vec<Instant>>>,
    frames: usize,
) -> Result<JoinSet<Result<Samples>>> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let mut socket = Socket::open(to).await?;
        let sent = Arc::clone(&sent);
        tasks.spawn(async move {
            let mut late = Samples::default();
            while late.count() < frames {
                let message = socket.next().await?;
                let now = Instant::now();
                let Some(Message::Text(text)) = message else {
                    bail!("the bare server closed: {message:?}");
                };
                let value: serde_json::Value = serde_json::from_slice(&text)?;
                let number = value["n"].as_u64().context("no number")?;
                let sent = sent
                    .lock()
                    .map_err(|_| anyhow::anyhow!("a sender broke"))?
                    .get(usize::try_from(number)?)
                    .copied();
                let at = sent.context("a frame that nobody sent")?;
                late.push(now.saturating_duration_since(at).as_secs_f64() * 1e3);
            }
            Ok(late)
        });
    }
    Ok(tasks)
}
