//! A process that was held up while a tenant's own key was removed begins nothing with it.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::cache::{Mark, Reason};
use offpeak_domain::id::{Minter, UpstreamId};
use offpeak_domain::job::{Lane, OnLate};
use offpeak_store::sendable::sendable;
use offpeak_store::{batch, call};
use offpeak_testkit::world::{SECOND_KEY, World, terms};
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::own_upstream::enroll;

const MINUTE: Duration = Duration::from_mins(1);

/// A process that has found what to send, and was held up before it wrote that down.
#[tokio::test]
async fn nothing_begins_by_a_key_that_was_removed_meanwhile() -> Result<()> {
    #[derive(Debug, PartialEq)]
    enum Meanwhile {
        Nothing,
        Removed,
        FallenBack,
    }
    for (meanwhile, begins) in [
        (Meanwhile::Nothing, true),
        (Meanwhile::Removed, false),
        (Meanwhile::FallenBack, false),
    ] {
        let mut world = World::new().await?;
        let tenant = world.tenant;
        enroll(&world, tenant, SECOND_KEY).await?;
        world.submit(&["planned"]).await?;
        let urgent = ("urgent", terms(MINUTE, OnLate::Escalate));
        world.submit_urgent(Lane::Direct, &[urgent]).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        let own = UpstreamId::from_uuid(tenant.as_uuid());
        let now = world.time();
        let planned = sendable(&world.system, own, now, 4, 9).await?;
        let called = call::candidates(&world.system, own, now, 9).await?;
        assert_eq!((planned.len(), called.len()), (1, 1));
        if meanwhile != Meanwhile::Nothing {
            world.remove_own_key(tenant).await?;
        }
        if meanwhile == Meanwhile::FallenBack {
            let mut tx = world.system.begin().await?;
            offpeak_store::upstream_key::ways::fall_back(&mut tx, tenant, true).await?;
            tx.commit().await?;
            world.worker.tick(Loop::Enroll).await?;
        }
        world
            .meddle(
                "INSERT INTO offpeak.lease (name, holder, epoch, expires_at)
                 VALUES ('held up', '00000000-0000-0000-0000-000000000009', 1,
                         now() + interval '1 hour')",
            )
            .await?;
        let sender = Uuid::from_u128(9);
        let begin = batch::Begin {
            upstream: own,
            now,
            within: MINUTE,
            sender,
            sender_lease: "held up",
            api_version: "2023-06-01",
            item_overhead: 0,
            max_uncertain: 4,
            ahead: None,
        };
        let sent = batch::begin_send(&world.system, planned[0].key, &begin).await?;
        assert_eq!(sent.is_some(), begins, "{meanwhile:?}");
        let begin = call::Begin {
            id: Minter::new(now, StdRng::seed_from_u64(2)).mint(),
            upstream: own,
            now,
            within: MINUTE,
            sender,
            sender_lease: "held up",
            parallel: 9,
        };
        let mark = |_: &call::Alike| (Mark::None, Reason::TooShort);
        let opened = call::open(&world.system, &called[0], &begin, mark).await?;
        assert_eq!(opened.is_some(), begins, "{meanwhile:?}");
    }
    Ok(())
}
