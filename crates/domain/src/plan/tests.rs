//! The plan, shown by one table; its promises are in the files below.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{BucketFacts, Budget, Close, Limits, Pace, Plan, body_len, plan};
use crate::batch::CloseReason;
use crate::id::{BucketId, TenantId};

mod fairness;
mod simulation;

const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
/// More of everything than any test asks for.
const PLENTY: Budget = Budget {
    creates_left: 4_000,
    creates_per_minute: 4_000,
    queue_left: 500_000,
    shared: None,
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
    let filled = BucketFacts {
        bytes: Limits::default().max_bytes - body_len(10, 0),
        ..b(10)
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
        ("full of bytes, twice", vec![large(200)], PLENTY),
        ("full of bytes to the last", vec![filled], PLENTY),
        (
            "more of both than fits",
            vec![BucketFacts {
                bytes: 200_000_000,
                ..b(20_000)
            }],
            PLENTY,
        ),
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
    let due = |items, minutes| BucketFacts {
        earliest_deadline: Some(NOON + Duration::from_mins(minutes)),
        ..b(items)
    };
    // Where a batch takes ten minutes, and five more for each thousand in it.
    let few = Budget {
        creates_left: 1,
        ..slow
    };
    let paced = [
        ("paced, fewer than pays", vec![b(1_999)], PLENTY),
        ("paced, more than pays", vec![b(4_100)], PLENTY),
        ("paced, few creates left", vec![b(4_100)], few),
        ("paced, few left, full", vec![b(10_000)], few),
        ("paced, due in 30 min", vec![due(10_000, 30)], few),
        ("paced, due in 15 min", vec![due(10_000, 15)], PLENTY),
        ("paced, due in 9 min", vec![due(10_000, 9)], few),
        ("paced, idle before a deadline", vec![due(700, 75)], PLENTY),
    ];
    let pace = Pace {
        least: Duration::from_mins(10),
        per_thousand: Duration::from_mins(5),
    };
    let with_pace = Limits {
        pace: Some(pace),
        ..Limits::default()
    };
    let situations = situations.into_iter().map(|one| (one, Limits::default()));
    let table: Vec<String> = situations
        .chain(paced.into_iter().map(|one| (one, with_pace)))
        .map(|((situation, buckets, budget), limits)| {
            let plan = plan(NOON, &buckets, &[], &limits, &budget);
            format!("{situation:<29} {}", words(&plan))
                .trim_end()
                .to_owned()
        })
        .collect();
    for reason in CloseReason::ALL {
        assert!(
            table.iter().any(|line| line.contains(reason.as_str())),
            "{reason}"
        );
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    nothing ready
    a few, just come              hold Filling 5s
    one batch full                take 10000 item_limit
    two batches full and a rest   take 10000 item_limit, take 10000 item_limit, hold Filling 5s
    full of bytes                 take 67 byte_limit, hold Filling 5s
    full of bytes, twice          take 67 byte_limit, take 67 byte_limit, hold Filling 5s
    full of bytes to the last     take 10 byte_limit
    more of both than fits        take 6655 byte_limit, take 6655 byte_limit, take 6655 byte_limit, hold Filling 5s
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
    paced, fewer than pays        hold Filling 5s
    paced, more than pays         take 2000 turnaround, take 2000 turnaround, hold Filling 5s
    paced, few creates left       hold Filling 5s
    paced, few left, full         take 10000 item_limit
    paced, due in 30 min          take 4000 turnaround, hold CreateRate 30s
    paced, due in 15 min          take 1000 turnaround, take 1000 turnaround, take 1000 turnaround, take 1000 turnaround, take 1000 turnaround, … 10 in all
    paced, due in 9 min           take 10000 item_limit
    paced, idle before a deadline hold Filling 5s
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
        flush_after: Duration::MAX,
        idle_after: Duration::MAX,
        urgent_within: Duration::MAX,
        pace: None,
    };
    let [close, ..] = plan(NOON, &[bucket(900_001)], &[], &greedy, &PLENTY).close[..] else {
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
