//! What follows events in this process, and for whom. One task hears hints for
//! all, each tenant that somebody follows has a [`Tape`], and connections take
//! from it what they have not seen. If the process dies here, clients reconnect
//! elsewhere with their cursors.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offpeak_domain::id::TenantId;
use offpeak_domain::limits::Limits;
use offpeak_store::Tenants;
use offpeak_store::credential::Credential;
use offpeak_store::notify::{Heard, Listener};
use offpeak_wire::live::Bye;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::few::{Attending, Concern};
use super::measured::Measured;
use super::places::{Holder, Place, Places};
use super::tape::{Head, Mark, Taken, Tape, lock};
use super::turns::Turns;
use crate::error::Result;

/// Tapes that read on at once.
const TAPES: usize = 4;
/// Connections that read what is on no tape at once: however many come back from
/// long ago, those who are up to date do not wait for them.
const BEHIND: usize = 2;
/// Connections that read for their screens at once, and wait for none of those.
const SCREENS: usize = 2;
/// Connections that are told at once that there is no room for them.
const TURNED_AWAY: usize = 64;
/// Between two tries to hear hints.
const PAUSE: Duration = Duration::from_secs(1);

/// How live connections behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections of this process, at most.
    pub max_connections: usize,
    /// Of one API key, at most.
    pub max_connections_per_key: usize,
    /// Of one session, at most.
    pub max_connections_per_session: usize,
    /// By the tickets of one user, or by one ticket of a group, at most.
    pub max_connections_per_ticket: usize,
    /// How many events somebody may have missed who comes back and wants them all.
    pub max_behind: u64,
    /// The same for whom the last state is enough, and for whoever has a ticket.
    pub max_behind_on_screen: u64,
    /// The longest between two looks at a stream that nobody announced.
    pub look_every: Duration,
    /// The shortest between two questions whether credentials still hold; the
    /// longest is this and `look_every`.
    pub ask_every: Duration,
    /// For how long the database may say nothing before connections are of no use.
    pub lost_after: Duration,
    /// How long nothing is sent, at most.
    pub heartbeat: Duration,
    /// For the client's first message.
    pub hello_within: Duration,
    /// For a client to take a frame.
    pub send_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_connections_per_key: 10_000,
            max_connections_per_session: 100,
            max_connections_per_ticket: 20,
            max_behind: 1_000_000,
            max_behind_on_screen: 10_000,
            look_every: Duration::from_secs(2),
            ask_every: Duration::from_secs(2),
            lost_after: Duration::from_secs(15),
            heartbeat: Duration::from_secs(20),
            hello_within: Duration::from_secs(10),
            send_within: Duration::from_secs(10),
        }
    }
}

/// Live connections of one process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

pub(super) struct Shared {
    pub(super) tenants: Tenants,
    pub(super) options: Options,
    pub(super) measured: Measured,
    /// A tape that reads the database has one.
    pub(super) turns: Semaphore,
    /// Whoever else does has one of these.
    pub(super) behind: Turns,
    pub(super) screens: Turns,
    turned_away: Arc<Semaphore>,
    /// Memory of all pages that are kept.
    bytes: Arc<AtomicUsize>,
    /// Rows that wait for the clients of all.
    pub(super) rows: Arc<AtomicUsize>,
    stop: CancellationToken,
    listening: AtomicBool,
    /// With how many follow each.
    tapes: Mutex<HashMap<TenantId, (Arc<Tape>, usize)>>,
    places: Places,
    tasks: TaskTracker,
}

impl Hub {
    /// Connections to the database that it uses at once, at most.
    pub const CONNECTIONS: u32 = 8;

    /// One that makes everybody leave at `stop`. Its `tenants` should be its own:
    /// else every request that waits for a connection holds up all who follow.
    pub fn new(tenants: Tenants, options: Options, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            tenants,
            options,
            measured: Measured::default(),
            turns: Semaphore::new(TAPES),
            behind: Turns::new(BEHIND),
            screens: Turns::new(SCREENS),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            bytes: Arc::default(),
            rows: Arc::default(),
            stop,
            listening: AtomicBool::new(false),
            tapes: Mutex::default(),
            places: Places::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Adds its metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.0.measured.register(registry);
    }

    /// Returns after the stop, when everybody has left.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(super) fn measured(&self) -> &Measured {
        &self.0.measured
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Runs something that [`Hub::ended`] waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// A task that [`Hub::ended`] waits for.
    pub(super) fn token(&self) -> tokio_util::task::task_tracker::TaskTrackerToken {
        self.0.tasks.token()
    }

    /// Room for one more connection.
    pub(super) fn place(
        &self,
        whose: (TenantId, Holder),
        limits: &Limits,
        kind: &'static str,
    ) -> Result<Place> {
        self.0.places.take(self, whose, limits, kind)
    }

    pub(super) fn places(&self) -> &Places {
        &self.0.places
    }

    /// May tell one that there is no room for it; none while many are being told.
    pub(super) fn turns_away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.turned_away).try_acquire_owned().ok()
    }

    /// Follows a tenant's stream, for as long as `credential` holds.
    pub(super) fn follow(&self, tenant: TenantId, credential: Option<Credential>) -> Follower {
        if !self.0.listening.swap(true, Ordering::Relaxed) {
            self.0.tasks.spawn(listen(Arc::clone(&self.0)));
        }
        let tape = {
            let mut tapes = lock(&self.0.tapes);
            let (tape, followers) = tapes
                .entry(tenant)
                .or_insert_with(|| (self.tape(tenant), 0));
            *followers += 1;
            Arc::clone(tape)
        };
        if let Some(credential) = credential {
            tape.hold(credential);
        }
        // What is stopped while this begins must not be missed.
        if self.0.stop.is_cancelled() {
            tape.end(Bye::Restarting);
        }
        Follower {
            hub: self.clone(),
            seen: tape.marks(),
            tape,
            credential,
            few: None,
        }
    }

    fn tape(&self, tenant: TenantId) -> Arc<Tape> {
        let tape = Arc::new(Tape::new(tenant, &self.0.bytes));
        let (shared, running) = (Arc::clone(&self.0), Arc::clone(&tape));
        self.0.tasks.spawn(async move {
            running.run(&shared).await;
            // Whoever comes after an end begins anew.
            if let Entry::Occupied(entry) = lock(&shared.tapes).entry(tenant)
                && Arc::ptr_eq(&entry.get().0, &running)
            {
                entry.remove();
            }
        });
        tape
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// Wakes tapes by the hints of the database, until the stop; then ends them.
async fn listen(shared: Arc<Shared>) {
    let hear = async {
        loop {
            match Listener::of_live(&shared.tenants).await {
                Ok(mut listener) => {
                    wake(&shared, None);
                    while let Ok(heard) = listener.heard().await {
                        wake(&shared, Some(&heard));
                    }
                }
                Err(error) => tracing::debug!(%error, "hints cannot be heard"),
            }
            if timeout(PAUSE, shared.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    };
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = hear => {}
    }
    for (tape, _) in lock(&shared.tapes).values() {
        tape.end(Bye::Restarting);
    }
}

fn wake(shared: &Shared, heard: Option<&Heard>) {
    let tapes = lock(&shared.tapes);
    if let Some(Heard::Numbered(whose)) = heard {
        for tenant in whose {
            if let Some((tape, _)) = tapes.get(tenant) {
                tape.ring();
            }
        }
    } else {
        tapes.values().for_each(|(tape, _)| tape.ring());
    }
}

/// Somebody who follows a tenant's stream.
#[derive(Debug)]
pub(super) struct Follower {
    hub: Hub,
    tape: Arc<Tape>,
    seen: watch::Receiver<Mark>,
    credential: Option<Credential>,
    few: Option<Attending>,
}

impl Follower {
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(super) fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// How far the stream was read; none before the first look.
    pub(super) fn head(&self) -> Option<Head> {
        self.seen.borrow().head.clone()
    }

    /// How far the stream was read, once it is known.
    pub(super) async fn begun(&mut self) -> std::result::Result<Head, Bye> {
        loop {
            if let Some(why) = self.over() {
                return Err(why);
            }
            if let Some(head) = self.head() {
                return Ok(head);
            }
            self.changed().await;
        }
    }

    /// Why it has to leave, if it has to.
    pub(super) fn over(&self) -> Option<Bye> {
        let end = self.seen.borrow().end;
        end.or_else(|| {
            let over = self.credential.is_some_and(|one| self.tape.is_over(one));
            over.then_some(Bye::Unauthenticated)
        })
    }

    /// Waits until it has to leave. May be dropped before that.
    pub(super) async fn ends(&mut self) -> Bye {
        loop {
            self.look();
            match self.over() {
                Some(why) => return why,
                None => self.changed().await,
            }
        }
    }

    /// What stands after `seq`, for somebody who has seen `head`.
    pub(super) fn after(&self, head: &Head, seq: u64) -> Taken {
        self.tape.after(head, seq)
    }

    /// From now on only what concerns it wakes it.
    pub(super) fn attend(&mut self, concern: Concern) {
        self.few = Some(self.tape.attend(concern));
    }

    /// The number after which something may concern it, for somebody who has seen
    /// `head` and looked at everything up to `seq`.
    pub(super) fn pass(&mut self, head: &Head, seq: u64) -> u64 {
        match &mut self.few {
            Some(few) => few.pass(head.seq, seq),
            None => seq,
        }
    }

    /// What was looked at is of no use: it goes on elsewhere.
    pub(super) fn lost(&mut self) {
        if let Some(few) = self.few.take() {
            // Marks of another epoch mean nothing.
            self.tape.leave(&few);
            self.attend(few.concern());
        }
    }

    /// Everything up to here has been looked at: returns when there is more.
    /// May be dropped before that.
    pub(super) async fn changed(&mut self) {
        match &self.few {
            Some(few) => few.rung().await,
            // The sender lives in the tape, which is held.
            None => {
                let _ = self.seen.changed().await;
            }
        }
    }

    /// From now on [`Follower::changed`] means later than this.
    pub(super) fn look(&mut self) {
        self.seen.mark_unchanged();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(credential) = self.credential {
            self.tape.release(credential);
        }
        if let Some(few) = &self.few {
            self.tape.leave(few);
        }
        let tenant = self.tape.tenant();
        let mut tapes = lock(&self.hub.0.tapes);
        let Entry::Occupied(mut entry) = tapes.entry(tenant) else {
            return;
        };
        // One that ended may have been replaced.
        let (tape, followers) = entry.get_mut();
        if !Arc::ptr_eq(tape, &self.tape) {
            return;
        }
        *followers -= 1;
        if *followers == 0 {
            tape.stop();
            entry.remove();
        }
    }
}
