//! Who goes first, over many plans.

use std::collections::BTreeMap;

use super::{NOON, PLENTY, bucket, bucket_id, seconds_ago, tenant};
use crate::id::TenantId;
use crate::plan::{BucketFacts, Budget, Limits, TenantShare, plan};

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
