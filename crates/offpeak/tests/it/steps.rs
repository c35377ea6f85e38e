//! Clocks that are set, and keys that are changed, between a send and the
//! listings that are to tell what became of it; and leases that outlive both.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_standin::{Call, Fault, Faults, Rule, Times};
use offpeak_store::lease;
use offpeak_testkit::world::{SECOND_KEY, World};
use offpeak_worker::{Loop, Worker};

use crate::books;
use crate::faults::{dropped, refusal};
use crate::rescue::{STILL_SENDING, send, states};

const STEP: Duration = Duration::from_mins(20);

/// A world in which a first batch has come back: Anthropic's time is known, and
/// so is a message batch of ours.
async fn begun() -> Result<World> {
    let mut world = World::new().await?;
    world.submit(&["First."]).await?;
    world.run_out().await?;
    Ok(world)
}

/// A create that is stored, runs on, and gets no answer.
fn held() -> Faults {
    Faults {
        hold: Some(1),
        ..dropped(1)
    }
}

async fn rescue(world: &World, minutes: u32) -> Result<()> {
    for _ in 0..minutes {
        world.pass(Duration::from_mins(1));
        world.worker.tick(Loop::Rescue).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_hides_no_batch() -> Result<()> {
    for forward in [true, false] {
        let mut world = begun().await?;
        send(&mut world, &["a", "b"], held()).await?;
        if forward {
            world.set_ahead(STEP);
        } else {
            world.set_back(STEP);
        }
        rescue(&world, 40).await?;
        let found = ["ingested", "in_progress"];
        assert_eq!(states(&world).await?, found, "forward: {forward}");
        world.standin.release()?;
        world.run_out().await?;
        assert_eq!(world.standin.journal()?.len(), 3, "each job is paid once");
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_between_listings_is_no_time_that_has_passed() -> Result<()> {
    let mut world = begun().await?;
    send(&mut world, &["a", "b"], refusal(502, 1)).await?;
    world.pass(Duration::from_secs(301));
    rescue(&world, 3).await?;
    world.set_ahead(STEP);
    rescue(&world, 3).await?;
    assert_eq!(
        states(&world).await?,
        ["ingested", "uncertain"],
        "six minutes of listings"
    );
    let listings = "SELECT sum(listings)::bigint FROM offpeak.batch";
    let before = world.number(listings).await?;
    world.set_back(Duration::from_hours(5));
    rescue(&world, 3).await?;
    let after = world.number(listings).await?;
    assert!(after >= before + 2, "listed as often: {before}, {after}");
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    books::are_right(&world).await
}

/// Puts a worker with another key in the place of the world's own. Gives that one.
async fn under(world: &mut World, key: &str) -> Result<Worker> {
    let other = world.worker_under(key).await?;
    Ok(std::mem::replace(&mut world.worker, other))
}

const OPEN: &str = "SELECT kind FROM offpeak.incident WHERE resolved_at IS NULL ORDER BY 1";

#[tokio::test]
async fn the_list_of_another_workspace_proves_nothing() -> Result<()> {
    let mut world = begun().await?;
    send(&mut world, &["a", "b"], held()).await?;
    let first = under(&mut world, SECOND_KEY).await?;
    rescue(&world, 30).await?;
    // What is sent there meanwhile is no witness for what was sent before.
    send(&mut world, &["c"], Faults::default()).await?;
    rescue(&world, 30).await?;
    let found = ["ingested", "uncertain", "in_progress"];
    assert_eq!(states(&world).await?, found);
    assert_eq!(world.texts(OPEN).await?, ["other_workspace"]);
    assert!(world.expire_leases().await?);
    let second = std::mem::replace(&mut world.worker, first);
    rescue(&world, 2).await?;
    let found = ["ingested", "in_progress", "in_progress"];
    assert_eq!(states(&world).await?, found, "adopted");
    world.standin.release()?;
    world.pass(Duration::from_mins(2));
    world.worker.settle_down().await?;
    assert!(world.expire_leases().await?);
    world.worker = second;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4, "each job is paid once");
    books::are_right(&world).await
}

#[tokio::test]
async fn a_send_that_is_absent_from_its_own_workspace_is_refuted_after_the_other_one() -> Result<()>
{
    let mut world = begun().await?;
    send(&mut world, &["a", "b"], refusal(502, 1)).await?;
    let first = under(&mut world, SECOND_KEY).await?;
    rescue(&world, 30).await?;
    assert!(world.expire_leases().await?);
    world.worker = first;
    rescue(&world, 2).await?;
    let found = ["ingested", "uncertain"];
    assert_eq!(states(&world).await?, found, "those listings do not count");
    assert_eq!(world.texts(OPEN).await?, [""; 0], "resolved by itself");
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_batch_that_another_workspace_does_not_know_is_not_lost() -> Result<()> {
    let mut world = begun().await?;
    let held = Faults {
        hold: Some(1),
        ..Faults::default()
    };
    send(&mut world, &["a", "b"], held).await?;
    let first = under(&mut world, SECOND_KEY).await?;
    for _ in 0..4 {
        world.pass(Duration::from_hours(24));
        world.worker.tick(Loop::Poll).await?;
    }
    assert_eq!(states(&world).await?, ["ingested", "in_progress"]);
    assert_eq!(world.texts(OPEN).await?, ["other_workspace"]);
    assert!(world.expire_leases().await?);
    world.worker = first;
    world.run_out().await?;
    let failed = "SELECT count(*) FROM offpeak.result WHERE outcome = 'failed'";
    assert_eq!(world.number(failed).await?, 0);
    books::are_right(&world).await
}

/// A gateway that does not say what time it is: were the header dropped, the
/// stand-in's own server would put one in its place.
fn undated(mut faults: Faults) -> Faults {
    let none = BTreeMap::from([("date".to_owned(), "today".to_owned())]);
    faults.rules.push(Rule {
        times: Times::ALWAYS,
        ..Rule::new([Call::List, Call::Create], Fault::Headers(none))
    });
    faults
}

#[tokio::test]
async fn without_a_date_a_lost_send_is_refuted_and_a_stored_one_told_by_its_lines() -> Result<()> {
    for stored in [false, true] {
        let mut world = World::new().await?;
        let faults = if stored { held() } else { refusal(502, 1) };
        send(&mut world, &["a", "b"], undated(faults)).await?;
        rescue(&world, 4).await?;
        assert_eq!(states(&world).await?, ["uncertain"], "stored: {stored}");
        rescue(&world, 40).await?;
        let now = if stored { "uncertain" } else { "refuted" };
        assert_eq!(states(&world).await?, [now]);
        world.standin.release()?;
        world.run_out().await?;
        assert_eq!(world.standin.journal()?.len(), 2, "each job is paid once");
        let listings = "SELECT count(*) FROM offpeak.batch WHERE ahead_us IS NOT NULL";
        assert_eq!(world.number(listings).await?, 0, "nothing said it");
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lease_of_a_dead_holder_does_not_last_as_long_as_a_clock_was_set_back() -> Result<()> {
    const TERM: Duration = Duration::from_secs(10);
    let mut world = begun().await?;
    // Any two different ids.
    let (dead, heir) = (world.tenant.as_uuid(), world.sent().await?.sender);
    let take = async |holder| lease::take(&world.system, "step", holder, TERM).await;
    let first = take(dead).await?.context("it is free")?;
    assert!(take(heir).await?.is_none(), "while it lasts");
    world
        .meddle("UPDATE offpeak.lease SET expires_at = now() + interval '5 hours'")
        .await?;
    let second = take(heir).await?.context("nobody has so long a term")?;
    assert_eq!(second.epoch(), first.epoch() + 1);
    assert!(!lease::renew(&world.system, &first).await?, "it is over");
    assert!(take(dead).await?.is_none());

    // And what it was sending is no secret for so long.
    send(&mut world, &["a", "b"], dropped(1)).await?;
    world.meddle(STILL_SENDING).await?;
    world.set_back(Duration::from_hours(5));
    rescue(&world, 1).await?;
    assert_eq!(states(&world).await?, ["ingested", "in_progress"]);
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn the_lease_of_a_process_that_is_gone_for_a_day_is_forgotten() -> Result<()> {
    let world = begun().await?;
    let age = "INSERT INTO offpeak.lease (name, holder, epoch, expires_at)
               VALUES ('process/old', gen_random_uuid(), 1, now() - interval '25 hours'),
                      ('process/recent', gen_random_uuid(), 1, now() - interval '23 hours'),
                      ('poll/old', gen_random_uuid(), 7, now() - interval '25 hours')";
    world.meddle(age).await?;
    world.worker.tick(Loop::Tend).await?;
    let left = "SELECT name FROM offpeak.lease
                 WHERE name IN ('process/old', 'process/recent', 'poll/old') ORDER BY name";
    let expected = ["poll/old", "process/recent"];
    assert_eq!(world.texts(left).await?, expected, "epochs are kept");
    Ok(())
}
