//! Sends whose outcome is unknown, beside sends under way, clocks that differ
//! and machines that slept: what must never end in a second payment.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::Faults;
use offpeak_store::{Error, batch, release};
use offpeak_testkit::world::World;
use offpeak_worker::Loop;

use crate::books;
use crate::faults::{dropped, refusal};

/// An answer that says nothing, to a create that stored nothing.
fn lost() -> Faults {
    refusal(502, 1)
}

pub(crate) async fn send(world: &mut World, texts: &[&str], faults: Faults) -> Result<()> {
    world.standin.set_faults(faults);
    world.submit(texts).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    Ok(())
}

/// The last batch as it stands while its create has not been answered yet.
pub(crate) const STILL_SENDING: &str = "UPDATE offpeak.batch
        SET state = 'sending',
            sender = (SELECT holder FROM offpeak.lease WHERE name LIKE 'process/%')
      WHERE id = (SELECT max(id::text)::uuid FROM offpeak.batch)";
const NO_ANSWER: &str =
    "UPDATE offpeak.batch SET state = 'uncertain', sender = NULL WHERE state = 'sending'";

pub(crate) async fn states(world: &World) -> Result<Vec<String>> {
    world
        .texts("SELECT state FROM offpeak.batch ORDER BY id")
        .await
}

#[tokio::test]
async fn what_ended_under_a_send_that_waits_for_its_answer_is_not_foreign() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    send(&mut world, &["c", "d", "e"], dropped(1)).await?;
    world.meddle(STILL_SENDING).await?;
    // The second one ends, and a listing for the first one meets it.
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        states(&world).await?,
        ["uncertain", "in_progress"],
        "its lines name it"
    );
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 5);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_lost_send_does_not_adopt_what_another_one_is_sending() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    send(&mut world, &["c", "d"], dropped(1)).await?;
    world.meddle(STILL_SENDING).await?;
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        states(&world).await?,
        ["uncertain", "sending"],
        "it could be either's"
    );
    world.meddle(NO_ANSWER).await?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4);
    books::are_right(&world).await
}

#[tokio::test]
async fn an_answer_takes_its_batch_from_one_that_only_recognised_it() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    // The first one adopts the second one's message batch all the same.
    send(&mut world, &["c", "d"], dropped(1)).await?;
    world.meddle(STILL_SENDING).await?;
    let listed = world.listed().await?;
    world.stored(0, &listed[0], false).await?;
    assert_eq!(states(&world).await?, ["in_progress", "sending"]);
    world.stored(1, &listed[0], true).await?;
    assert_eq!(states(&world).await?, ["uncertain", "in_progress"]);
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4);
    books::are_right(&world).await
}

#[tokio::test]
async fn clocks_that_differ_by_more_than_the_margin_cost_nothing() -> Result<()> {
    let mut world = World::new().await?;
    world.set_ahead(Duration::from_mins(20));
    send(&mut world, &["c", "d", "e"], dropped(1)).await?;
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(states(&world).await?, ["in_progress"]);
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    books::are_right(&world).await
}

#[tokio::test]
async fn listings_are_paced_and_a_machine_that_slept_proves_nothing_by_waking() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    world.pass(Duration::from_mins(45));
    for _ in 0..20 {
        world.worker.tick(Loop::Rescue).await?;
    }
    assert_eq!(
        world
            .number("SELECT listings::bigint FROM offpeak.batch")
            .await?,
        1
    );
    for _ in 0..5 {
        world.pass(Duration::from_secs(20));
        world.worker.tick(Loop::Rescue).await?;
    }
    assert_eq!(
        states(&world).await?,
        ["uncertain"],
        "six listings, but within two minutes"
    );
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn listings_for_an_earlier_send_say_nothing_about_a_later_one() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    world.pass(Duration::from_secs(301));
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        world
            .number("SELECT listings::bigint FROM offpeak.batch")
            .await?,
        1
    );
    // The sender learns late that nothing was stored, and sends it again.
    world
        .meddle("UPDATE offpeak.batch SET state = 'planned', sender = NULL")
        .await?;
    world.standin.set_faults(lost());
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(states(&world).await?, ["uncertain"]);
    assert_eq!(
        world
            .number("SELECT listings::bigint FROM offpeak.batch")
            .await?,
        0
    );
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_sender_that_was_given_up_does_not_finish_its_body() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    // As soon as it begins, somebody gives it up: the trigger plays a machine
    // that slept between its commit and its last byte.
    world
        .meddle(
            "CREATE FUNCTION public.give_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.send_deadline := NEW.sent_at; RETURN NEW; END $$",
        )
        .await?;
    world
        .meddle(
            "CREATE TRIGGER give_up BEFORE UPDATE ON offpeak.batch
             FOR EACH ROW WHEN (NEW.state = 'sending') EXECUTE FUNCTION public.give_up()",
        )
        .await?;
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(states(&world).await?, ["planned"], "nothing whole has left");
    assert_eq!(world.listed().await?.len(), 0);
    world
        .meddle("DROP TRIGGER give_up ON offpeak.batch")
        .await?;
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn what_another_send_only_recognised_may_still_be_this_one_s() -> Result<()> {
    let mut world = World::new().await?;
    let stored = Faults {
        hold: Some(1),
        ..dropped(1)
    };
    send(&mut world, &["a", "b"], stored).await?;
    send(&mut world, &["c", "d"], lost()).await?;
    // The second one took the first one's message batch for its own, while the
    // first one had recognised a stranger's that it has let go of since.
    let listed = world.listed().await?;
    world.stored(1, &listed[0], false).await?;
    for _ in 0..40 {
        world.pass(Duration::from_mins(1));
        world.worker.tick(Loop::Rescue).await?;
    }
    assert_eq!(
        states(&world).await?,
        ["uncertain", "in_progress"],
        "what is listed may be its own: nothing is proved"
    );
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4);
    books::are_right(&world).await
}

#[tokio::test]
async fn an_answer_that_is_written_again_says_nothing_about_a_later_send() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], lost()).await?;
    let (first, now) = (world.sent().await?, world.system.now().await?);
    // Its answer comes late: nothing was stored. The batch is sent again, and
    // that answer is lost.
    batch::not_created(&world.system, &first, "late", now).await?;
    assert_eq!(states(&world).await?, ["planned"]);
    world.pass(Duration::from_secs(10));
    world.standin.set_faults(dropped(1));
    world.worker.tick(Loop::Submit).await?;
    assert_ne!(world.sent().await?.at, first.at);
    // The database did not say whether it had the first answer: here it is again.
    for under_way in [false, true] {
        if under_way {
            world.meddle(STILL_SENDING).await?;
        }
        let before = world.everything().await?;
        let again = batch::not_created(&world.system, &first, "late", now).await;
        assert!(matches!(again, Err(Error::Moved(_))), "{again:?}");
        batch::create_unknown(&world.system, &first, "late").await?;
        release::reject(&world.system, &first, "late", false).await?;
        assert_eq!(world.everything().await?, before);
    }
    world.meddle(NO_ANSWER).await?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 2, "each job is paid once");
    books::are_right(&world).await
}
