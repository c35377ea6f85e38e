//! One tenant's stream in this process: the last pages of it, and a task that
//! reads on for as long as somebody follows. A hint makes it look at once;
//! without any it looks every few seconds, and acts on what it finds alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::id::TenantId;
use offpeak_store::credential::{self, Credential};
use offpeak_store::stream;
use offpeak_wire::live::Bye;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::few::{Attending, Concern, Few};
use super::hub::Shared;
use super::kept::Kept;
use super::page::{Page, Read};
use super::share::Share;
use super::sums::Sums;
use super::turns::Own;
use crate::live_cursor::LiveCursor;

/// Jobs of one reading, about.
const JOBS: u32 = 4_000;
/// How far back a tape begins, in events: who reconnects after a restart of this
/// process mostly missed a few, and all of them the same.
const BACK: u64 = 32;
/// Memory of a tenant's pages, about.
const MAX_BYTES: usize = 1_000_000;
/// Memory of all tenants' pages, about; above it each keeps little.
const MAX_BYTES_OF_ALL: usize = 200_000_000;
/// That little.
const FEW_BYTES: usize = 50_000;
/// Between two looks, for each connection that hears of everything: together they
/// are sent some seven hundred frames a second.
const FRAME: Duration = Duration::from_micros(1_500);
/// After a look that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks, however many they are.
const APART: Duration = Duration::from_millis(150);

/// How far the stream was read.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) epoch: Arc<str>,
    pub(super) seq: u64,
    pub(super) oldest: u64,
}

/// What wakes those who follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    /// None before the first look.
    pub(super) head: Option<Head>,
    /// How often credentials turned out to be over.
    judged: u64,
    /// Why everybody has to leave.
    pub(super) end: Option<Bye>,
}

/// What stands on the tape after a number.
#[derive(Debug)]
pub(super) enum Taken {
    /// The page that goes on from there.
    Page(Arc<Page>),
    /// Nothing yet.
    Nothing,
    /// It is not here: the database has it, or knows better.
    Elsewhere,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tape {
    tenant: TenantId,
    mark: watch::Sender<Mark>,
    ring: Mutex<Ring>,
    /// Held from the marks of a page to its publication.
    few: Mutex<Few>,
    bell: Notify,
    stop: CancellationToken,
    held: Mutex<HashMap<Credential, Held>>,
    /// For those who are behind the tape.
    kept: Mutex<Kept>,
    pub(super) sums: Sums,
    /// The tenant's place in line, for those who are behind and for screens.
    pub(super) behind: Own,
    pub(super) screens: Own,
}

#[derive(Debug)]
struct Ring {
    pages: VecDeque<Arc<Page>>,
    bytes: Share,
}

#[derive(Debug, Default)]
struct Held {
    connections: usize,
    over: bool,
}

impl Tape {
    /// One whose pages count among these bytes.
    pub(super) fn new(tenant: TenantId, bytes: &Arc<AtomicUsize>) -> Self {
        Self {
            tenant,
            mark: watch::Sender::default(),
            ring: Mutex::new(Ring::new(Share::of(bytes))),
            few: Mutex::default(),
            bell: Notify::new(),
            stop: CancellationToken::new(),
            held: Mutex::default(),
            kept: Mutex::new(Kept::new(Share::of(bytes))),
            sums: Sums::default(),
            behind: Own::default(),
            screens: Own::default(),
        }
    }

    pub(super) fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn marks(&self) -> watch::Receiver<Mark> {
        self.mark.subscribe()
    }

    /// Makes it look at once.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Nobody follows any more.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Makes everybody leave.
    pub(super) fn end(&self, why: Bye) {
        self.mark.send_modify(|mark| {
            mark.end.get_or_insert(why);
        });
        self.wake_few();
        self.ring();
    }

    /// Reads on until nobody follows or everybody has to leave.
    pub(super) async fn run(&self, shared: &Shared) {
        let (mut fresh, mut asked) = (Instant::now(), Instant::now());
        while !self.stop.is_cancelled() && self.mark.borrow().end.is_none() {
            let looked = Instant::now();
            let mut within = shared.options.look_every;
            match self.look(shared, &mut asked).await {
                Ok(()) => fresh = Instant::now(),
                Err(error) => {
                    within = within.min(AGAIN);
                    tracing::debug!(%error, "a look at a tenant's events failed");
                    if fresh.elapsed() > shared.options.lost_after {
                        self.end(Bye::Restarting);
                    }
                }
            }
            // Also for the question that is due, whatever was looked at meanwhile.
            let question = shared.options.ask_every.saturating_sub(asked.elapsed());
            within = within.min(question.max(APART));
            tokio::select! {
                () = self.stop.cancelled() => {}
                _ = timeout(within, self.bell.notified()) => {}
            }
            // What happens in quick succession comes together where many hear it.
            let rest = self.apart().saturating_sub(looked.elapsed());
            let _ = timeout(rest, self.stop.cancelled()).await;
        }
        lock(&self.ring).clear();
        lock(&self.kept).clear();
    }

    /// The shortest between two looks: each is a frame for everybody whom no page
    /// passes by. What follows a quiet time is looked at at once.
    fn apart(&self) -> Duration {
        let everybody = self.mark.receiver_count();
        let hear_all = everybody.saturating_sub(lock(&self.few).count());
        FRAME
            .saturating_mul(u32::try_from(hear_all).unwrap_or(u32::MAX))
            .min(APART)
    }

    async fn look(&self, shared: &Shared, asked: &mut Instant) -> offpeak_store::Result<()> {
        let Ok(_turn) = shared.turns.acquire().await else {
            return Ok(());
        };
        let mut tx = shared.tenants.begin(self.tenant).await?;
        let read = Read {
            at: tx.now(),
            here: Instant::now(),
        };
        self.ask_if_due(shared, &mut tx, asked).await?;
        let head = stream::head(&mut tx).await?;
        let known = self.mark.borrow().head.clone();
        // Of another database, or of one whose last transactions are lost, nothing
        // that stands here is true.
        let known = known.filter(|known| *known.epoch == head.epoch && known.seq <= head.seq);
        let epoch: Arc<str> = match &known {
            Some(known) => Arc::clone(&known.epoch),
            None => head.epoch.as_str().into(),
        };
        let goes_on = known.is_some();
        let mut at = known.map_or_else(
            || {
                lock(&self.ring).clear();
                lock(&self.kept).clear();
                let oldest = head.oldest.saturating_sub(1);
                head.seq.saturating_sub(BACK).max(oldest).min(head.seq)
            },
            |known| known.seq,
        );
        while at < head.seq {
            let events = stream::after(&mut tx, at, JOBS).await?;
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                break;
            };
            let (gap, last) = (first.seq != at + 1, last.seq);
            let pages = Page::cut(&epoch, read, events);
            lock(&self.ring).extend(&pages, gap);
            at = last;
            if goes_on {
                self.publish(&epoch, at, head.oldest, &pages);
            }
            // However much there is to read.
            self.ask_if_due(shared, &mut tx, asked).await?;
        }
        self.publish(&epoch, at.max(head.seq), head.oldest, &[]);
        if !goes_on {
            self.wake_few();
        }
        lock(&self.kept).age();
        Ok(())
    }

    async fn ask_if_due(
        &self,
        shared: &Shared,
        tx: &mut offpeak_store::TenantTx,
        asked: &mut Instant,
    ) -> offpeak_store::Result<()> {
        if asked.elapsed() >= shared.options.ask_every {
            self.ask(tx).await?;
            *asked = Instant::now();
        }
        Ok(())
    }

    /// Says how far the stream was read, and wakes those whom that concerns.
    fn publish(&self, epoch: &Arc<str>, seq: u64, oldest: u64, pages: &[Arc<Page>]) {
        let mut woken = Vec::new();
        let few = lock(&self.few);
        for page in pages {
            few.mark(page, &mut woken);
        }
        self.mark.send_if_modified(|mark| {
            let same = |head: &Head| head.epoch == *epoch && head.seq == seq;
            let moved = !mark.head.as_ref().is_some_and(same);
            mark.head = Some(Head {
                epoch: Arc::clone(epoch),
                seq,
                oldest,
            });
            moved
        });
        drop(few);
        for slot in woken {
            slot.ring();
        }
    }

    fn wake_few(&self) {
        lock(&self.few).all().for_each(|slot| slot.ring());
    }

    /// Wakes somebody for what concerns it alone, from now on.
    pub(super) fn attend(&self, concern: Concern) -> Attending {
        let mut few = lock(&self.few);
        let unmarked = self.mark.borrow().head.as_ref().map_or(0, |head| head.seq);
        few.add(concern, unmarked)
    }

    /// It left.
    pub(super) fn leave(&self, attending: &Attending) {
        lock(&self.few).remove(attending);
    }

    /// Whether those by whom connections came in still would.
    async fn ask(&self, tx: &mut offpeak_store::TenantTx) -> offpeak_store::Result<()> {
        let asked: Vec<Credential> = lock(&self.held)
            .iter()
            .filter(|(_, held)| !held.over)
            .map(|(credential, _)| *credential)
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let alive = credential::alive(tx, &asked).await?;
        let over: HashSet<Credential> = asked
            .into_iter()
            .filter(|credential| !alive.contains(credential))
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        for (credential, held) in lock(&self.held).iter_mut() {
            held.over |= over.contains(credential);
        }
        self.mark.send_modify(|mark| mark.judged += 1);
        self.wake_few();
        Ok(())
    }

    /// A connection came in by this.
    pub(super) fn hold(&self, credential: Credential) {
        lock(&self.held).entry(credential).or_default().connections += 1;
    }

    /// It left.
    pub(super) fn release(&self, credential: Credential) {
        let mut held = lock(&self.held);
        if let Some(one) = held.get_mut(&credential) {
            one.connections = one.connections.saturating_sub(1);
            if one.connections == 0 {
                held.remove(&credential);
            }
        }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self, credential: Credential) -> bool {
        lock(&self.held)
            .get(&credential)
            .is_some_and(|held| held.over)
    }

    /// What stands after `seq`, for somebody who has seen `head`.
    pub(super) fn after(&self, head: &Head, seq: u64) -> Taken {
        if seq >= head.seq {
            return if seq == head.seq {
                Taken::Nothing
            } else {
                Taken::Elsewhere
            };
        }
        let ring = lock(&self.ring);
        let place = ring.pages.partition_point(|page| page.last <= seq);
        match ring.pages.get(place) {
            Some(page) if page.goes_on(&head.epoch, seq) => Taken::Page(Arc::clone(page)),
            _ => Taken::Elsewhere,
        }
    }

    /// Keeps what was read for somebody who is behind, for others who are.
    pub(super) fn keep(&self, pages: &[Arc<Page>]) {
        let most = most_bytes(lock(&self.ring).bytes.all());
        lock(&self.kept).add(pages, most);
    }

    /// The page that goes on from there, if somebody else had it read.
    pub(super) fn kept(&self, cursor: &LiveCursor) -> Option<Arc<Page>> {
        lock(&self.kept).after(&cursor.epoch, cursor.seq)
    }
}

impl Ring {
    fn new(bytes: Share) -> Self {
        Self {
            pages: VecDeque::new(),
            bytes,
        }
    }

    /// Adds pages; before a gap nothing is kept.
    fn extend(&mut self, pages: &[Arc<Page>], gap: bool) {
        if gap {
            self.clear();
        }
        self.pages.extend(pages.iter().map(Arc::clone));
        let mut bytes = self.pages.iter().map(|page| page.bytes()).sum();
        let most = most_bytes(self.bytes.all());
        while bytes > most
            && self.pages.len() > 1
            && let Some(page) = self.pages.pop_front()
        {
            bytes -= page.bytes();
        }
        self.bytes.set(bytes);
    }

    fn clear(&mut self) {
        self.pages.clear();
        self.bytes.set(0);
    }
}

/// What one tenant's pages may take, where those of all take so much.
fn most_bytes(all: usize) -> usize {
    if all > MAX_BYTES_OF_ALL {
        FEW_BYTES
    } else {
        MAX_BYTES
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
