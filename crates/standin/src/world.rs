//! What all requests share.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::Value;
use time::OffsetDateTime;

use crate::behavior::Behavior;
use crate::cache::Warm;
use crate::dice::{self, Dice};
use crate::edge::Drawn;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::rates::Rates;
use crate::record::Record;
use crate::script::{Script, Turnaround};
use crate::settle::settle;
use crate::shelf::Shelf;
use crate::{Clock, Error, Limits, Options};

/// Items of a batch that is small.
const SMALL: u32 = 1_000;
/// A request waits for small batches to be ended while they have no more items
/// than this together; what it does not wait for stays in progress meanwhile.
const WAITED_FOR: u64 = 5_000;

/// The stand-in's inside.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) shelf: Shelf,
    pub(crate) journal: Journal,
    /// What was answered but is free; for usage reports.
    pub(crate) unbilled: Journal,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) public_url: Option<String>,
    pub(crate) seed: u64,
    keys: Vec<String>,
    turnaround: Mutex<Range<Duration>>,
    behavior: Mutex<Behavior>,
    faults: Mutex<Faults>,
    warm: Mutex<Warm>,
    pub(crate) rates: Rates,
    /// Calls so far: what is drawn for each follows from its number.
    draws: AtomicU64,
    /// Makes ids of requests and direct messages differ, over restarts too.
    opened: String,
    counter: AtomicU64,
    settling_small: Arc<tokio::sync::Mutex<()>>,
    settling_big: Arc<tokio::sync::Mutex<()>>,
    /// Held as long as the folder is open; the system lets go of it when we die.
    _lock: File,
}

impl World {
    pub(crate) fn open(options: Options) -> Result<Self, Error> {
        let Options {
            data,
            keys,
            clock,
            turnaround,
            seed,
            limits,
            public_url,
            script,
        } = options;
        let script = script.unwrap_or_default();
        let turnaround = script.turnaround.map_or(turnaround, |range| {
            Duration::from_millis(range.min_ms)..Duration::from_millis(range.max_ms)
        });
        let folder = |source| Error::Folder {
            path: data.clone(),
            source,
        };
        fs::create_dir_all(&data).map_err(folder)?;
        let lock = File::create(data.join("lock")).map_err(folder)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse { path: data.clone() },
            TryLockError::Error(source) => folder(source),
        })?;
        Ok(Self {
            shelf: Shelf::open(&data).map_err(folder)?,
            journal: Journal::open(&data.join("journal.ndjson")).map_err(folder)?,
            opened: clock.now().unix_timestamp_nanos().to_string(),
            clock,
            limits,
            public_url,
            seed: script.seed.unwrap_or(seed),
            unbilled: Journal::open(&data.join("unbilled.ndjson")).map_err(folder)?,
            keys,
            turnaround: Mutex::new(turnaround),
            behavior: Mutex::new(script.behavior),
            faults: Mutex::new(script.faults),
            warm: Mutex::default(),
            rates: Rates::default(),
            draws: AtomicU64::new(0),
            counter: AtomicU64::new(0),
            settling_small: Arc::default(),
            settling_big: Arc::default(),
            _lock: lock,
        })
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    /// A fresh id for something that no record stands for.
    pub(crate) fn fresh_id(&self, prefix: &str) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed).to_string();
        dice::id(prefix, self.seed, &[&self.opened, &count])
    }

    /// The workspace of a key, if the key is let in.
    pub(crate) fn workspace(&self, key: &str) -> Option<String> {
        // Keys that differ only behind a `#` are of one workspace.
        let shared = key.split('#').next().unwrap_or(key);
        (self.keys.is_empty() || self.keys.iter().any(|known| known == key))
            .then(|| dice::id("wrkspc_", 0, &[shared]))
    }

    /// Whether a key is an Admin key, which steers the organization.
    pub(crate) fn is_admin(key: &str) -> bool {
        key.starts_with("sk-ant-admin")
    }

    pub(crate) fn behavior(&self) -> Behavior {
        locked(&self.behavior).clone()
    }

    pub(crate) fn set_behavior(&self, behavior: Behavior) {
        *locked(&self.behavior) = behavior;
    }

    /// Changes some switches, given as JSON; gives all.
    pub(crate) fn change_behavior(&self, change: &Value) -> Result<Behavior, serde_json::Error> {
        let mut behavior = locked(&self.behavior);
        *behavior = behavior.change(change)?;
        Ok(behavior.clone())
    }

    /// Does what a script says, less its seed.
    pub(crate) fn follow(&self, script: Script) {
        if let Some(Turnaround { min_ms, max_ms }) = script.turnaround {
            self.set_turnaround(Duration::from_millis(min_ms)..Duration::from_millis(max_ms));
        }
        *locked(&self.behavior) = script.behavior;
        *self.faults() = script.faults;
    }

    /// A name for the dice of one call.
    pub(crate) fn next_draw(&self) -> String {
        self.draws.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// What is warm in the prompt cache now.
    pub(crate) fn warm(&self) -> Warm {
        locked(&self.warm).clone()
    }

    pub(crate) fn keep_warm(&self, warm: Warm) {
        locked(&self.warm).absorb(warm, self.now().unix_timestamp());
    }

    /// Scheme and host for URLs in answers: the configured ones, else the client's.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        format!("http://{}", host.unwrap_or("localhost"))
    }

    /// A batch as a call is to see it.
    pub(crate) fn show(&self, record: &Record, headers: &HeaderMap, drawn: &Drawn) -> Value {
        let behavior = self.behavior();
        let batch = record.show(self.now(), &self.origin(headers), &behavior);
        drawn.show(&batch, self.seed)
    }

    pub(crate) fn turnaround(&self) -> Range<Duration> {
        locked(&self.turnaround).clone()
    }

    pub(crate) fn set_turnaround(&self, range: Range<Duration>) {
        *locked(&self.turnaround) = range;
    }

    /// A turnaround for one purpose, in milliseconds.
    pub(crate) fn draw_turnaround(&self, parts: &[&str]) -> u64 {
        let range = self.turnaround();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let start = millis(range.start);
        start + Dice::new(self.seed, parts).below(millis(range.end).saturating_sub(start))
    }

    /// Lets held batches go; they take a turnaround from now.
    pub(crate) fn release(&self) -> io::Result<usize> {
        let now = self.now();
        let held: Vec<Record> = self
            .shelf
            .all()
            .into_iter()
            .filter(|record| record.held || record.plan.never_ends)
            .filter(|record| record.settled.is_none() && !record.is_due(now))
            .collect();
        for record in &held {
            let age = u64::try_from((now - record.created_at).whole_milliseconds()).unwrap_or(0);
            let turnaround_ms = age + self.draw_turnaround(&[&record.id, "released"]);
            self.shelf.change(record.seq, |record| {
                record.held = false;
                record.plan.never_ends = false;
                record.turnaround_ms = turnaround_ms;
            })?;
        }
        Ok(held.len())
    }

    /// Ends batches whose time has come, as far as a request may wait for it.
    pub(crate) async fn catch_up(self: &Arc<Self>) {
        let due = self.shelf.due(self.now());
        let (small, big): (Vec<Record>, Vec<Record>) =
            due.into_iter().partition(Size::Small.fits());
        let items: u64 = small.iter().map(|record| u64::from(record.items)).sum();
        if items > WAITED_FOR {
            tokio::spawn(Arc::clone(self).settle(Size::Small));
        } else if items > 0 {
            Arc::clone(self).settle(Size::Small).await;
        }
        // While some are being ended already, the others wait for a later request.
        if !big.is_empty() && self.settling_big.try_lock().is_ok() {
            tokio::spawn(Arc::clone(self).settle(Size::Big));
        }
    }

    /// Ends every batch whose time has come.
    pub(crate) async fn settle_due(self: &Arc<Self>) {
        for size in [Size::Small, Size::Big] {
            Arc::clone(self).settle(size).await;
        }
    }

    /// Ends the due batches of one size, one at a time.
    async fn settle(self: Arc<Self>, size: Size) {
        let settling = match size {
            Size::Small => &self.settling_small,
            Size::Big => &self.settling_big,
        };
        let turn = Arc::clone(settling).lock_owned().await;
        let work = move || {
            let _turn = turn;
            for record in self.shelf.due(self.now()).into_iter().filter(size.fits()) {
                if let Err(error) = settle(&self, &record) {
                    // It stays due; the next request tries again.
                    tracing::error!(batch = record.id, %error, "a batch could not be ended");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "ending batches broke off");
        }
    }
}

/// Small batches are ended while a request waits, big ones beside the requests.
#[derive(Debug, Clone, Copy)]
enum Size {
    Small,
    Big,
}

impl Size {
    fn fits(self) -> impl Fn(&Record) -> bool {
        move |record| match self {
            Self::Small => record.items <= SMALL,
            Self::Big => record.items > SMALL,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
