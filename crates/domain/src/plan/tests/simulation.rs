//! A queue that lives: jobs come, plans are carried out, and every promise of
//! the planner is checked on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::{NOON, PLENTY, bucket, bucket_id, seconds_ago, tenant};
use crate::id::TenantId;
use crate::plan::{BucketFacts, Budget, Held, Limits, TenantShare, body_len, plan};

/// One job: when it comes, in which bucket, how long its params are.
#[derive(Debug, Clone)]
struct Job {
    at: u64,
    tenant: u128,
    bucket: u128,
    bytes: u64,
    deadline: Option<u64>,
}

/// What the outside allows.
#[derive(Debug, Clone)]
struct World {
    jobs: Vec<Job>,
    limits: Limits,
    creates_per_minute: u32,
    queue: u64,
    /// Seconds after which the items of a batch leave the queue.
    turnaround: u64,
}

/// A batch as the simulation formed it.
struct Formed {
    at: u64,
    jobs: Vec<usize>,
}

impl World {
    /// Lives until every job is in a batch, planning each second; checks each
    /// plan against the budget, and the batches against the limits.
    fn live(&self) -> Vec<Formed> {
        let start = NOON;
        let time_of = |second: u64| start + Duration::from_secs(second);
        let mut ready: BTreeMap<(u128, u128), VecDeque<usize>> = BTreeMap::new();
        let mut vtimes: BTreeMap<TenantId, i64> = BTreeMap::new();
        let mut formed: Vec<Formed> = Vec::new();
        let mut waiting = self.jobs.len();
        let mut next = 0;
        for second in 0.. {
            assert!(second < 100_000, "{waiting} jobs wait for ever");
            while let Some(job) = self.jobs.get(next).filter(|job| job.at <= second) {
                ready
                    .entry((job.tenant, job.bucket))
                    .or_default()
                    .push_back(next);
                next += 1;
            }
            if second % 60 != 0 && ready.values().all(VecDeque::is_empty) {
                continue;
            }
            let facts: Vec<BucketFacts> = ready
                .iter()
                .filter(|(_, queue)| !queue.is_empty())
                .map(|((owner, bucket), queue)| {
                    let jobs = || queue.iter().map(|index| &self.jobs[*index]);
                    BucketFacts {
                        tenant: tenant(*owner),
                        bucket: bucket_id(*bucket),
                        items: queue.len() as u64,
                        bytes: jobs().map(|job| job.bytes).sum(),
                        oldest: time_of(self.jobs[queue[0]].at),
                        newest: time_of(self.jobs[queue[queue.len() - 1]].at),
                        earliest_deadline: jobs().filter_map(|job| job.deadline).min().map(time_of),
                        item_cap: None,
                    }
                })
                .collect();
            let minute = second / 60;
            let created = formed
                .iter()
                .filter(|batch| batch.at / 60 == minute)
                .count();
            let queued: usize = formed
                .iter()
                .filter(|batch| batch.at + self.turnaround > second)
                .map(|batch| batch.jobs.len())
                .sum();
            let budget = Budget {
                creates_left: self.creates_per_minute - u32::try_from(created).unwrap(),
                creates_per_minute: self.creates_per_minute,
                queue_left: self.queue - queued as u64,
                shared: None,
            };
            let shares: Vec<TenantShare> = vtimes
                .iter()
                .map(|(tenant, vtime)| TenantShare {
                    tenant: *tenant,
                    weight: 100,
                    vtime: *vtime,
                    held: Held::default(),
                })
                .collect();
            let made = plan(time_of(second), &facts, &shares, &self.limits, &budget);

            assert!(made.close.len() <= budget.creates_left as usize);
            let planned: u64 = made
                .close
                .iter()
                .map(|close| u64::from(close.max_items))
                .sum();
            assert!(planned <= budget.queue_left);
            assert!(
                made.next_wake.is_none_or(|at| at > time_of(second)),
                "{made:?}"
            );
            for close in &made.close {
                let key = (
                    close.tenant.as_uuid().as_u128(),
                    close.bucket.as_uuid().as_u128(),
                );
                let queue = ready.get_mut(&key).expect("a bucket of that tenant");
                let took = close.takes(queue.iter().map(|index| self.jobs[*index].bytes));
                assert!(took > 0, "an empty batch: {made:?}");
                let jobs: Vec<usize> = queue.drain(..took).collect();
                let bytes = jobs.iter().map(|index| self.jobs[*index].bytes).sum();
                let len = body_len(took as u64, bytes);
                assert!(took == 1 || len <= self.limits.max_bytes, "{len} bytes");
                assert!(took <= self.limits.max_items as usize);
                waiting -= took;
                formed.push(Formed { at: second, jobs });
            }
            vtimes.extend(made.shares);
            if waiting == 0 {
                break;
            }
        }
        formed
    }
}

prop_compose! {
    fn any_job()(
        at in 0_u64..200,
        tenant in 0_u128..4,
        bucket in 0_u128..3,
        bytes in prop_oneof![9 => 10_u64..400, 1 => 400_u64..5_000],
        deadline in prop::option::weighted(0.1, 0_u64..8_000),
    ) -> Job {
        // A bucket has one tenant.
        Job { at, tenant, bucket: tenant * 10 + bucket, bytes, deadline }
    }
}

prop_compose! {
    fn any_world()(
        mut jobs in prop::collection::vec(any_job(), 1..80),
        max_items in 1_u32..12,
        max_bytes in 300_u64..4_000,
        creates_per_minute in 1_u32..30,
        queue in 1_u64..60,
        turnaround in 0_u64..40,
    ) -> World {
        jobs.sort_by_key(|job| job.at);
        let limits = Limits { max_items, max_bytes, ..Limits::default() };
        World { jobs, limits, creates_per_minute, queue, turnaround }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, each job goes out once, with jobs of its own bucket
    /// only, inside every limit and budget ([`World::live`] checks those).
    #[test]
    fn no_job_is_lost_none_goes_twice_and_limits_are_kept(world in any_world()) {
        let formed = world.live();
        let mut seen = BTreeSet::new();
        for batch in &formed {
            let of = |index: &usize| (world.jobs[*index].tenant, world.jobs[*index].bucket);
            prop_assert!(batch.jobs.iter().all(|index| of(index) == of(&batch.jobs[0])));
            prop_assert!(batch.jobs.iter().all(|index| world.jobs[*index].at <= batch.at));
            prop_assert!(batch.jobs.iter().all(|index| seen.insert(*index)), "twice");
        }
        prop_assert_eq!(seen.len(), world.jobs.len());
    }

    #[test]
    fn the_order_of_the_facts_does_not_matter(
        mut facts in prop::collection::vec((0_u128..5, 1_u64..30_000, 0_u64..90), 1..12),
        creates_left in 0_u32..6,
        queue_left in 0_u64..40_000,
    ) {
        let made = |facts: &[(u128, u64, u64)]| {
            let buckets: Vec<BucketFacts> = facts
                .iter()
                .map(|(owner, items, age)| BucketFacts {
                    tenant: tenant(*owner),
                    // One name for each different fact.
                    bucket: bucket_id(owner << 100 | u128::from(*items) << 32 | u128::from(*age)),
                    oldest: seconds_ago(*age),
                    newest: seconds_ago(*age),
                    ..bucket(*items)
                })
                .collect();
            let budget = Budget { creates_left, creates_per_minute: 60, queue_left, shared: None };
            plan(NOON, &buckets, &[], &Limits::default(), &budget)
        };
        facts.sort_unstable();
        facts.dedup();
        let forwards = made(&facts);
        facts.reverse();
        prop_assert_eq!(forwards, made(&facts));
    }
}

/// 5,000 tenants with one job each, all at once, and 100 creates a minute:
/// none is lost, none waits longer than the creates make necessary.
#[test]
fn five_thousand_tenants_with_one_job_each() {
    let limits = Limits::default();
    let mut waiting: BTreeSet<u128> = (0..5_000).collect();
    let mut minutes = 0;
    while !waiting.is_empty() {
        minutes += 1;
        assert!(minutes <= 51, "{} still wait", waiting.len());
        let now = NOON + Duration::from_mins(minutes);
        let buckets: Vec<BucketFacts> = waiting
            .iter()
            .map(|n| BucketFacts {
                tenant: tenant(*n),
                bucket: bucket_id(*n),
                ..bucket(1)
            })
            .collect();
        let budget = Budget {
            creates_left: 100,
            creates_per_minute: 100,
            ..PLENTY
        };
        let made = plan(now, &buckets, &[], &limits, &budget);
        assert!(made.close.len() <= 100);
        for close in made.close {
            assert!(waiting.remove(&close.tenant.as_uuid().as_u128()), "twice");
        }
    }
    assert_eq!(minutes, 50);
}
