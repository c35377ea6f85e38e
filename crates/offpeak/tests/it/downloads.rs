//! Downloads of results that are short, cut, or not to be had any more.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::{Call, Fault, Rule, Times};
use offpeak_worker::{Loop, Options};
use serde_json::{Value, json};

use crate::books;
use crate::quarantine::{damage, kinds, read_out, rules, sent, small_chunks};

#[tokio::test]
async fn a_download_that_was_cut_fails_no_job() -> Result<()> {
    for what in ["truncate", "truncate_newline", "no_newline"] {
        for at in [0, 2, 4] {
            let (world, batch) = sent(small_chunks(), 5).await?;
            let cut = damage(what, at, &batch, Times::Count(2))?;
            world.standin.set_faults(rules(vec![cut]));
            read_out(&world).await?;
            // Cut and yet ended by a newline, the last line of all is a bad one.
            let unreadable = i64::from(what == "truncate_newline" && at == 4);
            assert_eq!(
                world.counted("completed").await?,
                5 - unreadable,
                "{what} {at}"
            );
            if unreadable == 0 {
                assert_eq!(kinds(&world).await?, [""; 0], "{what} {at}");
                books::are_right(&world).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn right_counts_are_not_ingested_while_a_job_has_no_line() -> Result<()> {
    let (world, batch) = sent(Options::default(), 5).await?;
    let missing = damage("missing", 1, &batch, Times::Count(2))?;
    world.standin.set_faults(rules(vec![missing]));
    let states = "SELECT state || ' ' || short_reads FROM offpeak.batch";
    for _ in 0..20 {
        world.pass(Duration::from_secs(30));
        world.worker.tick(Loop::Poll).await?;
        world.worker.tick(Loop::Ingest).await?;
        if world.texts(states).await? == ["ended 1"] {
            break;
        }
    }
    assert_eq!(world.texts(states).await?, ["ended 1"]);
    read_out(&world).await?;
    assert_eq!(world.texts(states).await?, ["ingested 2"]);
    assert_eq!(kinds(&world).await?, [""; 0]);
    books::are_right(&world).await
}

#[tokio::test]
async fn results_that_are_gone_are_given_up_and_said_so() -> Result<()> {
    let patch = |fields: Value| {
        let fields = fields.as_object().cloned().unwrap_or_default();
        Rule {
            times: Times::ALWAYS,
            ..Rule::new([Call::Retrieve], Fault::Patch(fields))
        }
    };
    let archived = patch(json!({ "results_url": null, "archived_at": "2026-01-01T00:00:00Z" }));
    let (world, _) = sent(Options::default(), 3).await?;
    world.standin.set_faults(rules(vec![archived]));
    read_out(&world).await?;
    let labels = "SELECT DISTINCT label FROM offpeak.result";
    assert_eq!(world.texts(labels).await?, ["result_missing"]);
    assert_eq!(kinds(&world).await?, ["results_lost"]);

    // For want of the URL alone nothing is given up.
    let (world, _) = sent(Options::default(), 3).await?;
    world
        .standin
        .set_faults(rules(vec![patch(json!({ "results_url": null }))]));
    assert!(read_out(&world).await.is_err(), "it goes on trying");
    assert_eq!(world.open_jobs().await?, 3);
    world.standin.clear_faults();
    read_out(&world).await?;
    assert_eq!(kinds(&world).await?, [""; 0]);
    books::are_right(&world).await?;

    // Not known any more: after a month, when nobody has them.
    let (world, _) = sent(Options::default(), 3).await?;
    let unknown = offpeak_standin::Status {
        status: 404,
        ..offpeak_standin::Status::default()
    };
    world.standin.set_faults(rules(vec![Rule {
        times: Times::ALWAYS,
        ..Rule::new([Call::Results], Fault::Status(unknown))
    }]));
    assert!(read_out(&world).await.is_err(), "it may pass");
    world.pass(Duration::from_hours(28 * 24));
    assert!(read_out(&world).await.is_err(), "it may still pass");
    assert_eq!(world.open_jobs().await?, 3);
    world.pass(Duration::from_hours(24));
    read_out(&world).await?;
    assert_eq!(world.texts(labels).await?, ["result_missing"]);
    let lost = "SELECT count(*) FROM offpeak.incident WHERE kind = 'results_lost'";
    assert_eq!(world.number(lost).await?, 1);
    Ok(())
}

#[tokio::test]
async fn results_that_are_not_found_for_minutes_are_read_afterwards() -> Result<()> {
    for on in [vec![Call::Results], vec![Call::Retrieve, Call::Results]] {
        let (world, _) = sent(Options::default(), 3).await?;
        world.pass(Duration::from_mins(2));
        world.worker.tick(Loop::Poll).await?;
        // As after a weekend without workers.
        world.pass(Duration::from_hours(50));
        let unknown = offpeak_standin::Status {
            status: 404,
            ..offpeak_standin::Status::default()
        };
        world.standin.set_faults(rules(vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new(on.clone(), Fault::Status(unknown))
        }]));
        for _ in 0..40 {
            let _ = world.worker.tick(Loop::Ingest).await;
            world
                .meddle("UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'")
                .await?;
            world.pass(Duration::from_secs(15));
        }
        world.standin.clear_faults();
        read_out(&world).await?;
        assert_eq!(world.counted("completed").await?, 3, "{on:?}");
        assert_eq!(kinds(&world).await?, [""; 0]);
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn lines_that_anthropic_counts_are_waited_for_for_hours() -> Result<()> {
    let (world, batch) = sent(Options::default(), 5).await?;
    let missing = damage("missing", 1, &batch, Times::ALWAYS)?;
    world.standin.set_faults(rules(vec![missing]));
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Poll).await?;
    let pause = "SELECT extract(epoch FROM ingest_until - clock_timestamp())::bigint
                   FROM offpeak.batch WHERE state = 'ended'";
    let mut all = 0;
    for read in 1..=5 {
        assert_eq!(world.open_jobs().await?, if read == 1 { 5 } else { 1 });
        world.worker.tick(Loop::Ingest).await?;
        if read < 5 {
            all += world.number(pause).await?;
        }
        world
            .meddle("UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'")
            .await?;
    }
    assert!(all > 4 * 3600, "given up after {all} s");
    assert_eq!(world.open_jobs().await?, 0);
    assert_eq!(kinds(&world).await?, ["results_lost"]);
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_meets_a_deadlock_is_settled_again_without_another_download() -> Result<()> {
    let (world, _) = sent(small_chunks(), 5).await?;
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Poll).await?;
    for sql in [
        "CREATE SEQUENCE public.met",
        "CREATE FUNCTION public.meet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.met') <= 2 THEN
                 RAISE 'deadlock detected' USING ERRCODE = '40P01';
             END IF;
             RETURN NULL;
         END $$",
        "CREATE TRIGGER meet AFTER INSERT ON offpeak.ledger
            FOR EACH STATEMENT EXECUTE FUNCTION public.meet()",
    ] {
        world.meddle(sql).await?;
    }
    world.worker.tick(Loop::Ingest).await?;
    assert_eq!(world.counted("completed").await?, 5);
    books::are_right(&world).await
}
