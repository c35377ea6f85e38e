//! What may be said of when answers come: how long batches and direct calls took
//! lately where a tenant's jobs go, as it was read not long ago.
//!
//! A submit needs it for its lane and must not wait for it: so it is kept, and read
//! anew by one request in a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offpeak_domain::id::{TenantId, UpstreamId};
use offpeak_domain::route::Ways;
use offpeak_domain::turnaround::{Measured, size_of};
use offpeak_store::turnaround::{self, Lately};
use offpeak_store::upstream_key::ways;
use time::OffsetDateTime;

use crate::State;

/// How long what was read is good.
const GOOD: Duration = Duration::from_secs(30);
/// Tenants of which it is remembered where their jobs go.
const TENANTS: usize = 10_000;
/// Upstreams of tenants of which it is remembered how long things take: of each up to some
/// ten thousand small sums.
const UPSTREAMS: usize = 200;

/// What was read last, by whichever request.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Of the deployment's own upstream.
    shared: Mutex<Last>,
    /// Of the upstreams of tenants' own.
    own: Mutex<HashMap<UpstreamId, Last>>,
    /// Where a tenant's jobs go, and when asking that was begun.
    goes: Mutex<HashMap<TenantId, (Instant, UpstreamId)>>,
}

#[derive(Clone, Debug)]
struct Last {
    /// When reading it was begun.
    begun: Option<Instant>,
    lately: Arc<Lately>,
    /// The database's time then.
    at: OffsetDateTime,
}

impl Default for Last {
    fn default() -> Self {
        Self {
            begun: None,
            lately: Arc::default(),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Last {
    /// Whether it is this request's to read it anew: the others make do with what there is.
    fn is_due(&mut self) -> bool {
        let due = self.begun.is_none_or(|begun| begun.elapsed() >= GOOD);
        if due {
            self.begun = Some(Instant::now());
        }
        due
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Where a tenant's jobs went when it was asked last, unless this request is to ask.
    fn way(&self, tenant: TenantId, shared: UpstreamId) -> (UpstreamId, bool) {
        let mut goes = lock(&self.goes);
        let known = goes.get(&tenant).copied();
        let due = known.is_none_or(|(asked, _)| asked.elapsed() >= GOOD);
        let way = known.map_or(shared, |(_, way)| way);
        if due {
            if goes.len() >= TENANTS {
                goes.clear();
            }
            goes.insert(tenant, (Instant::now(), way));
        }
        (way, due)
    }

    /// What was read last of an upstream of a tenant's own, and whether to read it anew.
    fn own(&self, upstream: UpstreamId) -> (Arc<Lately>, bool) {
        let mut own = lock(&self.own);
        if own.len() >= UPSTREAMS && !own.contains_key(&upstream) {
            let oldest = own.iter().min_by_key(|(_, last)| last.begun);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                own.remove(&oldest);
            }
        }
        let last = own.entry(upstream).or_default();
        let due = last.is_due();
        (Arc::clone(&last.lately), due)
    }
}

/// What one request goes by.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// The longest from becoming ready to being sent, when nothing holds it up.
    pub(crate) flush_after: Duration,
    /// What time it is, by the database's clock, more or less.
    pub(crate) now: OffsetDateTime,
    /// The longest from a batch's end to being seen, more or less.
    pub(crate) poll_every: Duration,
    escalate_before: Duration,
    lately: Arc<Lately>,
}

impl Outlook {
    /// The two ways from here.
    pub(crate) fn ways(&self, now: OffsetDateTime) -> Ways {
        Ways {
            around: self.flush_after + self.poll_every,
            batch: self.batch(now, None),
            direct: self.direct(now),
            escalate_before: self.escalate_before,
        }
    }

    /// How long batches take that are made now, with so many requests.
    pub(crate) fn batch(&self, at: OffsetDateTime, items: Option<u64>) -> Option<Measured> {
        self.lately.batch.of(at.hour(), items.map(size_of))
    }

    /// How long batches with about so many requests took, and no others.
    pub(crate) fn usual(&self, items: u64) -> Option<Measured> {
        self.lately.batch.of_size(size_of(items))
    }

    /// How long direct calls take.
    pub(crate) fn direct(&self, at: OffsetDateTime) -> Option<Measured> {
        self.lately.direct.of(at.hour(), None)
    }
}

impl State {
    /// What may be said at this moment to a tenant, by what was measured where its jobs go.
    /// Not to be called within a transaction: it may need a connection of its own. A
    /// database that does not answer leaves it at what was known before.
    pub(crate) async fn outlook(&self, tenant: TenantId) -> Outlook {
        let shared = self.shared().await;
        let way = self.way(tenant).await;
        let lately = if way == self.upstream.id {
            shared.lately
        } else {
            self.own(way).await
        };
        Outlook {
            flush_after: self.upstream.flush_after,
            now: shared.at + shared.begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
            poll_every: self.upstream.poll_every,
            escalate_before: self.upstream.escalate_before,
            lately,
        }
    }

    /// What was measured of the deployment's own upstream, and the database's time.
    async fn shared(&self) -> Last {
        let due = lock(&self.kept.shared).is_due();
        if due {
            match turnaround::lately_shown(&self.tenants, self.upstream.id).await {
                Ok((lately, at)) => {
                    let mut kept = lock(&self.kept.shared);
                    (kept.lately, kept.at) = (Arc::new(lately), at);
                }
                Err(error) => tracing::debug!(%error, "what was measured lately is not known"),
            }
        }
        lock(&self.kept.shared).clone()
    }

    /// Where a tenant's jobs go.
    async fn way(&self, tenant: TenantId) -> UpstreamId {
        let (known, due) = self.kept.way(tenant, self.upstream.id);
        if !due {
            return known;
        }
        match self.ask_way(tenant).await {
            Ok(way) => {
                lock(&self.kept.goes).insert(tenant, (Instant::now(), way));
                way
            }
            Err(error) => {
                tracing::debug!(%error, "where a tenant's jobs go is not known");
                known
            }
        }
    }

    async fn ask_way(&self, tenant: TenantId) -> offpeak_store::Result<UpstreamId> {
        let mut tx = self.tenants.begin(tenant).await?;
        let way = ways::now(&mut tx).await?;
        tx.commit().await?;
        Ok(way)
    }

    /// What was measured of an upstream of a tenant's own.
    async fn own(&self, upstream: UpstreamId) -> Arc<Lately> {
        let (known, due) = self.kept.own(upstream);
        if !due {
            return known;
        }
        match turnaround::lately_shown(&self.tenants, upstream).await {
            Ok((lately, _)) => {
                let lately = Arc::new(lately);
                let mut own = lock(&self.kept.own);
                own.entry(upstream).or_default().lately = Arc::clone(&lately);
                lately
            }
            Err(error) => {
                tracing::debug!(%error, "what was measured lately is not known");
                known
            }
        }
    }
}
