//! A process that stops between two calls of the database, as a machine that
//! sleeps or a paused container does: what it sends is held back at a chosen
//! message, and let go when the test says so.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What passes: everything, or so many messages more.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    left: Option<u64>,
    frozen: bool,
}

/// Stands between a process and its database.
#[derive(Debug)]
pub struct Freezer {
    gate: Arc<watch::Sender<Gate>>,
    _folder: TempDir,
    _serving: AbortOnDropHandle<()>,
}

impl Freezer {
    /// Puts itself before the database of these options; gives those to use.
    pub fn before(connect: &PgConnectOptions) -> Result<(Self, PgConnectOptions)> {
        let socket = connect.get_socket().context("the tests use a socket")?;
        let name = format!(".s.PGSQL.{}", connect.get_port());
        let database = socket.join(&name);
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join(&name))?;
        let gate = Arc::new(watch::Sender::new(Gate::default()));
        let serving = tokio::spawn(serve(listener, database, Arc::clone(&gate)));
        let through = connect.clone().socket(folder.path());
        let freezer = Self {
            gate,
            _folder: folder,
            _serving: AbortOnDropHandle::new(serving),
        };
        Ok((freezer, through))
    }

    /// Lets so many messages through, and then none.
    pub fn freeze_after(&self, messages: u64) {
        self.gate.send_replace(Gate {
            left: Some(messages),
            frozen: false,
        });
    }

    /// Waits until a message is held back.
    pub async fn frozen(&self) {
        // The sender lives as long as this.
        let _ = self.gate.subscribe().wait_for(|gate| gate.frozen).await;
    }

    /// Lets everything go on.
    pub fn thaw(&self) {
        self.gate.send_replace(Gate::default());
    }
}

async fn serve(listener: UnixListener, database: PathBuf, gate: Arc<watch::Sender<Gate>>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&database).await else {
            continue;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(copy(from_client, to_server, Some(Arc::clone(&gate))));
        tokio::spawn(copy(from_server, to_client, None));
    }
}

/// Copies until either side is done; each piece passes the gate before.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    gate: Option<Arc<watch::Sender<Gate>>>,
) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length) = from.read(&mut piece).await {
        if length == 0 {
            break;
        }
        if let Some(gate) = &gate {
            pass(gate).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
}

async fn pass(gate: &watch::Sender<Gate>) {
    let mut held = false;
    gate.send_if_modified(|gate| match &mut gate.left {
        None => false,
        Some(0) => {
            held = true;
            gate.frozen = true;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
    });
    if held {
        let _ = gate.subscribe().wait_for(|gate| gate.left.is_none()).await;
    }
}
