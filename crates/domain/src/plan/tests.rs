//! The plan, shown by one table and held to its promises by a simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{BucketFacts, Budget, Close, Limits, Plan, TenantShare, body_len, plan};
use crate::id::{BucketId, TenantId};

const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
/// More of everything than any test asks for.
const PLENTY: Budget = Budget {
    creates_left: 4_000,
    creates_per_minute: 4_000,
    queue_left: 500_000,
};

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn bucket_id(n: u128) -> BucketId {
    BucketId::from_uuid(Uuid::from_u128(n))
}

/// A bucket of tenant 1 with `items` jobs of 1,000 bytes, all just come.
fn bucket(items: u64) -> BucketFacts {
    BucketFacts {
        tenant: tenant(1),
        bucket: bucket_id(1),
        items,
        bytes: items * 1_000,
        oldest: NOON,
        newest: NOON,
        earliest_deadline: None,
        item_cap: None,
    }
}

fn seconds_ago(seconds: u64) -> OffsetDateTime {
    NOON - Duration::from_secs(seconds)
}

/// A plan in words: `take 10000 item_limit, hold filling 5s`.
fn words(plan: &Plan) -> String {
    let close = plan
        .close
        .iter()
        .map(|c| format!("take {} {}", c.max_items, c.reason));
    let hold = plan.hold.iter().map(|h| {
        let until = h
            .until
            .map_or(String::new(), |at| format!(" {}", at - NOON));
        format!("hold {:?}{until}", h.reason)
    });
    let mut parts: Vec<String> = close.chain(hold).collect();
    let total = parts.len();
    if total > 5 {
        parts.truncate(5);
        parts.push(format!("… {total} in all"));
    }
    parts.join(", ")
}

/// Every reason to close and every reason to hold, and what they look like.
#[test]
fn every_close_reason() {
    let b = bucket;
    let none = Budget {
        creates_left: 0,
        ..PLENTY
    };
    let slow = Budget {
        creates_left: 2,
        creates_per_minute: 2,
        ..PLENTY
    };
    let full = Budget {
        queue_left: 0,
        ..PLENTY
    };
    let tight = Budget {
        queue_left: 12_000,
        ..PLENTY
    };
    let old = |items| BucketFacts {
        oldest: seconds_ago(60),
        ..b(items)
    };
    let idle = |items| BucketFacts {
        newest: seconds_ago(5),
        oldest: seconds_ago(9),
        ..b(items)
    };
    let due_by = |deadline| BucketFacts {
        earliest_deadline: Some(deadline),
        ..b(7)
    };
    let large = |items| BucketFacts {
        bytes: items * 1_000_000,
        ..b(items)
    };
    let halved = BucketFacts {
        item_cap: Some(5_000),
        ..b(12_000)
    };
    let crowd = |facts: BucketFacts| {
        (1..=3)
            .map(|n| BucketFacts {
                bucket: bucket_id(n),
                ..facts
            })
            .collect::<Vec<_>>()
    };
    let hour = datetime!(2026-11-22 13:00 UTC);

    let situations = [
        ("nothing ready", vec![b(0)], PLENTY),
        ("a few, just come", vec![b(7)], PLENTY),
        ("one batch full", vec![b(10_000)], PLENTY),
        ("two batches full and a rest", vec![b(25_000)], PLENTY),
        ("full of bytes", vec![large(100)], PLENTY),
        (
            "a job above the limit",
            vec![BucketFacts {
                bytes: 90_000_000,
                ..b(1)
            }],
            PLENTY,
        ),
        ("halved after a 413", vec![halved], PLENTY),
        ("oldest waits a minute", vec![old(7)], PLENTY),
        ("full, and the rest is new", vec![old(10_001)], PLENTY),
        ("nothing new for 5 s", vec![idle(7)], PLENTY),
        ("deadline in an hour", vec![due_by(hour)], PLENTY),
        (
            "deadline a minute later",
            vec![due_by(hour + Duration::from_mins(1))],
            PLENTY,
        ),
        (
            "deadline 2 s from urgent",
            vec![due_by(hour + Duration::from_secs(2))],
            PLENTY,
        ),
        ("crowd, idle", crowd(idle(7)), slow),
        ("crowd, oldest waits a minute", crowd(old(7)), slow),
        ("crowd, full", crowd(b(10_000)), slow),
        ("no create left", vec![old(7)], none),
        ("queue takes 12,000 more", vec![old(25_000)], tight),
        ("queue takes no more", vec![old(7)], full),
    ];
    let table: Vec<String> = situations
        .into_iter()
        .map(|(situation, buckets, budget)| {
            let plan = plan(NOON, &buckets, &[], &Limits::default(), &budget);
            format!("{situation:<29} {}", words(&plan))
                .trim_end()
                .to_owned()
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    nothing ready
    a few, just come              hold Filling 5s
    one batch full                take 10000 item_limit
    two batches full and a rest   take 10000 item_limit, take 10000 item_limit, hold Filling 5s
    full of bytes                 take 67 byte_limit, hold Filling 5s
    a job above the limit         take 1 byte_limit
    halved after a 413            take 5000 item_limit, take 5000 item_limit, hold Filling 5s
    oldest waits a minute         take 7 age
    full, and the rest is new     take 10000 item_limit, hold Filling 5s
    nothing new for 5 s           take 7 idle
    deadline in an hour           take 7 urgency
    deadline a minute later       hold Filling 5s
    deadline 2 s from urgent      hold Filling 2s
    crowd, idle                   hold Filling 51s, hold Filling 51s, hold Filling 51s
    crowd, oldest waits a minute  take 7 create_rate, take 7 create_rate, hold CreateRate 30s
    crowd, full                   take 10000 item_limit, take 10000 item_limit, hold CreateRate 30s
    no create left                hold CreateRate 1s
    queue takes 12,000 more       take 10000 item_limit, take 2000 queue_full, hold QueueFull
    queue takes no more           hold QueueFull
    ");
}

#[test]
fn it_wakes_for_the_earliest_hold() {
    let later = BucketFacts {
        bucket: bucket_id(2),
        newest: seconds_ago(3),
        ..bucket(1)
    };
    let made = plan(NOON, &[bucket(1), later], &[], &Limits::default(), &PLENTY);
    assert_eq!(made.next_wake, Some(NOON + Duration::from_secs(2)));
    assert_eq!(
        plan(NOON, &[], &[], &Limits::default(), &PLENTY),
        Plan::default()
    );
}

#[test]
fn limits_stay_inside_those_of_anthropic() {
    let greedy = Limits {
        max_items: u32::MAX,
        max_bytes: u64::MAX,
        ..Limits::default()
    };
    let [close, ..] = plan(NOON, &[bucket(900_000)], &[], &greedy, &PLENTY).close[..] else {
        panic!("nothing was closed")
    };
    assert_eq!((close.max_items, close.max_bytes), (100_000, 200_000_000));
}

#[test]
fn a_batch_takes_what_fits_and_always_the_first() {
    let limits = Limits {
        max_bytes: body_len(2, 200),
        ..Limits::default()
    };
    let facts = BucketFacts {
        bytes: 300,
        ..bucket(3)
    };
    let close = plan(NOON, &[facts], &[], &limits, &PLENTY).close[0];
    assert_eq!(close.takes([100, 100, 100]), 2);
    assert_eq!(close.takes([100, 101, 100]), 1);
    assert_eq!(close.takes([9_999, 1]), 1);
    assert_eq!(close.takes([]), 0);
    assert_eq!(
        Close {
            max_items: 1,
            ..close
        }
        .takes([1, 1]),
        1
    );
}

#[test]
fn one_tenants_buckets_go_urgent_first_then_in_turn() {
    let nth = |n, seconds| BucketFacts {
        bucket: bucket_id(n),
        oldest: seconds_ago(seconds),
        ..bucket(20_000)
    };
    let urgent = BucketFacts {
        earliest_deadline: Some(NOON),
        ..nth(3, 1)
    };
    let budget = Budget {
        creates_left: 5,
        ..PLENTY
    };
    let made = plan(
        NOON,
        &[nth(1, 20), nth(2, 30), urgent],
        &[],
        &Limits::default(),
        &budget,
    );
    let order: Vec<BucketId> = made.close.iter().map(|c| c.bucket).collect();
    assert_eq!(order, [3, 3, 2, 1, 2].map(bucket_id));
}

/// Plays a year of minutes with `creates` creates each, and counts the items
/// that each tenant gets. Nobody's queue ever empties.
fn play(weights: &[(u128, u32, u64)], creates: u32, minutes: u32) -> BTreeMap<TenantId, u64> {
    let buckets: Vec<BucketFacts> = weights
        .iter()
        .map(|(n, _, items)| BucketFacts {
            tenant: tenant(*n),
            bucket: bucket_id(*n),
            oldest: seconds_ago(600),
            newest: seconds_ago(600),
            ..bucket(*items)
        })
        .collect();
    let mut vtimes = BTreeMap::new();
    let mut got = BTreeMap::new();
    let budget = Budget {
        creates_left: creates,
        creates_per_minute: creates,
        ..PLENTY
    };
    for _ in 0..minutes {
        let shares: Vec<TenantShare> = weights
            .iter()
            .map(|(n, weight, _)| TenantShare {
                tenant: tenant(*n),
                weight: *weight,
                vtime: vtimes.get(&tenant(*n)).copied().unwrap_or(0),
            })
            .collect();
        let made = plan(NOON, &buckets, &shares, &Limits::default(), &budget);
        assert!(made.close.len() <= creates as usize);
        for close in &made.close {
            *got.entry(close.tenant).or_insert(0) += u64::from(close.max_items);
        }
        vtimes.extend(made.shares);
    }
    got
}

#[test]
fn shares_follow_the_weights() {
    let got = play(&[(1, 100, 1_000_000), (2, 300, 1_000_000)], 2, 100);
    assert_eq!(
        got,
        BTreeMap::from([(tenant(1), 500_000), (tenant(2), 1_500_000)])
    );
}

/// Creates are scarce here, not items: who sends large batches must not wait
/// until everybody else has had as many items.
#[test]
fn many_small_tenants_do_not_starve_a_large_one() {
    let mut everyone = vec![(1, 100, 1_000_000)];
    everyone.extend((2..=40).map(|n| (n, 100, 1)));
    let got = play(&everyone, 10, 100);
    // 1,000 creates for 40 tenants: half as many for the one as for the others.
    assert_eq!(got[&tenant(1)], 13 * 10_000);
    assert!(
        (2..=40).all(|n| (25..=26).contains(&got[&tenant(n)])),
        "{got:?}"
    );
}

#[test]
fn a_newcomer_starts_level_and_without_credit() {
    let old_hand = TenantShare {
        tenant: tenant(2),
        weight: 100,
        vtime: 0,
    };
    let of = |n| BucketFacts {
        tenant: tenant(n),
        bucket: bucket_id(n),
        ..bucket(1_000_000)
    };
    let budget = Budget {
        creates_left: 10,
        ..PLENTY
    };
    let before = plan(NOON, &[of(2)], &[old_hand], &Limits::default(), &budget);
    let shares: Vec<TenantShare> = before
        .shares
        .iter()
        .map(|(_, vtime)| TenantShare {
            vtime: *vtime,
            ..old_hand
        })
        .collect();
    let after = plan(NOON, &[of(1), of(2)], &shares, &Limits::default(), &budget);
    let newcomer = after
        .close
        .iter()
        .filter(|close| close.tenant == tenant(1))
        .count();
    assert_eq!(newcomer, 5);
}

#[test]
fn with_enough_for_all_everybody_is_level_again() {
    let share = TenantShare {
        tenant: tenant(1),
        weight: 100,
        vtime: 77,
    };
    let made = plan(
        NOON,
        &[bucket(10_000)],
        &[share],
        &Limits::default(),
        &PLENTY,
    );
    assert_eq!(made.shares, [(tenant(1), 0)]);
}

// ---------------------------------------------------------- the simulation

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
            };
            let shares: Vec<TenantShare> = vtimes
                .iter()
                .map(|(tenant, vtime)| TenantShare {
                    tenant: *tenant,
                    weight: 100,
                    vtime: *vtime,
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
            let budget = Budget { creates_left, creates_per_minute: 60, queue_left };
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
