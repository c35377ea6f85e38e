//! A database that has forgotten what the one before it did last: nothing is
//! sent before Anthropic's list was compared, and no job is paid twice.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::Faults;
use offpeak_store::{comparison, hold};
use offpeak_testkit::world::{World, metrics};
use offpeak_worker::{Loop, Options};

use crate::api_observe::database_url;
use crate::books;
use crate::cli::{offpeak, shown};
use crate::rescue::{send, states};
use crate::twins::create;

const TEXTS: [&str; 3] = ["One.", "Two.", "Three."];
/// As a failover or a restore shows itself.
const ANOTHER: &str = "UPDATE offpeak.comparison SET incarnation = 'another'";
const HELD: &str = "SELECT upstream_batch_id FROM offpeak.hold";
/// What a backup from before the batches were planned would hold of them: their
/// jobs in the queue, and nothing of themselves.
const FORGET: &str = "
    INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes,
                               attempt, tries)
    SELECT i.tenant_id, i.id, j.bucket_id, i.group_id, j.priority, clock_timestamp(), i.bytes,
           i.attempt, i.tries
      FROM offpeak.inflight i JOIN offpeak.job j USING (tenant_id, id);
    INSERT INTO offpeak.delta (tenant_id, scope, key, name, n, bytes)
    SELECT tenant_id, 'bucket', bucket_id, 'ready', count(*), sum(bytes)
      FROM offpeak.ready GROUP BY tenant_id, bucket_id;
    INSERT INTO offpeak.delta (tenant_id, scope, key, name, n)
    SELECT tenant_id, 'tenant', '00000000-0000-0000-0000-000000000000', name, sum(n)
      FROM offpeak.ready, (VALUES ('submitted', -1), ('queued', 1)) AS step (name, n)
     GROUP BY tenant_id, name;
    DELETE FROM offpeak.inflight;
    DELETE FROM offpeak.batch";

async fn run(world: &World, sql: &'static str) -> Result<()> {
    Ok(world.hold(sql).await?.commit().await?)
}

async fn minutes(world: &World, minutes: u32) -> Result<()> {
    for _ in 0..minutes {
        world.pass(Duration::from_mins(1));
        world.worker.settle_down().await?;
    }
    Ok(())
}

/// The next batch runs until it is released.
fn long() -> Faults {
    Faults {
        hold: Some(1),
        ..Faults::default()
    }
}

#[tokio::test]
async fn another_database_sends_nothing_before_the_list_was_compared() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(Options::default())?;
    world.expire_leases().await?;
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.meddle(ANOTHER).await?;
    world.submit(&["Four."]).await?;
    // Whoever tries it: the plan stands, and it is asked in the statement itself.
    world.worker.tick(Loop::Submit).await?;
    minutes(&world, 14).await?;
    assert_eq!(states(&world).await?, ["planned"]);
    assert!(world.listed().await?.is_empty());
    let held = "reason=\"reconcile\"} 1";
    assert!(metrics(&registry)?.contains(held), "it says why");
    let incident = "SELECT kind FROM offpeak.incident WHERE resolved_at IS NULL";
    assert_eq!(world.texts(incident).await?, ["database_changed"]);
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 4);
    assert!(!metrics(&registry)?.contains(held));
    books::are_right(&world).await?;

    // A second time it is as new.
    world
        .meddle("UPDATE offpeak.incident SET resolved_at = now()")
        .await?;
    world.meddle(ANOTHER).await?;
    world.worker.settle_down().await?;
    assert_eq!(world.texts(incident).await?, ["database_changed"]);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_was_forgotten_is_taken_over_and_no_job_is_paid_twice() -> Result<()> {
    // The jobs wait, or were planned anew before it was noticed; the batch has
    // ended by then, or runs on.
    for (planned, running) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut world = World::new().await?;
        let faults = if running { long() } else { Faults::default() };
        send(&mut world, &TEXTS, faults).await?;
        run(&world, FORGET).await?;
        if planned {
            world.submit(&["Four."]).await?;
            world.pass(Duration::from_secs(10));
            world.worker.tick(Loop::Form).await?;
            assert_eq!(states(&world).await?, ["planned"]);
        }
        world.meddle(ANOTHER).await?;
        if running {
            minutes(&world, 30).await?;
            assert_eq!(world.texts(HELD).await?, world.listed().await?);
            assert!(world.standin.journal()?.is_empty(), "nothing is sent");
            world.standin.release()?;
        }
        world.run_out().await?;
        world.worker.settle_down().await?;
        assert_eq!(world.listed().await?.len(), if planned { 2 } else { 1 });
        assert!(world.texts(HELD).await?.is_empty());
        books::are_right(&world).await?;
        let again = "SELECT id::text FROM offpeak.ledger GROUP BY id HAVING count(*) > 1";
        assert!(world.texts(again).await?.is_empty());
    }
    Ok(())
}

/// It holds no word of a comparison, as a database does in which no worker has
/// started yet: a backup from before that, or from a version that compared nothing.
#[tokio::test]
async fn a_backup_from_before_the_first_start_sends_nothing_twice() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, long()).await?;
    run(&world, FORGET).await?;
    world.meddle("DELETE FROM offpeak.comparison").await?;
    world.pass(Duration::from_mins(20));
    minutes(&world, 30).await?;
    assert_eq!(world.texts(HELD).await?, world.listed().await?);
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(world.listed().await?.len(), 1);
    assert_eq!(world.standin.journal()?.len(), 3);
    books::are_right(&world).await
}

#[tokio::test]
async fn what_a_forgotten_batch_billed_for_jobs_that_are_gone_is_absorbed() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, Faults::default()).await?;
    run(&world, FORGET).await?;
    // The backup is from before the last of them was handed in.
    run(
        &world,
        "INSERT INTO offpeak.delta (tenant_id, scope, key, name, n, bytes)
         SELECT tenant_id, 'bucket', bucket_id, 'ready', -1, -bytes FROM offpeak.ready
          ORDER BY id DESC LIMIT 1;
         DELETE FROM offpeak.ready WHERE id = (SELECT id FROM offpeak.job ORDER BY id DESC LIMIT 1);
         DELETE FROM offpeak.payload WHERE id NOT IN (SELECT id FROM offpeak.ready);
         DELETE FROM offpeak.job WHERE id NOT IN (SELECT id FROM offpeak.ready);
         INSERT INTO offpeak.delta (tenant_id, scope, key, name, n)
         SELECT id, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued', -1
           FROM offpeak.tenant",
    )
    .await?;
    world.meddle(ANOTHER).await?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    assert_eq!(
        world
            .texts("SELECT kind FROM offpeak.incident ORDER BY kind")
            .await?,
        [
            "database_changed",
            "quarantined_line",
            "upstream_unknown_batch"
        ]
    );
    books::are_right_beside(&world, 1).await
}

#[tokio::test]
async fn somebody_else_s_batch_keeps_back_only_what_was_there_before_it() -> Result<()> {
    for released in [false, true] {
        let mut world = World::new().await?;
        world.submit(&["Old."]).await?;
        world.standin.set_faults(long());
        let theirs = create(&world, std::iter::once("theirs".to_owned())).await?;
        world.meddle(ANOTHER).await?;
        minutes(&world, 20).await?;
        assert_eq!(world.texts(HELD).await?, std::slice::from_ref(&theirs));
        assert!(states(&world).await?.is_empty());
        world.submit_now(&["Young.", "Younger."]).await?;
        minutes(&world, 1).await?;
        let items = "SELECT sum(items)::bigint FROM offpeak.batch";
        assert_eq!(world.number(items).await?, 2, "they cannot be in it");
        minutes(&world, 60).await?;
        assert_eq!(world.number(items).await?, 2, "the old one waits");
        if released {
            assert!(hold::release(&world.system, &theirs).await?);
            assert!(!hold::release(&world.system, &theirs).await?);
        } else {
            world.standin.release()?;
        }
        world.run_out().await?;
        assert!(world.texts(HELD).await?.is_empty());
        let foreign = "SELECT count(*) FROM offpeak.foreign_batch";
        assert_eq!(world.number(foreign).await?, i64::from(!released));
    }
    Ok(())
}

#[tokio::test]
async fn a_planned_batch_with_a_job_that_is_kept_back_waits_with_it() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["Old."]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.standin.set_faults(long());
    create(&world, std::iter::once("theirs".to_owned())).await?;
    world.meddle(ANOTHER).await?;
    minutes(&world, 20).await?;
    assert_eq!(states(&world).await?, ["planned"]);
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(states(&world).await?, ["ingested"]);
    Ok(())
}

#[tokio::test]
async fn an_ordinary_restart_costs_one_listing() -> Result<()> {
    const RESTARTED: &str = "UPDATE offpeak.comparison SET started_at = now()";
    for dedicated in [false, true] {
        let mut world = World::with(Options {
            dedicated_workspace: dedicated,
            ..Options::default()
        })
        .await?;
        world.submit(&TEXTS).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        world.standin.set_faults(long());
        let theirs = create(&world, std::iter::once("theirs".to_owned())).await?;
        world.meddle(RESTARTED).await?;
        world.worker.tick(Loop::Submit).await?;
        assert_eq!(states(&world).await?, ["planned"], "not before");
        world.worker.settle_down().await?;
        world.worker.tick(Loop::Submit).await?;
        // In a workspace of our own it can only be ours.
        if dedicated {
            assert_eq!(world.texts(HELD).await?, [theirs]);
            assert_eq!(states(&world).await?, ["planned"]);
        } else {
            assert_eq!(states(&world).await?, ["in_progress"]);
        }
        let incidents = "SELECT count(*) FROM offpeak.incident";
        assert_eq!(world.number(incidents).await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn what_an_ordinary_restart_forgot_because_it_was_none_is_found_on_demand() -> Result<()> {
    // A disk set back to a snapshot shows neither another timeline nor a gap.
    let mut world = World::new().await?;
    send(&mut world, &TEXTS, long()).await?;
    run(&world, FORGET).await?;
    let now = world.system.now().await?;
    let back = now - Duration::from_hours(29 * 24);
    assert_eq!(comparison::again(&world.system, back).await?, 1);
    minutes(&world, 20).await?;
    assert_eq!(world.texts(HELD).await?.len(), 1);
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    books::are_right(&world).await
}

#[tokio::test]
async fn the_operator_sees_it_asks_for_it_and_lets_go() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(long());
    let theirs = create(&world, std::iter::once("theirs".to_owned())).await?;
    world.meddle(ANOTHER).await?;
    let folder = tempfile::tempdir()?;
    let run = async |arguments: &[&str]| -> Result<String> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", database_url(&world)?)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &world.standin_url)
            .args(arguments)
            .output()
            .await?;
        Ok(shown(&ran, &world.standin_url))
    };
    let says = |seen: &str, words: &str| assert!(seen.contains(words), "{words} in {seen}");
    says(
        &run(&["reconcile"]).await?,
        "to be compared: nothing is sent before",
    );
    minutes(&world, 1).await?;
    let seen = run(&["reconcile"]).await?;
    says(&seen, "listings 1: the database is another one");
    says(&seen, &theirs);
    says(&run(&["doctor"]).await?, "warn  comparison");
    minutes(&world, 20).await?;
    says(
        &run(&["doctor"]).await?,
        "jobs wait because of 1 unknown message batches",
    );
    says(
        &run(&["reconcile", "--release", &theirs]).await?,
        "holds nothing back any more",
    );
    says(&run(&["reconcile", "--release", &theirs]).await?, "exit 2");
    says(
        &run(&["doctor"]).await?,
        "ok    comparison             done",
    );
    says(&run(&["--json", "reconcile"]).await?, "\"compared\": true");
    says(
        &run(&["reconcile", "--again"]).await?,
        "upstreams that are compared anew before anything is sent: 1",
    );
    world.submit(&TEXTS).await?;
    minutes(&world, 10).await?;
    assert!(states(&world).await?.is_empty());
    Ok(())
}
