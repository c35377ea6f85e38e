//! One connection through the proxy: it carries until its fate is decided.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::either::Either;

use super::{Direction, Shared, Target};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It carries.
    Flow,
    /// Neither bytes nor ends arrive.
    Swallow,
    /// Bytes do not arrive, ends do.
    Dead,
    /// It is closed at both ends.
    Close,
    /// It is reset at both ends.
    Reset,
}

/// Pieces that may be on their way at once: enough for latency not to be a
/// bound on what passes.
const ON_THE_WAY: usize = 256;
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

type Server = Either<TcpStream, UnixStream>;

/// Makes the end of a connection a reset.
pub(super) fn refuse(stream: &TcpStream) {
    // If it fails the other side sees an orderly end, which is refusal enough.
    let _ = stream.set_zero_linger();
}

/// Carries until either side is done or the fate is another than to flow.
pub(super) async fn carry(
    mut client: TcpStream,
    target: Target,
    truncate: Option<u64>,
    mut fate: watch::Receiver<Fate>,
    shared: Arc<Shared>,
) {
    // Silent from the start: no server ever hears of it.
    let server = tokio::select! {
        biased;
        _ = fate.wait_for(|fate| *fate != Fate::Flow) => None,
        connected = connect(&target) => Some(connected),
    };
    let mut server = match server {
        None => {
            let fate = sink(&mut client, None, fate).await;
            return end(&client, None, fate);
        }
        Some(Ok(server)) => server,
        Some(Err(_)) => return refuse(&client),
    };
    // What is small and goes at once is not to be held back at either hop.
    let _ = client.set_nodelay(true);
    if let Either::Left(server) = &server {
        let _ = server.set_nodelay(true);
    }
    let carried = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(&mut server);
        let loses = AtomicBool::new(false);
        let up = Pump {
            way: Direction::Up,
            limit: None,
            loses: &loses,
            shared: &shared,
        };
        let down = Pump {
            way: Direction::Down,
            limit: truncate,
            ..up
        };
        let both = async {
            tokio::try_join!(
                up.run(from_client, to_server),
                down.run(from_server, to_client)
            )
        };
        tokio::select! {
            carried = both => Some(carried.map(|_| ())),
            _ = fate.wait_for(|fate| *fate != Fate::Flow) => None,
        }
    };
    let fate = match carried {
        Some(Ok(())) => Fate::Close,
        Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Fate::Close,
        Some(Err(_)) => Fate::Reset,
        None => sink(&mut client, Some(&mut server), fate).await,
    };
    if fate == Fate::Close {
        // What was sent is to arrive before the end does.
        let _ = client.shutdown().await;
    }
    end(&client, Some(&server), fate);
}

async fn connect(target: &Target) -> io::Result<Server> {
    Ok(match target {
        Target::Tcp(address) => Either::Left(TcpStream::connect(address).await?),
        Target::Unix(path) => Either::Right(UnixStream::connect(path).await?),
    })
}

/// Says how both ends are to end when they are dropped.
fn end(client: &TcpStream, server: Option<&Server>, fate: Fate) {
    if fate == Fate::Reset {
        refuse(client);
        if let Some(Either::Left(server)) = server {
            refuse(server);
        }
    }
}

/// Takes what comes from both sides, and gives nothing to either. Ends when the
/// fate is to end or, if ends are to arrive, when one side has ended.
async fn sink(
    client: &mut TcpStream,
    server: Option<&mut Server>,
    mut fate: watch::Receiver<Fate>,
) -> Fate {
    let mut arrives = fate.clone();
    let ended = async {
        match server {
            None => drain(client).await,
            Some(server) => tokio::select! {
                () = drain(client) => {}
                () = drain(server) => {}
            },
        }
        let _ = arrives.wait_for(|fate| *fate != Fate::Swallow).await;
    };
    tokio::select! {
        decided = fate.wait_for(|fate| matches!(fate, Fate::Close | Fate::Reset)) => {
            decided.map_or(Fate::Close, |fate| *fate)
        }
        () = ended => Fate::Close,
    }
}

async fn drain(from: &mut (impl AsyncRead + Unpin)) {
    let mut piece = vec![0; PIECE];
    while from.read(&mut piece).await.is_ok_and(|length| length > 0) {}
}

/// Copies one way.
#[derive(Clone, Copy)]
struct Pump<'a> {
    way: Direction,
    /// Bytes until it is closed.
    limit: Option<u64>,
    /// Whether the next answer is to be lost.
    loses: &'a AtomicBool,
    shared: &'a Shared,
}

impl Pump<'_> {
    /// Ends when one side has and the other was told so. An end that the proxy
    /// makes is an error: `UnexpectedEof` to close, anything else to reset.
    async fn run(
        self,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let (queue, due) = mpsc::channel(ON_THE_WAY);
        tokio::try_join!(self.take(from, queue), self.give(to, due))?;
        Ok(())
    }

    async fn take(
        self,
        mut from: impl AsyncRead + Unpin,
        queue: mpsc::Sender<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            if from.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            let due = Instant::now() + self.shared.pace(self.way).latency;
            if queue.send((due, piece)).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn give(
        mut self,
        mut to: impl AsyncWrite + Unpin,
        mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        while let Some((due, mut piece)) = queue.recv().await {
            sleep_until(due).await;
            match self.way {
                // Before the server has it: its answer must not be quicker.
                Direction::Up if self.shared.is_lost() => self.loses.store(true, Ordering::Release),
                Direction::Down if self.loses.load(Ordering::Acquire) => {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Direction::Up | Direction::Down => {}
            }
            let mut closes = false;
            if let Some(left) = &mut self.limit {
                let room = usize::try_from(*left).unwrap_or(usize::MAX);
                closes = piece.len() >= room;
                piece.truncate(room);
                *left -= piece.len() as u64;
            }
            self.write(&mut to, &piece).await?;
            if closes {
                self.shared.state().truncated += 1;
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        to.shutdown().await
    }

    async fn write(self, to: &mut (impl AsyncWrite + Unpin), mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            // Asked each time: whoever ends the drip does not wait for it.
            let Some((bytes, every)) = self.shared.pace(self.way).drip else {
                return to.write_all(piece).await;
            };
            let (now, rest) = piece.split_at(bytes.min(piece.len()));
            to.write_all(now).await?;
            to.flush().await?;
            sleep_until(Instant::now() + every).await;
            piece = rest;
        }
        Ok(())
    }
}
