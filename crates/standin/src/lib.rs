//! A local server with the same outside as Anthropic's API: message batches,
//! messages, token counting, models. With it everything can be built, tried and
//! tested without a key or a network.
//!
//! It keeps all batches and an append-only journal of every billed item in a
//! folder of its own; killed at any point and opened again, it goes on where it
//! was, and nothing stands in the journal twice. Whatever looks random follows
//! from its seed.
//!
//! What it never does: call anything else, understand a prompt (answers are
//! extracts of the input), hold a batch or its results in memory, or read the
//! time anywhere but in [`Clock`].
//!
//! If the process dies here: a create that was not answered is either stored as a
//! whole or not at all; a batch that was being ended is ended again, with the same
//! results, and only the journal entries that are missing are added.

mod answer;
mod behavior;
mod brief;
mod cache;
mod caller;
mod check;
mod choice;
mod clock;
mod dice;
mod edge;
mod evidence;
mod fault;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod journal;
mod models;
mod price;
mod prose;
mod rates;
mod record;
mod refusal;
mod report;
mod routes;
mod schema;
mod script;
mod settle;
mod shelf;
mod split;
mod spool;
mod tokens;
mod wire;
mod world;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

pub use behavior::{Behavior, Gzip, When};
pub use clock::{Clock, Manual};
pub use fault::lines::{Damage, LineFault};
pub use fault::plan::Plan;
pub use fault::rule::{Always, Call, Fault, Form, Reset, Rule, Status, Times};
pub use fault::{CreateStatus, Faults, ResultsCut};
pub use journal::Billed;
pub use script::{Script, ScriptError, Turnaround};

use world::World;

/// How a stand-in is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of its own; made if it is missing.
    pub data: PathBuf,
    /// API keys that are let in; none = any. Each key is a workspace of its own.
    pub keys: Vec<String>,
    /// Where its time comes from.
    pub clock: Clock,
    /// How long a batch takes; drawn evenly from here for each.
    pub turnaround: Range<Duration>,
    /// What everything that looks random follows from.
    pub seed: u64,
    /// The limits that it keeps.
    pub limits: Limits,
    /// Scheme and host of `results_url`; by default those that the client used.
    pub public_url: Option<String>,
    /// What it is to do differently from the start; its seed and turnaround, where
    /// it has them, take the place of those above.
    pub script: Option<Script>,
}

impl Options {
    /// A stand-in in this folder that lets any key in, runs on the machine's clock
    /// and ends a batch after 5 to 15 seconds.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            keys: Vec::new(),
            clock: Clock::System,
            turnaround: Duration::from_secs(5)..Duration::from_secs(15),
            seed: 1,
            limits: Limits::default(),
            public_url: None,
            script: None,
        }
    }
}

/// Limits of the API.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Items in a batch.
    pub max_items: u32,
    /// Bytes in the body of a create.
    pub max_bytes: u64,
    /// Items that wait in one workspace.
    pub max_queued: u64,
    /// Calls to the batch endpoints per workspace and minute; `None` = no limit.
    pub calls_per_minute: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_items: 100_000,
            max_bytes: 256_000_000,
            max_queued: 500_000,
            calls_per_minute: None,
        }
    }
}

/// Why a stand-in could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder open.
    #[error("another stand-in uses {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be used, or what stands in it is not a stand-in's.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An open stand-in. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Standin {
    world: Arc<World>,
}

impl Standin {
    /// Opens the folder and goes on where it was left.
    pub fn open(options: Options) -> Result<Self, Error> {
        Ok(Self {
            world: Arc::new(World::open(options)?),
        })
    }

    /// The server as a router, for calls without a network.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.world))
    }

    /// Serves until `shutdown` is done. Only so can a connection be cut by a fault.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = self
            .router()
            .into_make_service_with_connect_info::<wire::Cord>();
        axum::serve(wire::Listener(listener), service)
            .with_graceful_shutdown(shutdown)
            .await
    }

    /// Ends every batch whose time has come; requests do it for small ones.
    pub async fn settle_due(&self) {
        self.world.settle_due().await;
    }

    /// Every billed item, oldest first. Call [`settle_due`](Self::settle_due)
    /// before, if batches may have ended that nobody has asked for since.
    pub fn journal(&self) -> io::Result<Vec<Billed>> {
        self.world.journal.read()
    }

    /// Adds faults to those that are set.
    pub fn set_faults(&self, faults: Faults) {
        self.world.faults().merge(faults);
    }

    /// Sets the switches for what the API leaves open.
    pub fn set_behavior(&self, behavior: Behavior) {
        self.world.set_behavior(behavior);
    }

    /// Forgets every fault that is set.
    pub fn clear_faults(&self) {
        *self.world.faults() = Faults::default();
    }

    /// Lets held batches go; each takes a turnaround from now. Gives their number.
    pub fn release(&self) -> io::Result<usize> {
        self.world.release()
    }
}
