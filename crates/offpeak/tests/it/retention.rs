//! Retention: what is over goes, on time, and nothing else does; what is gone answers
//! so, and is never run again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{JobId, Minter, TenantId};
use offpeak_domain::job::Outcome;
use offpeak_store::retention::Retention;
use offpeak_store::{cancel, erasure, job, result, retained, retention, retry};
use offpeak_testkit::world::World;
use offpeak_worker::Loop;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const DAY: Duration = Duration::from_hours(24);

async fn another(world: &World, name: &str, seed: u64) -> Result<TenantId> {
    let mut tx = world.system.begin().await?;
    let other = Minter::new(tx.now(), StdRng::seed_from_u64(seed)).mint();
    offpeak_store::tenant::create(&mut tx, other, name).await?;
    tx.commit().await?;
    Ok(other)
}

async fn keep(world: &World, tenant: TenantId, inputs: u32, results: u32) -> Result<()> {
    let mut tx = world.tenants.begin(tenant).await?;
    let own = Retention {
        inputs_days: Some(inputs),
        results_days: Some(results),
        ..Retention::default()
    };
    retention::set(&mut tx, own).await?;
    Ok(tx.commit().await?)
}

/// Runs `purge` until it finds nothing more to do.
async fn purge(world: &World) -> Result<()> {
    while world.worker.tick(Loop::Purge).await?.done > 0 {}
    Ok(())
}

/// Whether a job's input and answer are there.
async fn kept(world: &World, tenant: TenantId, id: JobId) -> Result<(bool, bool)> {
    let mut tx = world.tenants.begin(tenant).await?;
    let input = match job::params(&mut tx, id).await {
        Ok(_) => true,
        Err(offpeak_store::Error::InputGone(gone)) if gone == id => false,
        Err(error) => return Err(error.into()),
    };
    let ended = result::get(&mut tx, id).await?.context("no result")?;
    Ok((input, !ended.is_gone()))
}

#[tokio::test]
async fn what_is_over_goes_tenant_by_tenant_and_the_rest_stays() -> Result<()> {
    let mut world = World::new().await?;
    let (acme, other) = (world.tenant, another(&world, "globex", 4).await?);
    keep(&world, acme, 1, 3).await?;
    let mine = world.submit(&["one", "two"]).await?;
    let theirs = world.submit_as(other, None, &["three"]).await?;
    world
        .meddle("UPDATE offpeak.job SET metadata = '{\"for\":\"somebody\"}'")
        .await?;
    world.run_out().await?;
    let before = world.counted("completed").await?;

    // The second midnight after the submit at the latest, whatever time it is now.
    world.pass(DAY);
    world.pass(DAY);
    purge(&world).await?;
    for id in &mine {
        assert_eq!(kept(&world, acme, *id).await?, (false, true));
    }
    assert_eq!(kept(&world, other, theirs[0]).await?, (true, true));
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.job WHERE metadata IS NOT NULL")
            .await?,
        1
    );
    world.check_invariants().await?;

    world.pass(DAY * 2);
    purge(&world).await?;
    assert_eq!(kept(&world, acme, mine[0]).await?, (false, false));
    assert_eq!(kept(&world, other, theirs[0]).await?, (true, true));
    world.check_invariants().await?;

    // The deployment's own time.
    world.pass(DAY * 28);
    purge(&world).await?;
    assert_eq!(kept(&world, other, theirs[0]).await?, (false, false));
    // What is known of jobs without their content stays.
    assert_eq!(world.counted("completed").await?, before);
    world.check_invariants().await
}

#[tokio::test]
async fn a_job_that_is_open_keeps_its_input_and_a_fresh_answer_stays() -> Result<()> {
    let mut world = World::new().await?;
    keep(&world, world.tenant, 1, 1).await?;
    let ids = world.submit(&["late"]).await?;
    // It waits for two days: nothing forms batches.
    world.pass(DAY * 2);
    purge(&world).await?;
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.payload").await?,
        1
    );
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.kept_over")
            .await?,
        1
    );
    world.run_out().await?;
    assert!(kept(&world, world.tenant, ids[0]).await?.1);
    // Looked at again within the hour, the answer only after a day.
    world.pass(Duration::from_mins(40));
    purge(&world).await?;
    assert_eq!(kept(&world, world.tenant, ids[0]).await?, (false, true));
    world.pass(DAY + Duration::from_mins(40));
    purge(&world).await?;
    assert_eq!(kept(&world, world.tenant, ids[0]).await?, (false, false));
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.kept_over")
            .await?,
        0
    );
    world.check_invariants().await
}

#[tokio::test]
async fn an_answer_that_was_set_aside_goes_too_however_late_it_came() -> Result<()> {
    let mut world = World::new().await?;
    let tenant = world.tenant;
    keep(&world, tenant, 1, 1).await?;
    let ids = world.submit(&["late"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    // Canceled on its way, two days later; then what it would have said comes back.
    world.pass(DAY * 2);
    let mut tx = world.tenants.begin(tenant).await?;
    cancel::jobs(&mut tx, &ids).await?;
    tx.commit().await?;
    // Who cancels goes by the database's clock, which stands still here.
    let later = "UPDATE offpeak.result SET ended_at = ended_at + interval '2 days'";
    world.meddle(later).await?;
    for _ in 0..5 {
        world.worker.settle_down().await?;
        world.pass(Duration::from_mins(1));
    }
    let aside = "SELECT count(*) FROM offpeak.attempt WHERE line IS NOT NULL";
    assert_eq!(world.number(aside).await?, 1);
    world.pass(Duration::from_mins(40));
    purge(&world).await?;
    assert_eq!(world.number(aside).await?, 1, "fresh");
    world.pass(DAY + Duration::from_mins(40));
    purge(&world).await?;
    assert_eq!(world.number(aside).await?, 0);
    let noted = "SELECT count(*) FROM offpeak.kept_over";
    assert_eq!(world.number(noted).await?, 0);
    world.check_invariants().await
}

/// As an erasure leaves them that was interrupted.
#[tokio::test]
async fn rows_to_look_at_of_a_tenant_that_keeps_nothing_stop_nobody() -> Result<()> {
    let mut world = World::new().await?;
    let other = another(&world, "globex", 4).await?;
    keep(&world, world.tenant, 1, 1).await?;
    world.submit(&["open"]).await?;
    world.pass(DAY * 2);
    purge(&world).await?;
    for sql in [
        "INSERT INTO offpeak.kept_over (tenant_id, id, look_at)
         SELECT id, gen_random_uuid(), now() - interval '1 day' FROM offpeak.tenant
          WHERE name = 'globex'",
        "DELETE FROM offpeak.retained r USING offpeak.tenant t
          WHERE t.id = r.tenant_id AND t.name = 'globex'",
    ] {
        world.meddle(sql).await?;
    }
    let gone = retained::look_again(&world.system, world.time() + DAY, 10).await?;
    assert_eq!(gone.looked, 1, "the other tenant's alone");
    let mut tx = world.system.begin().await?;
    erasure::begin_here(&mut tx, other).await?;
    tx.commit().await?;
    for _ in 0..3 {
        world.worker.tick(Loop::Purge).await?;
    }
    let left = "SELECT count(*) FROM offpeak.kept_over o JOIN offpeak.tenant t
                    ON t.id = o.tenant_id WHERE t.name <> 'acme'";
    assert_eq!(world.number(left).await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_has_no_input_left_is_not_run_again() -> Result<()> {
    let mut world = World::new().await?;
    keep(&world, world.tenant, 1, 9).await?;
    let ids = world.submit(&["once"]).await?;
    world.run_out().await?;
    world.pass(DAY * 2);
    purge(&world).await?;
    let everything = world.everything().await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    let none = std::collections::BTreeMap::new();
    let retried = retry::jobs(&mut tx, &ids, Outcome::ALL, &none).await?;
    assert!(retried.retried.is_empty() && retried.in_flight.is_empty());
    tx.commit().await?;
    assert_eq!(world.everything().await?, everything);
    Ok(())
}

#[tokio::test]
async fn a_whole_partition_goes_when_it_is_over_for_everybody() -> Result<()> {
    let mut world = World::new().await?;
    let other = another(&world, "globex", 4).await?;
    keep(&world, other, 60, 60).await?;
    // As a deployment of a while ago left it: two days whose partitions are there.
    world
        .meddle(
            "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - 40; t text; BEGIN
                 FOREACH t IN ARRAY ARRAY['job', 'payload', 'result', 'output', 'attempt'] LOOP
                     FOR n IN 0..1 LOOP
                         EXECUTE format('CREATE TABLE offpeak.%I PARTITION OF offpeak.%I
                                            FOR VALUES FROM (%L) TO (%L)',
                             t || to_char(day + n, '\"_\"YYYYMMDD'), t,
                             offpeak.v7_floor(day + n), offpeak.v7_floor(day + n + 1));
                         EXECUTE format('ALTER TABLE offpeak.%I OWNER TO offpeak_owner',
                             t || to_char(day + n, '\"_\"YYYYMMDD'));
                     END LOOP;
                 END LOOP;
             END $$",
        )
        .await?;
    world.set_back(DAY * 40);
    let first = world.submit_now(&["old"]).await?;
    world.set_ahead(DAY);
    let second = world.submit_now(&["old, and open"]).await?;
    world.set_ahead(DAY * 39);
    let parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'offpeak.payload'::regclass";
    let all = world.number(parts).await?;
    purge(&world).await?;
    // Another tenant keeps its own for longer, and these are open besides.
    assert_eq!(world.number(parts).await?, all);
    keep(&world, other, 30, 30).await?;
    purge(&world).await?;
    assert_eq!(world.number(parts).await?, all);

    world.run_out().await?;
    let again = world.submit_now(&["new"]).await?;
    world.pass(Duration::from_mins(31));
    purge(&world).await?;
    assert_eq!(world.number(parts).await?, all - 2);
    for id in [first[0], second[0]] {
        assert_eq!(kept(&world, world.tenant, id).await?, (false, true));
    }
    world.pass(DAY + Duration::from_mins(31));
    purge(&world).await?;
    for id in [first[0], second[0]] {
        assert_eq!(kept(&world, world.tenant, id).await?, (false, false));
    }
    let outputs = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'offpeak.output'::regclass";
    assert_eq!(world.number(outputs).await?, all - 2);
    world.run_out().await?;
    assert_eq!(kept(&world, world.tenant, again[0]).await?, (true, true));
    world.check_invariants().await
}
