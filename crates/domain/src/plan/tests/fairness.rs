//! Who goes first, over many plans.

use std::collections::{BTreeMap, BTreeSet};

use super::{NOON, PLENTY, bucket, bucket_id, seconds_ago, tenant};
use crate::batch::CloseReason;
use crate::id::TenantId;
use crate::plan::{BucketFacts, Budget, Held, HoldReason, Limits, Plan, Shared, TenantShare, plan};

/// Plans minute after minute with `creates` creates each, and counts the items
/// that each tenant gets. Nobody's queue ever empties.
///
/// The tenants are given as number, weight and items that are ready.
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
                held: Held::default(),
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

/// As with creates, so with places in the upstream's queue.
#[test]
fn a_full_queue_is_shared_as_well() {
    let of = |n| BucketFacts {
        tenant: tenant(n),
        bucket: bucket_id(n),
        ..bucket(1_000_000)
    };
    let budget = Budget {
        queue_left: 10_000,
        ..PLENTY
    };
    let mut vtimes = BTreeMap::from([(tenant(1), 0), (tenant(2), 0)]);
    let mut order = Vec::new();
    for _ in 0..4 {
        let shares: Vec<TenantShare> = vtimes
            .iter()
            .map(|(tenant, vtime)| TenantShare {
                tenant: *tenant,
                weight: 100,
                vtime: *vtime,
                held: Held::default(),
            })
            .collect();
        let made = plan(NOON, &[of(1), of(2)], &shares, &Limits::default(), &budget);
        order.extend(made.close.iter().map(|close| close.tenant));
        vtimes.extend(made.shares);
    }
    assert_eq!(order, [1, 2, 1, 2].map(tenant));
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
        held: Held::default(),
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
        held: Held::default(),
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

/// Several tenants, of whom none but those who wait has anything of so large a queue.
fn among(queue: u64) -> Shared {
    Shared { queue, holding: 0 }
}

/// What one takes who finds the upstream empty, alone in a deployment of several.
#[test]
fn nobody_takes_the_last_of_what_others_may_want() {
    let budget = Budget {
        creates_left: 50,
        creates_per_minute: 50,
        queue_left: 100_000,
        shared: Some(among(100_000)),
    };
    let of = |n, items| BucketFacts {
        tenant: tenant(n),
        bucket: bucket_id(n),
        oldest: seconds_ago(600),
        ..bucket(items)
    };
    let share = |n, weight, held| TenantShare {
        tenant: tenant(n),
        weight,
        vtime: 0,
        held,
    };
    let limits = Limits::default();
    let items = |plan: &Plan, n| -> u64 {
        let of = plan.close.iter().filter(|close| close.tenant == tenant(n));
        of.map(|close| u64::from(close.max_items)).sum()
    };
    let nothing = Held::default();
    let alone = plan(
        NOON,
        &[of(1, 1_000_000)],
        &[share(1, 100, nothing)],
        &limits,
        &budget,
    );
    assert_eq!(items(&alone, 1), 90_000, "nine tenths of the queue");
    assert_eq!(alone.hold[0].reason, HoldReason::QueueFull);

    // Ten thousand are left, and a newcomer with a few finds its place at once, also
    // beside the other, who gets nothing more.
    let left = Budget {
        queue_left: 10_000,
        creates_left: 41,
        ..budget
    };
    let held = Held {
        items: 90_000,
        creates: 9,
    };
    let shares = [share(1, 100, held), share(2, 100, nothing)];
    let both = plan(NOON, &[of(1, 900_000), of(2, 500)], &shares, &limits, &left);
    assert_eq!((items(&both, 1), items(&both, 2)), (0, 500));
    // By weight: what all hold is split as the turns are.
    let shares = [share(1, 100, nothing), share(2, 300, nothing)];
    let both = [of(1, 1_000_000), of(2, 1_000_000)];
    let split = plan(NOON, &both, &shares, &limits, &budget);
    let (one, three) = (items(&split, 1), items(&split, 2));
    assert!((22_000..=25_000).contains(&one), "{one}");
    assert!((70_000..=75_000).contains(&three), "{three}");

    // So with creates, where batches are small.
    let small: Vec<BucketFacts> = (0..1_000)
        .map(|n| BucketFacts {
            bucket: bucket_id(n),
            ..of(1, 1)
        })
        .collect();
    let alone = plan(NOON, &small, &[share(1, 100, nothing)], &limits, &budget);
    assert_eq!(alone.close.len(), 45);
    // One that has to wait for the minute to pass is told so.
    assert_eq!(alone.hold[0].reason, HoldReason::CreateRate);
    // Who is alone in a deployment keeps nothing back.
    let only = Budget {
        shared: None,
        ..budget
    };
    let all = plan(
        NOON,
        &[of(1, 1_000_000)],
        &[share(1, 100, nothing)],
        &limits,
        &only,
    );
    assert_eq!(items(&all, 1), 100_000);
}

/// Who asks for no more than its part gets it, whatever another one holds.
#[test]
fn a_part_is_ones_own_while_anything_is_left() {
    let of = |n, items| BucketFacts {
        tenant: tenant(n),
        bucket: bucket_id(n),
        oldest: seconds_ago(600),
        ..bucket(items)
    };
    let share = |n, items, creates| TenantShare {
        tenant: tenant(n),
        weight: 100,
        vtime: 0,
        held: Held { items, creates },
    };
    // The other one has the rest, which is more than its half.
    let taken = |held: u64, queue_left, holding| {
        let budget = Budget {
            creates_left: 10,
            creates_per_minute: 50,
            queue_left,
            shared: Some(Shared {
                queue: 100_000,
                holding,
            }),
        };
        let shares = [
            share(1, 100_000 - held - queue_left, 30),
            share(2, held, 10),
        ];
        let wants = [of(1, 900_000), of(2, 5_000)];
        let made = plan(NOON, &wants, &shares, &Limits::default(), &budget);
        assert!(made.close.iter().all(|close| close.tenant == tenant(2)));
        made.close
            .iter()
            .map(|close| u64::from(close.max_items))
            .sum::<u64>()
    };
    assert_eq!(taken(41_000, 8_000, 0), 5_000);
    assert_eq!(taken(44_000, 4_000, 0), 2_000, "a fiftieth is kept");
    // Who waits for nothing and holds something has a part as well.
    assert_eq!(taken(30_000, 8_000, 100), 3_333);
}

/// However little is left and however many there are, who holds nothing may begin.
#[test]
fn a_thousand_newcomers_each_begin_while_anything_is_left() {
    let budget = Budget {
        creates_left: 2_000,
        creates_per_minute: 2_000,
        queue_left: 5_000,
        shared: Some(among(5_000)),
    };
    let facts: Vec<BucketFacts> = (1..=1_000)
        .map(|n| BucketFacts {
            tenant: tenant(n),
            bucket: bucket_id(n),
            oldest: seconds_ago(600),
            ..bucket(3)
        })
        .collect();
    let shares: Vec<TenantShare> = facts
        .iter()
        .map(|facts| TenantShare {
            tenant: facts.tenant,
            weight: 100,
            vtime: 0,
            held: Held::default(),
        })
        .collect();
    let made = plan(NOON, &facts, &shares, &Limits::default(), &budget);
    let begun: BTreeSet<TenantId> = made.close.iter().map(|close| close.tenant).collect();
    assert_eq!(begun.len(), 1_000);
}

/// Two hundred buckets of one tenant are no crowd for another.
#[test]
fn many_buckets_of_one_keep_no_other_waiting() {
    let budget = Budget {
        creates_left: 50,
        creates_per_minute: 50,
        shared: Some(among(500_000)),
        ..PLENTY
    };
    let quiet = |n, of: u128| BucketFacts {
        tenant: tenant(of),
        bucket: bucket_id(n),
        oldest: seconds_ago(9),
        newest: seconds_ago(5),
        ..bucket(1)
    };
    let mut facts: Vec<BucketFacts> = (1..=200).map(|n| quiet(n, 1)).collect();
    facts.push(quiet(1_000, 2));
    let shares = [1, 2].map(|n| TenantShare {
        tenant: tenant(n),
        weight: 100,
        vtime: 0,
        held: Held::default(),
    });
    let made = plan(NOON, &facts, &shares, &Limits::default(), &budget);
    let whose: Vec<_> = made
        .close
        .iter()
        .map(|close| (close.tenant, close.reason))
        .collect();
    assert_eq!(whose, [(tenant(2), CloseReason::Idle)]);
}
