//! Answers that were wrong, guesses that were wrong, and results that cannot be
//! read: none of it sends a job twice, or keeps the others waiting.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::JobId;
use offpeak_standin::{Call, CreateStatus, Fault, Faults, Rule, Status, Times};
use offpeak_store::cancel;
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Options};

use crate::books;
use crate::faults::{dropped, refusal};
use crate::quarantine::{damage, rules};
use crate::rescue::{send, states};
use crate::twins::create;

const TEXTS: [&str; 3] = ["One.", "Two.", "Three."];

/// The next create is answered by 529 and was stored all the same.
fn overloaded_and_stored() -> Result<Faults> {
    Ok(Faults {
        create_status: Some(CreateStatus {
            stored: true,
            ..refusal(529, 1).create_status.context("a status")?
        }),
        ..Faults::default()
    })
}

/// Lets time pass, up to three minutes at a time; a tick may fail, that is what faults
/// are for.
async fn minutes(world: &World, mut minutes: u32) {
    while minutes > 0 {
        let step = minutes.min(3);
        minutes -= step;
        world.pass(Duration::from_mins(step.into()));
        let _ = world.worker.settle_down().await;
    }
}

async fn twins(world: &World) -> Result<i64> {
    world.number("SELECT count(*) FROM offpeak.twin").await
}

#[tokio::test]
async fn what_was_stored_against_its_answer_is_not_sent_again_once_it_is_seen() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, overloaded_and_stored()?).await?;
    assert_eq!(states(&world).await?, ["planned"], "to be sent again");
    // As in an outage, its turn comes late: a listing sees it before.
    world.pass(Duration::from_hours(2));
    world.worker.tick(Loop::Sweep).await?;
    assert_eq!(states(&world).await?, ["in_progress"]);
    world.run_out().await?;
    minutes(&world, 90).await;
    assert_eq!(world.standin.journal()?.len(), 3, "each job is paid once");
    assert_eq!(twins(&world).await?, 0);
    books::are_right(&world).await
}

#[tokio::test]
async fn the_first_of_two_sends_is_looked_for_too() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, overloaded_and_stored()?).await?;
    world.pass(Duration::from_hours(3));
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(states(&world).await?, ["in_progress"], "sent a second time");
    world.run_out().await?;
    minutes(&world, 90).await;
    assert_eq!(twins(&world).await?, 1);
    books::are_right_beside(&world, 3).await
}

#[tokio::test]
async fn a_twin_of_the_first_of_two_sends_is_stopped() -> Result<()> {
    let mut world = World::with(Options {
        dedicated_workspace: true,
        ..Options::default()
    })
    .await?;
    let faults = Faults {
        hold: Some(1),
        ..overloaded_and_stored()?
    };
    send(&mut world, &TEXTS, faults).await?;
    world.pass(Duration::from_hours(3));
    world.worker.tick(Loop::Submit).await?;
    world.run_out().await?;
    minutes(&world, 90).await;
    assert_eq!(world.standin.journal()?.len(), 3, "it was stopped in time");
    assert_eq!(twins(&world).await?, 1);
    books::are_right(&world).await
}

/// Canceled between two creates: the second is made without it. If it turns out
/// that the first was stored, with it, what it billed is booked; if not, nothing
/// waits for its line.
#[tokio::test]
async fn what_was_canceled_between_two_sends_is_booked_if_the_first_was_stored() -> Result<()> {
    for stored in [true, false] {
        let mut world = World::new().await?;
        let first = if stored {
            overloaded_and_stored()?
        } else {
            refusal(529, 1)
        };
        send(&mut world, &TEXTS, first).await?;
        assert_eq!(states(&world).await?, ["planned"], "to be sent again");
        let jobs = world
            .texts("SELECT id::text FROM offpeak.inflight ORDER BY id")
            .await?;
        let first = JobId::from_uuid(jobs[0].parse()?);
        let mut tx = world.tenants.begin(world.tenant).await?;
        assert_eq!(cancel::jobs(&mut tx, &[first]).await?.canceled.len(), 1);
        tx.commit().await?;
        let second = if stored {
            refusal(502, 1)
        } else {
            Faults::default()
        };
        world.standin.set_faults(second);
        world.pass(Duration::from_hours(1));
        world.worker.tick(Loop::Submit).await?;
        minutes(&world, 90).await;
        world.run_out().await?;
        assert_eq!(states(&world).await?, ["ingested"], "stored: {stored}");
        let paid = if stored { 3 } else { 2 };
        assert_eq!(world.standin.journal()?.len(), paid);
        assert_eq!(twins(&world).await?, 0);
        books::are_right(&world).await?;
        let left = "SELECT count(*) FROM offpeak.inflight";
        assert_eq!(world.number(left).await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_guess_that_anthropic_does_not_know_any_more_is_let_go_of() -> Result<()> {
    for ended in [false, true] {
        let mut world = World::new().await?;
        send(&mut world, &TEXTS, refusal(502, 1)).await?;
        create(&world, (0..3).map(|n| format!("theirs-{n}"))).await?;
        world.worker.tick(Loop::Rescue).await?;
        assert_eq!(states(&world).await?, ["in_progress"], "a wrong guess");
        world.pass(Duration::from_mins(2));
        world.standin.settle_due().await;
        if ended {
            world.worker.tick(Loop::Poll).await?;
            assert_eq!(states(&world).await?, ["ended"]);
        }
        world.delete_listed().await?;
        for minute in 0..100 {
            // A pause between two reads is measured by the database's clock.
            world
                .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
                .await?;
            minutes(&world, 1).await;
            if minute < 10 {
                let state = if ended { "ended" } else { "in_progress" };
                assert_eq!(states(&world).await?, [state], "known ones flap");
            }
        }
        assert_eq!(world.open_jobs().await?, 0, "{:?}", states(&world).await?);
    }
    Ok(())
}

#[tokio::test]
async fn one_that_cannot_be_read_does_not_keep_the_others_waiting() -> Result<()> {
    // In a listing for lost sends, of which both look alike.
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], dropped(1)).await?;
    send(&mut world, &["c", "d"], dropped(1)).await?;
    world.pass(Duration::from_mins(2));
    world.standin.settle_due().await;
    let newest = world.listed().await?.swap_remove(0);
    world.standin.set_faults(unreadable(newest));
    world.worker.tick(Loop::Rescue).await?;
    let verified = "SELECT verified::text FROM offpeak.batch ORDER BY id";
    assert_eq!(
        world.texts(verified).await?,
        ["true", "false"],
        "told by its lines, and the other one by what is left"
    );
    world.standin.clear_faults();
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4);
    books::are_right(&world).await?;

    // And in one for late twins.
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, refusal(529, 1)).await?;
    world.run_out().await?;
    let first = create(&world, std::iter::once("theirs-1".to_owned())).await?;
    let second = create(&world, std::iter::once("theirs-2".to_owned())).await?;
    world.standin.set_faults(unreadable(second.clone()));
    minutes(&world, 90).await;
    let foreign = "SELECT upstream_batch_id FROM offpeak.foreign_batch";
    assert_eq!(world.texts(foreign).await?, [first]);
    world.standin.clear_faults();
    minutes(&world, 90).await;
    let both = world.texts(foreign).await?;
    assert!(both.contains(&second), "looked at again: {both:?}");
    Ok(())
}

/// The results of this message batch are an error.
fn unreadable(batch: String) -> Faults {
    let broken = Fault::Status(Status {
        status: 500,
        ..Status::default()
    });
    Faults {
        rules: vec![Rule {
            batch: Some(batch),
            times: Times::ALWAYS,
            ..Rule::new([Call::Results], broken)
        }],
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_stray_first_line_does_not_make_a_batch_somebody_else_s() -> Result<()> {
    // Recognised before its end and then read, or looked into first.
    for ended in [false, true] {
        let mut world = World::new().await?;
        send(&mut world, &TEXTS, dropped(1)).await?;
        let batch = world.listed().await?.swap_remove(0);
        let stray = damage("unknown", 0, &batch, Times::ALWAYS)?;
        world.standin.set_faults(rules(vec![stray]));
        if ended {
            world.pass(Duration::from_mins(2));
            world.standin.settle_due().await;
        }
        world.worker.tick(Loop::Rescue).await?;
        assert_eq!(states(&world).await?, ["in_progress"], "ended: {ended}");
        world.run_out().await?;
        assert_eq!(world.standin.journal()?.len(), 3, "each job is paid once");
        let foreign = "SELECT count(*) FROM offpeak.foreign_batch";
        assert_eq!(world.number(foreign).await?, 0);
        let put_aside = "SELECT kind FROM offpeak.quarantine";
        assert_eq!(world.texts(put_aside).await?, ["unknown_id"]);
        books::are_right(&world).await?;
    }
    Ok(())
}
