//! Batched jobs whose deadline nears: called for beside their batch, ended at
//! their deadline, or left alone.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::{Call, Fault, Faults, Plan, Rule};
use offpeak_testkit::world::{World, terms};
use offpeak_worker::Loop;

use crate::api::Api;
use crate::books;
use crate::faults::refusal;
use crate::lanes::{LOST, calls, ends, status};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
/// A minute before the deadline of an hour.
const NEARLY: Duration = Duration::from_mins(59);

/// Batches that are never processed until they are let go.
fn held() -> Faults {
    Faults {
        hold: Some(1),
        ..Faults::default()
    }
}

/// A world with these jobs in a batch that goes like this.
async fn batched(faults: Faults, on_late: &[OnLate]) -> Result<World> {
    let mut world = World::with(World::quick()).await?;
    world.budget().await?;
    world.standin.set_faults(faults);
    let jobs: Vec<_> = on_late
        .iter()
        .map(|policy| ("One fine day.", terms(HOUR, *policy)))
        .collect();
    world.submit_urgent(Lane::Batch, &jobs).await?;
    world.worker.settle_down().await?;
    assert_eq!(
        states(&world).await?,
        vec!["submitted batch"; on_late.len()]
    );
    Ok(world)
}

async fn states(world: &World) -> Result<Vec<String>> {
    ends(world).await
}

/// Lets time pass until the deadline is so far, a minute at a time.
async fn until(world: &World, before: Duration) -> Result<()> {
    let left = "SELECT extract(epoch FROM max(deadline))::bigint FROM offpeak.inflight";
    // A few seconds are lost to whole numbers.
    let before = i64::try_from(before.as_secs())? + 5;
    while world.number(left).await? - world.time().unix_timestamp() > before {
        world.pass(MINUTE);
        world.worker.settle_down().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stuck_batch_keeps_no_job_from_its_deadline_and_both_are_paid() -> Result<()> {
    let policies = [OnLate::Escalate, OnLate::Wait, OnLate::Fail];
    let mut world = batched(held(), &policies).await?;
    until(&world, Duration::from_mins(4)).await?;
    assert_eq!(
        states(&world).await?,
        ["submitted batch"; 3],
        "not before its time"
    );
    until(&world, MINUTE).await?;
    let left = ["completed direct", "submitted batch", "submitted batch"];
    assert_eq!(states(&world).await?, left);
    let in_time = "SELECT count(*) FROM offpeak.result r JOIN offpeak.inflight i USING (id)
                    WHERE r.ended_at < i.deadline";
    assert_eq!(world.number(in_time).await?, 1);
    world.check_invariants().await?;
    world.pass(2 * MINUTE);
    world.worker.settle_down().await?;
    let left = [
        "completed direct",
        "submitted batch",
        "failed deadline_missed batch",
    ];
    assert_eq!(states(&world).await?, left);
    world.check_invariants().await?;
    // The batch comes all the same, and is paid.
    world.standin.release()?;
    world.run_out().await?;
    world.pass(MINUTE);
    world.worker.settle_down().await?;
    let all = [
        "completed direct",
        "completed batch",
        "failed deadline_missed batch",
    ];
    assert_eq!(states(&world).await?, all);
    assert_eq!(
        world.standin.journal()?.len(),
        4,
        "one of three is paid twice"
    );
    let lanes = "SELECT lane || ' ' || count(*) FROM offpeak.ledger GROUP BY lane ORDER BY lane";
    assert_eq!(world.texts(lanes).await?, ["batch 3", "direct 1"]);
    let aside = "SELECT count(*) FROM offpeak.attempt WHERE outcome = 'completed'";
    assert_eq!(world.number(aside).await?, 2);
    books::are_right(&world).await
}

/// Brings a job into two attempts: in a batch that is let go, and in a call that
/// takes a moment. Gives what the loops came to that ran meanwhile.
async fn race(batch: Faults, faults: Faults, meanwhile: &[Loop]) -> Result<World> {
    let mut world = batched(batch, &[OnLate::Escalate]).await?;
    world.standin.release()?;
    // It has ended, and nobody has looked yet.
    world.pass(NEARLY);
    world.worker.tick(Loop::Escalate).await?;
    world.standin.set_faults(faults);
    let other = world.second_worker(World::quick())?;
    let opened = async {
        while states(&world).await? != ["processing direct"] {
            tokio::task::yield_now().await;
        }
        world.check_invariants().await?;
        // What the one that calls does not need.
        let others = "UPDATE offpeak.lease SET expires_at = now() - interval '1 s'
                       WHERE name NOT LIKE 'process/%'";
        world.meddle(others).await?;
        for which in meanwhile {
            other.tick(*which).await?;
        }
        anyhow::Ok(())
    };
    let (called, opened) = tokio::join!(world.worker.tick(Loop::Direct), opened);
    called?;
    opened?;
    assert!(world.expire_leases().await?);
    world.worker = other;
    Ok(world)
}

const SLOW: Fault = Fault::Delay {
    min_ms: 1_500,
    max_ms: 1_500,
};

#[tokio::test]
async fn the_first_good_result_wins_and_the_other_is_set_aside() -> Result<()> {
    let mut world = race(held(), calls(SLOW, 1), &[Loop::Poll, Loop::Ingest]).await?;
    assert_eq!(states(&world).await?, ["completed batch"]);
    world.run_out().await?;
    let aside = "SELECT outcome || ' ' || attempt FROM offpeak.attempt";
    assert_eq!(world.texts(aside).await?, ["completed 2"]);
    books::are_right(&world).await?;

    let mut world = race(held(), calls(SLOW, 1), &[]).await?;
    assert_eq!(states(&world).await?, ["completed direct"]);
    world.pass(MINUTE);
    world.worker.settle_down().await?;
    world.run_out().await?;
    let aside = "SELECT outcome || ' ' || attempt FROM offpeak.attempt";
    assert_eq!(world.texts(aside).await?, ["completed 1"]);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_call_that_comes_to_nothing_leaves_the_job_to_its_batch() -> Result<()> {
    for (what, faults) in [
        ("refused", calls(status(400), 1)),
        ("lost", calls(LOST, 1)),
        ("not made", calls(status(429), 1)),
    ] {
        let mut world = batched(held(), &[OnLate::Escalate]).await?;
        world.pass(NEARLY);
        world.worker.tick(Loop::Escalate).await?;
        world.standin.set_faults(faults);
        world.worker.tick(Loop::Direct).await?;
        assert_eq!(states(&world).await?, ["submitted batch"], "{what}");
        world.check_invariants().await?;
        world.standin.clear_faults();
        world.standin.release()?;
        world.pass(MINUTE);
        world.worker.tick(Loop::Poll).await?;
        world.worker.tick(Loop::Ingest).await?;
        assert_eq!(states(&world).await?, ["completed batch"], "{what}");
        world.run_out().await?;
        // A lost call was billed; by the batch's answer one knows how much.
        let absorbed = i64::from(what == "lost");
        books::are_right_beside(&world, absorbed).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_that_comes_to_nothing_leaves_the_job_to_its_call() -> Result<()> {
    let expired = Plan {
        expired: 1.0,
        turnaround_ms: Some(50 * 60_000),
        ..Plan::default()
    };
    let expired = Faults {
        rules: vec![Rule::new([Call::Create], Fault::Batch(expired))],
        ..Faults::default()
    };
    let mut world = race(expired, calls(SLOW, 1), &[Loop::Poll, Loop::Ingest]).await?;
    assert_eq!(states(&world).await?, ["completed direct"]);
    let aside = "SELECT outcome || ' ' || attempt FROM offpeak.attempt";
    assert_eq!(world.texts(aside).await?, ["expired 1"]);
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn what_still_waits_is_called_for_instead() -> Result<()> {
    let mut world = World::with(World::quick()).await?;
    // Nothing is stored for an hour.
    world.standin.set_faults(refusal(529, 1_000));
    let job = ("One fine day.", terms(HOUR, OnLate::Escalate));
    world.submit_urgent(Lane::Batch, &[job]).await?;
    world
        .meddle("UPDATE offpeak.ready SET not_before = not_before + interval '2 hours'")
        .await?;
    world.pass(NEARLY);
    let outcome = world.worker.tick(Loop::Escalate).await?;
    assert_eq!(outcome.seen.escalated, (1, 0));
    world
        .meddle("UPDATE offpeak.ready SET not_before = not_before - interval '2 hours'")
        .await?;
    world.run_out().await?;
    assert_eq!(states(&world).await?, ["completed direct"]);
    let batches = "SELECT count(*) FROM offpeak.batch";
    assert_eq!(world.number(batches).await?, 0);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_refuted_batch_gives_back_nobody_who_was_called_for() -> Result<()> {
    let mut world = World::with(World::quick()).await?;
    world.standin.set_faults(refusal(502, 1));
    let job = (
        "One fine day.",
        terms(Duration::from_mins(3), OnLate::Escalate),
    );
    world.submit_urgent(Lane::Batch, &[job]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(states(&world).await?, ["queued batch"], "uncertain");
    world.pass(MINUTE);
    world.worker.tick(Loop::Escalate).await?;
    world.worker.tick(Loop::Direct).await?;
    assert_eq!(states(&world).await?, ["completed direct"]);
    world.check_invariants().await?;
    world.run_out().await?;
    for _ in 0..5 {
        world.pass(MINUTE);
        world.worker.settle_down().await?;
    }
    let refuted = "SELECT outcome || ' ' || attempt FROM offpeak.attempt";
    assert_eq!(world.texts(refuted).await?, ["refuted 1"]);
    assert_eq!(world.standin.journal()?.len(), 1, "paid once");
    books::are_right(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_two_attempts_can_be_canceled_and_retried_when_both_are_back() -> Result<()> {
    let mut api = Api::new().await?;
    api.world.standin.set_faults(held());
    let job = ("One fine day.", terms(HOUR, OnLate::Escalate));
    let job = api.world.submit_urgent(Lane::Batch, &[job]).await?[0];
    api.world.worker.settle_down().await?;
    api.world.pass(NEARLY);
    api.world.worker.tick(Loop::Escalate).await?;
    api.world.standin.set_faults(calls(SLOW, 1));
    let path = format!("/v1/jobs/{job}");
    let canceled = async {
        while api.get(&path).await?.at("/state") != "processing" {}
        let answer = api.post(&format!("{path}/cancel"), "").await?;
        assert_eq!(answer.at("/state"), "canceled");
        anyhow::Ok(())
    };
    let (called, canceled) = tokio::join!(api.world.worker.tick(Loop::Direct), canceled);
    called?;
    canceled?;
    api.world.check_invariants().await?;
    let again = api.post(&format!("{path}/retry"), "").await?;
    assert_eq!(again.status, 409, "its batch is still under way");
    api.world.standin.release()?;
    api.world.pass(MINUTE);
    api.world.worker.settle_down().await?;
    let again = api.post(&format!("{path}/retry"), "").await?;
    assert_eq!((again.status, again.at("/attempt")), (200, "3".to_owned()));
    api.world.run_out().await?;
    assert_eq!(api.world.standin.journal()?.len(), 3);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expected_is_what_twenty_batches_took() -> Result<()> {
    let mut api = Api::new().await?;
    let expected = async |api: &Api| {
        let job = crate::api::raw_job("x");
        let job = format!("{},\"deliver_within\":\"30m\"}}", &job[..job.len() - 1]);
        let answer = api.post("/v1/jobs", job).await?;
        anyhow::Ok((answer.at("/lane"), answer.at("/expected_by") != "null"))
    };
    for text in 0..19 {
        api.world.submit(&[&format!("Batch {text}.")]).await?;
        api.world.pass(Duration::from_secs(10));
        api.world.worker.tick(Loop::Form).await?;
        api.world.worker.tick(Loop::Submit).await?;
    }
    api.world.run_out().await?;
    assert_eq!(
        expected(&api).await?,
        ("direct".to_owned(), false),
        "nineteen"
    );
    api.world.submit(&["The last."]).await?;
    api.world.run_out().await?;
    // What this process knows is half a minute old; another one looks at once.
    api.again(offpeak_domain::room::Queue::default()).await?;
    assert_eq!(expected(&api).await?, ("batch".to_owned(), true));
    Ok(())
}
