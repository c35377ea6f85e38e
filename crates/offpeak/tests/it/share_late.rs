//! Jobs that share an attempt, each with a deadline of its own.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::Faults;
use offpeak_testkit::world::{World, terms};
use offpeak_worker::Loop;

use crate::books;
use crate::share::{paid, stand};

/// Jobs with deadlines, alike, in a batch that is held or behind one that is.
async fn held(on_late: &[(u64, OnLate)]) -> Result<World> {
    let mut world = World::with(World::quick()).await?;
    world.standin.set_faults(Faults {
        hold: Some(1),
        ..Faults::default()
    });
    for (minutes, policy) in on_late {
        let terms = terms(Duration::from_mins(*minutes), *policy);
        world
            .submit_sharing(Lane::Batch, &[("One.", terms)])
            .await?;
    }
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    assert_eq!(stand(&world).await?[0], "submitted batch");
    Ok(world)
}

#[tokio::test]
async fn a_follower_whose_deadline_nears_is_called_for_itself() -> Result<()> {
    let mut world = held(&[(60, OnLate::Wait), (60, OnLate::Escalate)]).await?;
    assert_eq!(stand(&world).await?[1], "queued batch shared");
    world.pass(Duration::from_mins(58));
    world.worker.settle_down().await?;
    assert_eq!(
        stand(&world).await?,
        ["submitted batch", "completed direct"]
    );
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(paid(&world)?, 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn of_those_that_escalate_one_is_called_for() -> Result<()> {
    let mut world = held(&[(60, OnLate::Escalate); 4]).await?;
    world.pass(Duration::from_mins(58));
    world.worker.settle_down().await?;
    let shared = "completed batch shared";
    let all = ["completed direct", shared, shared, shared];
    assert_eq!(stand(&world).await?, all);
    let late = "SELECT count(*) FROM offpeak.result r JOIN offpeak.inflight i ON i.id = r.source_id
                 WHERE r.ended_at > i.deadline";
    assert_eq!(world.number(late).await?, 0);
    world.standin.release()?;
    world.run_out().await?;
    world.pass(Duration::from_mins(5));
    world.worker.settle_down().await?;
    assert_eq!(paid(&world)?, 2, "by call and by batch, once each");
    books::are_right(&world).await
}

#[tokio::test]
async fn a_deadline_is_ones_own() -> Result<()> {
    let policies = [(60, OnLate::Fail), (90, OnLate::Fail), (120, OnLate::Wait)];
    let mut world = held(&policies).await?;
    world.pass(Duration::from_hours(1));
    let outcome = world.worker.tick(Loop::Escalate).await?;
    assert!(outcome.seen.missed == 1 && outcome.wakes.contains(&Loop::Share));
    world.check_invariants().await?;
    world.worker.tick(Loop::Share).await?;
    // The one that is wanted first leads now, and is not called for before its end.
    let missed = "failed deadline_missed batch";
    let all = [missed, "queued batch", "queued batch shared"];
    assert_eq!(stand(&world).await?, all);
    world.pass(Duration::from_mins(30));
    world.worker.tick(Loop::Escalate).await?;
    world.run_out().await?;
    assert_eq!(stand(&world).await?, [missed, missed, "completed batch"]);
    world.standin.release()?;
    world.pass(Duration::from_mins(5));
    world.worker.settle_down().await?;
    assert_eq!(paid(&world)?, 2, "the late line is paid as well");
    books::are_right(&world).await
}
