//! Two tenants in virtual time: how long one waits until its jobs are sent, with and
//! without another that asks for a hundred times its share. The real planner, and the
//! order in which batches are sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use offpeak_domain::id::{BucketId, TenantId};
use offpeak_domain::plan::{BucketFacts, Budget, Held, Limits, Shared, TenantShare, plan};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::figures::Samples;

/// Of a small organization, where both are scarce.
const CREATES_PER_MINUTE: u32 = 50;
const QUEUE: u64 = 100_000;
/// A batch is back after so many seconds.
const TURNAROUND: u64 = 600;
/// An upload takes a second for so many jobs, and there are so many at once.
const UPLOAD: (u64, usize) = (10_000, 2);
/// Of one job.
const BYTES: u64 = 3_000;
/// Two tenants share what ten minutes take of the queue: a share is so many jobs a second.
pub const SHARE: u64 = QUEUE / TURNAROUND / 2;

/// What a tenant asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    /// Jobs a second, in the mean.
    pub rate: f64,
    /// How many come at once.
    pub burst: u64,
    /// Among so many buckets.
    pub buckets: u64,
}

/// Jobs of a bucket: when they came, and how many together.
#[derive(Default)]
struct Queue {
    came: VecDeque<(u64, u64)>,
    items: u64,
}

impl Queue {
    fn push(&mut self, second: u64, items: u64) {
        self.came.push_back((second, items));
        self.items += items;
    }

    fn take(&mut self, mut items: u64) -> Vec<(u64, u64)> {
        let mut taken = Vec::new();
        self.items -= items;
        while items > 0
            && let Some((second, some)) = self.came.pop_front()
        {
            let now = some.min(items);
            taken.push((second, now));
            items -= now;
            if some > now {
                self.came.push_front((second, some - now));
            }
        }
        taken
    }
}

struct Planned {
    at: u64,
    tenant: u64,
    items: u64,
    jobs: Vec<(u64, u64)>,
}

/// Seconds from coming to being sent, of every job of the tenant `1` that came after
/// the first ten minutes; `asks` are those of the tenants 1, 2, ….
pub fn simulate(asks: &[Asks], seconds: u64, limits: &Limits) -> Samples {
    let time_of = |second: u64| OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second);
    let id = |n: u64| Uuid::from_u128(u128::from(n));
    let mut rng = StdRng::seed_from_u64(7);
    let mut waiting: BTreeMap<(u64, u64), Queue> = BTreeMap::new();
    let mut vtimes: BTreeMap<TenantId, i64> = BTreeMap::new();
    let mut planned: Vec<Planned> = Vec::new();
    // Uploads under way, until when; creates of the last minute; what is open.
    let mut uploads: Vec<u64> = Vec::new();
    let mut made: Vec<(u64, u64)> = Vec::new();
    let mut open: Vec<(u64, u64, u64)> = Vec::new();
    let mut came = Samples::default();
    for second in 0..seconds {
        for (tenant, asks) in (1..).zip(asks) {
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let chance = asks.rate / asks.burst as f64;
            let mut bursts = chance.floor();
            bursts += f64::from(u8::from(rng.random::<f64>() < chance.fract()));
            while bursts >= 1.0 {
                bursts -= 1.0;
                let bucket = rng.random_range(0..asks.buckets);
                let queue = waiting.entry((tenant, bucket)).or_default();
                queue.push(second, asks.burst);
            }
        }
        uploads.retain(|until| *until > second);
        made.retain(|(_, at)| *at + 60 > second);
        open.retain(|(_, ends, _)| *ends > second);
        let mut held: BTreeMap<u64, Held> = BTreeMap::new();
        for (tenant, _) in &made {
            held.entry(*tenant).or_default().creates += 1;
        }
        for (tenant, _, items) in &open {
            held.entry(*tenant).or_default().items += items;
        }
        for one in &planned {
            let held = held.entry(one.tenant).or_default();
            held.creates += 1;
            held.items += one.items;
        }
        let all = held.values().fold(Held::default(), |all, held| Held {
            items: all.items + held.items,
            creates: all.creates + held.creates,
        });
        let facts: Vec<BucketFacts> = waiting
            .iter()
            .filter_map(|((tenant, bucket), queue)| {
                Some(BucketFacts {
                    tenant: TenantId::from_uuid(id(*tenant)),
                    bucket: BucketId::from_uuid(id(*tenant * 1_000_000 + bucket)),
                    items: queue.items,
                    bytes: queue.items * BYTES,
                    oldest: time_of(queue.came.front()?.0),
                    newest: time_of(queue.came.back()?.0),
                    earliest_deadline: None,
                    item_cap: None,
                })
            })
            .collect();
        let mut shares: Vec<TenantShare> = facts
            .iter()
            .map(|facts| TenantShare {
                tenant: facts.tenant,
                weight: 100,
                vtime: vtimes.get(&facts.tenant).copied().unwrap_or(0),
                held: u64::try_from(facts.tenant.as_uuid().as_u128())
                    .ok()
                    .and_then(|tenant| held.get(&tenant).copied())
                    .unwrap_or_default(),
            })
            .collect();
        shares.dedup_by_key(|share| share.tenant);
        let waits = |of: u64| waiting.keys().any(|(tenant, _)| *tenant == of);
        let holding = held.keys().filter(|tenant| !waits(**tenant)).count() as u64 * 100;
        let budget = Budget {
            creates_left: CREATES_PER_MINUTE.saturating_sub(all.creates),
            creates_per_minute: CREATES_PER_MINUTE,
            queue_left: QUEUE.saturating_sub(all.items),
            shared: Some(Shared {
                queue: QUEUE,
                holding,
            }),
        };
        let plan = plan(time_of(second), &facts, &shares, limits, &budget);
        vtimes = plan.shares.iter().copied().collect();
        for close in &plan.close {
            let number = |id: Uuid| u64::try_from(id.as_u128()).unwrap_or(0);
            let tenant = number(close.tenant.as_uuid());
            let bucket = number(close.bucket.as_uuid()) - tenant * 1_000_000;
            let Some(queue) = waiting.get_mut(&(tenant, bucket)) else {
                continue;
            };
            let most = usize::try_from(queue.items).unwrap_or(usize::MAX);
            let items = close.takes(std::iter::repeat_n(BYTES, most)) as u64;
            let jobs = queue.take(items);
            planned.push(Planned {
                at: second,
                tenant,
                items,
                jobs,
            });
        }
        waiting.retain(|_, queue| queue.items > 0);
        while uploads.len() < UPLOAD.1
            && let Some(next) = next(&planned)
        {
            let Planned {
                tenant,
                items,
                jobs,
                ..
            } = planned.remove(next);
            uploads.push(second + 1 + items / UPLOAD.0);
            made.push((tenant, second));
            open.push((tenant, second + TURNAROUND, items));
            if tenant == 1 {
                for (at, items) in jobs.into_iter().filter(|(at, _)| *at >= TURNAROUND) {
                    #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
                    let waited = (second - at) as f64;
                    (0..items).for_each(|_| came.push(waited));
                }
            }
        }
    }
    came
}

/// Which one is sent next, as `offpeak_store::sendable` has it: in turn by tenant.
fn next(planned: &[Planned]) -> Option<usize> {
    let turn = |place: usize| {
        let one = &planned[place];
        let before = planned[..place].iter();
        let before = before.filter(|other| other.tenant == one.tenant).count();
        (before, one.at, place)
    };
    (0..planned.len()).min_by_key(|place| turn(*place))
}
