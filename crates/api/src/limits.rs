//! What one tenant may take of this process: how often it asks, how fast it hands in
//! jobs, and the limits of its queue and its live connections.
//!
//! A tenant's own limits are rows, read again every few seconds while it asks; how much
//! it took is kept in memory, so that asking costs no write. Several processes allow
//! so many times the rates, and one that starts again knows of nothing taken.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::routing::get;
use offpeak_domain::id::TenantId;
use offpeak_domain::limits::{Limit, Limits};
use offpeak_domain::rate::{Paid, Rate};
use offpeak_domain::room::Level;
use offpeak_store::room::Taken;
use offpeak_store::{Tenants, limits};
use offpeak_wire::{TenantLimit, TenantLimits};

use crate::State;
use crate::error::{Code, Error, Result};
use crate::routes::Routes;

pub(crate) mod show;

/// How long limits that were read are good.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// Tenants, and addresses, that are remembered, at most.
const KNOWN: usize = 10_000;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/limits", get(show::handle))
}

/// The deployment's limits, and what is known of each tenant.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    standard: Limits,
    sign_ins: Rate,
    tenants: Mutex<HashMap<TenantId, Known>>,
    addresses: Mutex<HashMap<IpAddr, Paid>>,
}

#[derive(Debug)]
struct Known {
    read: Instant,
    limits: Limits,
    requests: Paid,
    jobs: Paid,
    keys: Paid,
}

impl Known {
    fn is_rested(&self, now: Instant) -> bool {
        [self.requests, self.jobs, self.keys]
            .into_iter()
            .all(|paid| paid.is_rested(now))
    }
}

impl Allowance {
    pub(crate) fn new(standard: Limits, sign_ins: Rate) -> Self {
        Self {
            standard,
            sign_ins,
            ..Self::default()
        }
    }

    /// What a tenant has that has nothing of its own.
    pub(crate) fn standard(&self) -> Limits {
        self.standard
    }

    /// Takes one request of a tenant, and says what its limits are.
    pub(crate) async fn request(&self, tenants: &Tenants, tenant: TenantId) -> Result<Limits> {
        let limits = match self.known(tenant, Instant::now()) {
            Some(limits) => limits,
            None => self.read(tenants, tenant).await?,
        };
        self.take(tenant, Kind::Requests, 1, Instant::now())?;
        Ok(limits)
    }

    /// Takes a tenant's jobs: given back unless they are kept.
    pub(crate) fn jobs(self: &Arc<Self>, tenant: TenantId, n: u64) -> Result<Jobs> {
        self.take(tenant, Kind::Jobs, n, Instant::now())?;
        Ok(Jobs {
            of: Some(Arc::clone(self)),
            tenant,
            n,
        })
    }

    /// Takes the making of one API key.
    pub(crate) fn key(&self, tenant: TenantId) -> Result<()> {
        self.take(tenant, Kind::Keys, 1, Instant::now())
    }

    /// Takes one try to sign in from an address, where that is known.
    pub(crate) fn sign_in(&self, address: Option<IpAddr>) -> Result<()> {
        let Some(address) = address else {
            return Ok(());
        };
        self.sign_in_at(address, Instant::now())
    }

    fn sign_in_at(&self, address: IpAddr, now: Instant) -> Result<()> {
        let mut addresses = lock(&self.addresses);
        make_room(&mut addresses, |paid| paid.is_rested(now));
        let paid = addresses.entry(address).or_default();
        self.sign_ins.take(paid, now, 1).map_err(|wait| {
            let detail = format!(
                "this address has tried to sign in more than {} times a minute; try again later, \
                 or have the operator raise `sign_ins_per_minute`",
                self.sign_ins.n
            );
            Error::new(Code::TooManyRequests, detail).of_limit(
                "sign_ins_per_minute",
                self.sign_ins.n,
                wait,
            )
        })
    }

    /// What is known of a tenant's limits and good. Once it is not, one caller hears so
    /// and reads anew, while the others make do with it.
    fn known(&self, tenant: TenantId, now: Instant) -> Option<Limits> {
        let mut known = lock(&self.tenants);
        let known = known.get_mut(&tenant)?;
        if now.saturating_duration_since(known.read) < GOOD_FOR {
            return Some(known.limits);
        }
        known.read = now;
        None
    }

    async fn read(&self, tenants: &Tenants, tenant: TenantId) -> Result<Limits> {
        let own = limits::own(&mut tenants.begin(tenant).await?).await?;
        let limits = self.standard.with_all(&own);
        self.learn(tenant, limits, Instant::now());
        Ok(limits)
    }

    fn learn(&self, tenant: TenantId, limits: Limits, now: Instant) {
        let mut known = lock(&self.tenants);
        make_room(&mut known, |known| known.is_rested(now));
        let new = Known {
            read: now,
            limits,
            requests: Paid::default(),
            jobs: Paid::default(),
            keys: Paid::default(),
        };
        let known = known.entry(tenant).or_insert(new);
        (known.read, known.limits) = (now, limits);
    }

    fn take(&self, tenant: TenantId, kind: Kind, n: u64, now: Instant) -> Result<()> {
        let mut known = lock(&self.tenants);
        // Forgotten in between with ten thousand others: it has taken nothing.
        let Some(known) = known.get_mut(&tenant) else {
            return Ok(());
        };
        let limits = known.limits;
        let (rate, paid) = kind.of(known);
        rate.take(paid, now, n)
            .map_err(|wait| kind.refused(&limits, wait))
    }

    fn give_back(&self, tenant: TenantId, kind: Kind, n: u64) {
        if let Some(known) = lock(&self.tenants).get_mut(&tenant) {
            let (rate, paid) = kind.of(known);
            rate.give_back(paid, n);
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets those who have taken nothing lately, when there are too many; all of them
/// when each has.
fn make_room<K: Eq + Hash, V>(known: &mut HashMap<K, V>, rested: impl Fn(&V) -> bool) {
    if known.len() >= KNOWN {
        known.retain(|_, one| !rested(one));
        if known.len() >= KNOWN {
            known.clear();
        }
    }
}

/// What has a rate.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Requests,
    Jobs,
    Keys,
}

impl Kind {
    fn of(self, known: &mut Known) -> (Rate, &mut Paid) {
        match self {
            Self::Requests => (known.limits.requests(), &mut known.requests),
            Self::Jobs => (known.limits.jobs(), &mut known.jobs),
            Self::Keys => (known.limits.keys(), &mut known.keys),
        }
    }

    fn refused(self, limits: &Limits, wait: Duration) -> Error {
        let (code, limit, what) = match self {
            Self::Requests => (
                Code::TooManyRequests,
                Limit::RequestsPerSecond,
                "requests a second",
            ),
            Self::Jobs => (Code::TooManyJobs, Limit::JobsPerSecond, "jobs a second"),
            Self::Keys => (
                Code::TooManyRequests,
                Limit::KeysPerMinute,
                "new API keys a minute",
            ),
        };
        let value = limits.get(limit);
        let detail = format!(
            "you may send {value} {what} in the long run ({limit}); send again after `retry-after` \
             seconds, or have the operator raise the limit"
        );
        Error::new(code, detail).of_limit(limit.as_str(), value, wait)
    }
}

/// Jobs that were taken: given back unless they are stored.
#[derive(Debug)]
pub(crate) struct Jobs {
    of: Option<Arc<Allowance>>,
    tenant: TenantId,
    n: u64,
}

impl Jobs {
    /// They are.
    pub(crate) fn keep(mut self) {
        self.of = None;
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        if let Some(of) = self.of.take() {
            of.give_back(self.tenant, Kind::Jobs, self.n);
        }
    }
}

/// Limits as clients see them: each with what the deployment's is, and what is used of it
/// where that is a number which all processes share.
pub(crate) fn view(standard: Limits, own: &[(Limit, u64)], taken: Taken) -> TenantLimits {
    let limits = standard.with_all(own);
    TenantLimits {
        data: Limit::ALL
            .iter()
            .map(|limit| TenantLimit {
                name: limit.as_str().to_owned(),
                value: limits.get(*limit),
                default: standard.get(*limit),
                own: own.iter().any(|(one, _)| one == limit),
                used: match limit {
                    Limit::QueuedJobs => Some(taken.jobs),
                    Limit::QueuedBytes => Some(taken.bytes),
                    _ => None,
                },
            })
            .collect(),
        takes_jobs: taken.level == Level::Ok,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use offpeak_domain::id::TenantId;
    use offpeak_domain::limits::{Limit, Limits};
    use offpeak_domain::rate::Rate;
    use uuid::Uuid;

    use super::{Allowance, GOOD_FOR, KNOWN, Kind, lock};
    use crate::error::Code;

    fn tenant(n: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(n))
    }

    fn few() -> Limits {
        Limits::default()
            .with(Limit::RequestsPerSecond, 2)
            .with(Limit::RequestBurst, 3)
            .with(Limit::JobsPerSecond, 10)
            .with(Limit::JobBurst, 20)
            .with(Limit::KeysPerMinute, 1)
    }

    fn known(now: Instant) -> Arc<Allowance> {
        let known = Allowance::new(few(), Rate::a_minute(2));
        known.learn(tenant(1), few(), now);
        known.learn(tenant(2), few(), now);
        Arc::new(known)
    }

    #[test]
    fn each_rate_refuses_alone_and_takes_again_when_it_said() {
        for (kind, most, limit, millis) in [
            (Kind::Requests, 3, "requests_per_second", 500),
            (Kind::Jobs, 20, "jobs_per_second", 100),
            (Kind::Keys, 1, "keys_per_minute", 60_000),
        ] {
            let now = Instant::now();
            let known = known(now);
            for _ in 0..most {
                known.take(tenant(1), kind, 1, now).unwrap();
            }
            let refused = known.take(tenant(1), kind, 1, now).unwrap_err();
            let problem = refused.problem("");
            let told = problem.limit.unwrap();
            assert_eq!((problem.status, told.name.as_str()), (429, limit));
            assert!(problem.detail.contains(limit), "{}", problem.detail);
            // A neighbour, and the other rates, are not touched.
            known.take(tenant(2), kind, most, now).unwrap();
            let others = [Kind::Requests, Kind::Jobs, Kind::Keys];
            for other in others.into_iter().filter(|one| *one as u8 != kind as u8) {
                known.take(tenant(1), other, 1, now).unwrap();
            }
            let early = Duration::from_millis(millis - 1);
            assert!(known.take(tenant(1), kind, 1, now + early).is_err());
            let wait = Duration::from_millis(millis);
            known.take(tenant(1), kind, 1, now + wait).unwrap();
        }
    }

    #[test]
    fn jobs_that_were_not_stored_are_given_back() {
        let known = known(Instant::now());
        for _ in 0..10 {
            drop(known.jobs(tenant(1), 20).unwrap());
        }
        known.jobs(tenant(1), 20).unwrap().keep();
        let refused = known.jobs(tenant(1), 20).unwrap_err();
        assert_eq!(refused.code(), Code::TooManyJobs);
    }

    #[test]
    fn an_address_signs_in_so_often_and_others_as_they_like() {
        let (known, now) = (known(Instant::now()), Instant::now());
        let [one, two]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
        known.sign_in_at(one, now).unwrap();
        known.sign_in_at(one, now).unwrap();
        let refused = known.sign_in_at(one, now).unwrap_err().problem("");
        assert_eq!(refused.limit.unwrap().name, "sign_ins_per_minute");
        known.sign_in_at(two, now).unwrap();
        known
            .sign_in_at(one, now + Duration::from_secs(30))
            .unwrap();
        known.sign_in(None).unwrap();
    }

    #[test]
    fn other_limits_count_once_they_are_read_and_no_debt_is_forgotten() {
        let now = Instant::now();
        let known = known(now);
        known.take(tenant(1), Kind::Requests, 3, now).unwrap();
        assert_eq!(known.known(tenant(1), now), Some(few()));
        let later = now + GOOD_FOR;
        assert_eq!(known.known(tenant(1), later), None, "one reads anew");
        assert_eq!(known.known(tenant(1), later), Some(few()), "others do not");
        known.learn(tenant(1), few().with(Limit::RequestBurst, 4), now);
        known.take(tenant(1), Kind::Requests, 1, now).unwrap();
        assert!(known.take(tenant(1), Kind::Requests, 1, now).is_err());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let now = Instant::now();
        let known = known(now);
        known.take(tenant(1), Kind::Requests, 3, now).unwrap();
        for n in 0..KNOWN as u128 {
            known.learn(tenant(n + 10), few(), now);
        }
        let count = lock(&known.tenants).len();
        assert!(count <= KNOWN, "{count}");
        // Who is in debt is not forgotten for those who rest.
        assert!(known.take(tenant(1), Kind::Requests, 1, now).is_err());
    }
}
