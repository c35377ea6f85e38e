//! A link to the database that is silent, cut, or loses an answer: every call
//! ends, no connection and no place for one is lost, and what is repeated
//! changes nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use offpeak_domain::id::{Minter, TenantId};
use offpeak_domain::room::Queue;
use offpeak_store::{Error, Options, System, SystemTx, Tenants, hold, lease, notify, room, tenant};
use offpeak_testkit::freezer::Freezer;
use offpeak_testkit::proxy::{Direction, Proxy};
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Worker};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{Instant, timeout};

use crate::api::{Api, raw_job};
use crate::books;
use crate::frozen::prepare;

/// Connections of a role.
const CONNECTIONS: u32 = 3;
/// What the server allows a statement, and how much longer it may be silent.
const STATEMENT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_millis(500);
/// Whatever is bounded has ended by then, on a busy machine too.
const BOUND: Duration = Duration::from_secs(10);
/// More messages than any tick sends.
const MOST: u64 = 400;

/// So many ticks in a row that lost nothing of their own.
const CALM: u64 = 4;

/// What waits for another transaction's lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'offpeak'
      AND wait_event_type = 'Lock'";
/// What another transaction of the product holds open, or works at.
const BUSY: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'offpeak' AND state <> 'idle'";
/// The sessions that wait, and those that were last asked whether they answer.
const WAITS: &str = "SELECT pid::text FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'offpeak'
      AND wait_event_type = 'Lock'";
const PINGED: &str = "SELECT pid::text FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'offpeak'
      AND state = 'idle' AND query = 'SELECT 1 AS one'";
/// As time would: a batch may be read again.
const PAUSES_END: &str = "UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'";
/// What sessions that begin from now on may do.
const READ_ONLY: &str = "DO $$ BEGIN EXECUTE format(
    'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
const READ_WRITE: &str = "DO $$ BEGIN EXECUTE format(
    'ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$";

/// Options with short bounds.
fn short(mut options: Options) -> Options {
    options.max_connections = CONNECTIONS;
    options.acquire_timeout = Duration::from_secs(3);
    options.tenant_statement_timeout = STATEMENT;
    options.system_statement_timeout = STATEMENT;
    options.answer_timeout = ANSWER;
    options
}

/// A proxy before the world's database, and the way through it.
fn link(world: &World) -> Result<(Proxy, Options)> {
    let (proxy, through) = Proxy::before(&world.connect)?;
    Ok((proxy, short(world.options(through))))
}

/// Asks again until it is so.
async fn until(world: &World, sql: &'static str, count: i64) -> Result<()> {
    let same = async {
        while world.number(sql).await? != count {
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    timeout(BOUND, same).await.context(sql)?
}

/// Every connection of the role can be had at once, and works.
async fn all_places(system: &System) -> Result<()> {
    let begun = try_join_all((0..CONNECTIONS).map(|_| system.begin()));
    let held = timeout(BOUND, begun).await??;
    for tx in held {
        tx.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_link_costs_one_bounded_call_and_no_place() -> Result<()> {
    let world = World::new().await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    for _ in 0..2 {
        let held = world.hold("LOCK TABLE offpeak.lease").await?;
        let holder = world.tenant.as_uuid();
        let take = || lease::take(&system, "some", holder, BOUND);
        let calls = join_all((0..CONNECTIONS).map(|_| take()));
        let falls_silent = async {
            until(&world, WAITING, i64::from(CONNECTIONS)).await?;
            proxy.half_open();
            anyhow::Ok(Instant::now())
        };
        let (ended, since) = timeout(BOUND, async { tokio::join!(calls, falls_silent) }).await?;
        assert!(since?.elapsed() < STATEMENT + 4 * ANSWER);
        for call in ended {
            let error = call.err().context("nothing came through")?;
            assert!(matches!(error, Error::NoAnswer(_)), "{error:?}");
            assert!(error.is_transient());
        }
        proxy.heal();
        drop(held);
        lease::take(&system, "some", holder, BOUND).await?;
    }
    all_places(&system).await
}

#[tokio::test]
async fn an_answer_that_drips_is_one_bounded_call() -> Result<()> {
    let world = World::new().await?;
    world
        .meddle(
            "INSERT INTO offpeak.hold (upstream_id, upstream_batch_id, created_at, first_free,
                                       cause, found_at, look_at)
             SELECT id, 'msgbatch_' || n, now(), id, 'asked', now(), now()
               FROM offpeak.upstream, generate_series(1, 1000) AS n",
        )
        .await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    assert_eq!(hold::all(&system, 1000).await?.len(), 1000);
    // Each row comes in time, and all of them would take a minute.
    proxy.drip(Direction::Down, 64, Duration::from_millis(50));
    let asked = Instant::now();
    let error = timeout(BOUND, hold::all(&system, 1000)).await?.err();
    assert!(matches!(error, Some(Error::NoAnswer(_))), "{error:?}");
    assert!(asked.elapsed() >= STATEMENT + ANSWER);
    proxy.heal();
    all_places(&system).await
}

#[tokio::test]
async fn a_silent_commit_is_bounded_and_unknown() -> Result<()> {
    let world = World::new().await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    let mut tx = system.begin().await?;
    let id = Minter::new(tx.now(), &mut StdRng::seed_from_u64(1)).mint();
    tenant::create(&mut tx, id, "globex").await?;
    proxy.half_open();
    let error = timeout(BOUND, tx.commit()).await?.err().context("silent")?;
    assert!(matches!(error, Error::NoAnswer(_)), "{error:?}");
    proxy.heal();
    // The same again: no trace of the first is in the way.
    let mut tx = system.begin().await?;
    assert!(tenant::create(&mut tx, id, "globex").await?);
    tx.commit().await?;
    all_places(&system).await
}

#[tokio::test]
async fn connections_that_are_given_back_in_silence_leave_their_places() -> Result<()> {
    let world = World::new().await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    let held = try_join_all((0..CONNECTIONS).map(|_| system.begin())).await?;
    proxy.half_open();
    drop(held);
    proxy.heal();
    all_places(&system).await
}

#[tokio::test]
async fn connections_that_died_at_rest_cost_one_call() -> Result<()> {
    let world = World::new().await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    all_places(&system).await?;
    // Until each is back at rest.
    all_places(&system).await?;
    proxy.half_open();
    proxy.heal();
    let first = timeout(BOUND, system.begin()).await?;
    assert!(matches!(first, Err(Error::NoAnswer(_))), "{first:?}");
    all_places(&system).await
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() -> Result<()> {
    let mut world = World::new().await?;
    let mut options = short(world.options(world.connect.clone()));
    options.max_connections = 1;
    // Nothing but the drop ends it while this test looks.
    options.tenant_statement_timeout = Duration::from_mins(1);
    world.tenants = Tenants::new(&options);

    let held = world.hold("LOCK TABLE offpeak.delta").await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    tokio::select! {
        read = room::taken(&mut tx) => anyhow::bail!("it waits for the lock: {read:?}"),
        waits = until(&world, WAITING, 1) => waits?,
    }
    let dropped = world.texts(WAITS).await?;
    drop(tx);
    // Its place is free while the statement still waits, and who takes it has a
    // session of his own: no tenant is set in it and nothing is open.
    timeout(BOUND, world.tenants.ping()).await??;
    let next = world.texts(PINGED).await?;
    assert_eq!((dropped.len(), next.len()), (1, 1));
    assert_ne!(dropped, next);
    drop(held);
    until(&world, BUSY, 0).await?;

    // Between two calls nothing is dirty: it is rolled back, and used again.
    drop(world.tenants.begin(world.tenant).await?);
    world.tenants.ping().await?;
    assert_eq!(world.texts(PINGED).await?, next);
    until(&world, BUSY, 0).await
}

#[tokio::test]
async fn a_dead_listener_is_noticed_and_hears_again() -> Result<()> {
    let world = World::new().await?;
    let (proxy, options) = link(&world)?;
    let system = System::new(&options);
    let mut listener = notify::Listener::of_worker(&system).await?;
    notify::ready(&world.tenants).await?;
    timeout(BOUND, listener.heard()).await??;
    // Alive and without hints: it is asked, and nobody is woken.
    assert!(timeout(3 * ANSWER, listener.heard()).await.is_err());

    proxy.half_open();
    proxy.heal();
    // Whoever is told reads again, for the hints that were lost.
    timeout(BOUND, listener.heard()).await??;
    let session = proxy.open();
    notify::ready(&world.tenants).await?;
    timeout(BOUND, listener.heard()).await??;
    assert_eq!(proxy.open(), session, "it was the hint");

    // While nothing comes through the caller is told, and does not wait.
    proxy.half_open();
    assert!(timeout(BOUND, listener.heard()).await?.is_err());
    Ok(())
}

#[tokio::test]
async fn a_server_that_only_reads_costs_all_connections_once() -> Result<()> {
    let world = World::new().await?;
    world.meddle(READ_ONLY).await?;
    let system = System::new(&short(world.options(world.connect.clone())));
    // It reads, and all connections are such.
    all_places(&system).await?;
    let mut rng = StdRng::seed_from_u64(1);
    let mut write = async |mut tx: SystemTx, name: String| {
        let id: TenantId = Minter::new(tx.now(), &mut rng).mint();
        tenant::create(&mut tx, id, &name).await?;
        tx.commit().await
    };
    let refused = write(system.begin().await?, "globex".to_owned()).await;
    assert!(refused.err().context("it only reads")?.is_transient());
    world.meddle(READ_WRITE).await?;
    let held = try_join_all((0..CONNECTIONS).map(|_| system.begin())).await?;
    for (place, tx) in held.into_iter().enumerate() {
        write(tx, format!("tenant-{place}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_schema_costs_all_connections_once() -> Result<()> {
    let world = World::new().await?;
    let system = System::new(&short(world.options(world.connect.clone())));
    let read_everywhere = || try_join_all((0..CONNECTIONS).map(|_| room::measured(&system)));
    read_everywhere().await?;
    world
        .meddle("ALTER TABLE offpeak.storage ALTER COLUMN level TYPE varchar(20)")
        .await?;
    let outdated = room::measured(&system).await;
    let error = outdated.err().context("the plan is of another schema")?;
    assert!(error.is_transient(), "{error:?}");
    read_everywhere().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_is_told_to_come_back_while_the_database_is_silent() -> Result<()> {
    let mut api = Api::new().await?;
    let (proxy, options) = link(&api.world)?;
    api.world.tenants = Tenants::new(&options);
    api.again(Queue::default()).await?;
    let job = raw_job("One fine day.");
    assert_eq!(api.post("/v1/jobs", job.clone()).await?.status, 202);
    let held = api.world.hold("LOCK TABLE offpeak.ready").await?;
    let falls_silent = async {
        until(&api.world, WAITING, 1).await?;
        proxy.half_open();
        anyhow::Ok(())
    };
    let told = async { tokio::join!(api.post("/v1/jobs", job.clone()), falls_silent) };
    let (told, silent) = timeout(BOUND, told).await?;
    let (told, ()) = (told?, silent?);
    drop(held);
    assert_eq!(told.problem(), "503 unavailable");
    assert_eq!(told.header("retry-after"), "1");
    proxy.heal();
    assert_eq!(api.post("/v1/jobs", job).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn a_submit_of_which_the_answer_was_lost_is_the_same_job() -> Result<()> {
    let mut api = Api::new().await?;
    let (proxy, options) = link(&api.world)?;
    api.world.tenants = Tenants::new(&options);
    api.again(Queue::default()).await?;
    let mut jobs = BTreeSet::new();
    for after in 0..MOST {
        let (key, job) = (format!("key-{after}"), raw_job("One fine day."));
        let submit = || api.post_with("/v1/jobs", ("idempotency-key", &key), job.clone());
        proxy.lose_answer(after);
        let first = submit().await?;
        // What was lost may also be a hint's, or of a connection on its way back.
        let lost = proxy.keep_answers();
        if !lost || first.status == 202 {
            assert_eq!(first.status, 202, "{first:?}");
        } else {
            assert_eq!(first.problem(), "503 unavailable");
        }
        let again = submit().await?;
        assert!([200, 202].contains(&again.status), "{again:?}");
        if first.status == 202 {
            assert_eq!(first.at("/id"), again.at("/id"));
        }
        jobs.insert(again.at("/id"));
        let stored = api.world.number("SELECT count(*) FROM offpeak.job").await?;
        assert_eq!(stored, i64::try_from(jobs.len())?, "lost after {after}");
        if !lost {
            assert!(after > 0, "nothing was lost");
            return Ok(());
        }
    }
    anyhow::bail!("a submit takes more than {MOST} messages")
}

/// Loses each answer that a loop gets in turn, commits among them. The same
/// tick again, whenever it comes, brings everything to the same end.
async fn lose_every_answer(which: Loop) -> Result<()> {
    let mut world = World::impatient().await?;
    let (proxy, options) = link(&world)?;
    let worker = world.worker_on(System::new(&options), World::quick())?;
    let mut calm = 0;
    for after in 0..MOST {
        prepare(&mut world, which).await?;
        world.expire_leases().await?;
        proxy.lose_answer(after);
        let disturbed = timeout(BOUND, worker.tick(which)).await?;
        let lost = proxy.keep_answers();
        // Connections on their way back lose answers too, which no tick feels:
        // after several of these it had no more of its own to lose.
        calm = if disturbed.is_ok() { calm + 1 } else { 0 };
        if !lost {
            disturbed.context("a tick that nothing disturbs")?;
        }
        world.meddle(PAUSES_END).await?;
        worker.tick(which).await.context("the same again")?;
        world.expire_leases().await?;
        world.run_out().await?;
        if !lost || calm == CALM {
            assert!(
                after >= 4 + CALM,
                "{which:?} has hardly an answer to lose: {after}"
            );
            return books::are_right(&world).await;
        }
    }
    anyhow::bail!("a tick of {which:?} takes more than {MOST} messages")
}

#[tokio::test]
async fn a_planner_may_lose_any_answer() -> Result<()> {
    lose_every_answer(Loop::Form).await
}

#[tokio::test]
async fn a_sender_may_lose_any_answer() -> Result<()> {
    lose_every_answer(Loop::Submit).await
}

#[tokio::test]
async fn an_ingester_may_lose_any_answer() -> Result<()> {
    lose_every_answer(Loop::Ingest).await
}

/// Drops a tick at each of its calls in turn, while the call is under way.
async fn drop_at_every_call(which: Loop) -> Result<()> {
    let mut world = World::impatient().await?;
    let (freezer, through) = Freezer::before(&world.connect)?;
    let worker: Worker =
        world.worker_on(System::new(&short(world.options(through))), World::quick())?;
    for after in 0..MOST {
        prepare(&mut world, which).await?;
        world.expire_leases().await?;
        freezer.freeze_after(after);
        let over = tokio::select! {
            () = freezer.frozen() => false,
            done = worker.tick(which) => {
                done.context("a tick that nothing disturbs")?;
                true
            }
        };
        freezer.thaw();
        world.meddle(PAUSES_END).await?;
        worker.tick(which).await.context("the same again")?;
        until(&world, BUSY, 0).await?;
        world.expire_leases().await?;
        world.run_out().await?;
        if over {
            assert!(after >= 4, "{which:?} was hardly dropped: {after}");
            return books::are_right(&world).await;
        }
    }
    anyhow::bail!("a tick of {which:?} takes more than {MOST} messages")
}

#[tokio::test]
async fn a_planner_may_be_dropped_anywhere() -> Result<()> {
    drop_at_every_call(Loop::Form).await
}

#[tokio::test]
async fn an_ingester_may_be_dropped_anywhere() -> Result<()> {
    drop_at_every_call(Loop::Ingest).await
}
