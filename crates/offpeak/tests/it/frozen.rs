//! A worker that freezes between two calls of the database, while another one
//! takes over and finishes: whatever it was doing, once it wakes it writes nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::{Call, Fault, Faults, Rule, Times};
use offpeak_store::{Error, System, lease};
use offpeak_testkit::freezer::Freezer;
use offpeak_testkit::world::{SECOND_KEY, World, terms};
use offpeak_worker::{Loop, Worker};

use crate::books;
use crate::faults::dropped;

/// Points after which no tick of these has anything more to say.
const MOST: u64 = 400;

/// Half minutes within which the other one has settled and read everything.
const ROUNDS: u32 = 12;

const HOUR: Duration = Duration::from_hours(1);

/// A worker that can be frozen, and what freezes it.
struct Sleeper {
    worker: Arc<Worker>,
    freezer: Freezer,
}

impl Sleeper {
    fn new(world: &mut World) -> Result<Self> {
        let (freezer, through) = Freezer::before(&world.connect)?;
        let system = System::new(&world.options(through));
        let options = World::quick();
        Ok(Self {
            worker: Arc::new(world.worker_on(system, options)?),
            freezer,
        })
    }
}

/// What came of freezing a tick at one point.
#[derive(Debug, PartialEq)]
enum Came {
    /// The tick was over before.
    Over,
    /// It held the very row: nobody could take over before it let go.
    Holding,
    /// Another took over, and the late one changed nothing.
    Nothing,
}

/// Freezes a tick after so many messages, lets its leases run out and another
/// worker do all that is to be done, and then lets it go on.
async fn freeze(world: &mut World, sleeper: &Sleeper, which: Loop, after: u64) -> Result<Came> {
    sleeper.freezer.freeze_after(after);
    let worker = Arc::clone(&sleeper.worker);
    let mut tick = tokio::spawn(async move { worker.tick(which).await });
    tokio::select! {
        () = sleeper.freezer.frozen() => {}
        done = &mut tick => {
            sleeper.freezer.thaw();
            done?.context("a tick that nothing disturbs")?;
            return Ok(Came::Over);
        }
    }
    if !world.expire_leases().await? {
        sleeper.freezer.thaw();
        tick.await?.context("a tick that commits in time")?;
        return Ok(Came::Holding);
    }
    // The other one finishes, as far as the frozen one has nothing locked.
    let mut refused = 0;
    for _ in 0..ROUNDS {
        match world.worker.settle_down().await {
            Ok(_) => world.pass(Duration::from_secs(30)),
            Err(_) => refused += 1,
        }
        if refused > 2 || world.open_jobs().await? == 0 {
            break;
        }
    }
    let sent = "SELECT count(*) FROM offpeak.batch WHERE state IN ('sending', 'uncertain')";
    if which == Loop::Submit && refused > 0 && world.number(sent).await? > 0 {
        // It was writing down its answer and holds the row: the batch is still
        // its own, and nobody else has touched it.
        sleeper.freezer.thaw();
        tick.await?.context("an answer that is written down")?;
        return Ok(Came::Holding);
    }
    let before = world.everything_led().await?;
    sleeper.freezer.thaw();
    // It may well fail: that is how it learns that it is late.
    let late = tick.await?;
    let after_it = world.everything_led().await?;
    assert_eq!(before, after_it, "{which:?} woke after {after}: {late:?}");
    Ok(Came::Nothing)
}

/// The calls at which a loop is frozen: each of them with `OFFPEAK_FROZEN=every`
/// (`make frozen`), which takes minutes; else the first ones, at which it takes its
/// lease and finds its work, and then every fifth.
#[expect(clippy::disallowed_methods, reason = "a test run has no configuration")]
fn points() -> impl Iterator<Item = u64> {
    const FIRST: u64 = 6;
    let every = std::env::var("OFFPEAK_FROZEN").is_ok_and(|which| which == "every");
    (0..MOST).filter(move |after| every || *after < FIRST || after % 5 == 0)
}

/// Freezes a loop at one of its calls after the other, with work before it each time.
async fn at_its_calls(which: Loop) -> Result<()> {
    let mut world = World::impatient().await?;
    let sleeper = Sleeper::new(&mut world)?;
    let (mut taken_over, mut holding) = (0, 0);
    for (round, after) in points().enumerate() {
        prepare(&mut world, which).await?;
        world.expire_leases().await?;
        let came = freeze(&mut world, &sleeper, which, after).await?;
        // Whatever it was, the next one finds everything in order.
        world.expire_leases().await?;
        world.run_out().await?;
        match came {
            Came::Over => {
                assert!(
                    taken_over >= 4,
                    "{which:?} was hardly frozen: {taken_over}, {holding} holding"
                );
                // Each late twin of two jobs is paid by the deployment, once.
                let twins = if which == Loop::Sweep { round + 1 } else { 0 };
                return books::are_right_beside(&world, i64::try_from(twins)? * 2).await;
            }
            Came::Holding => holding += 1,
            Came::Nothing => taken_over += 1,
        }
    }
    anyhow::bail!("a tick of {which:?} takes more than {MOST} messages")
}

/// The next create is stored without an answer, and no list shows it.
fn hidden() -> Faults {
    let lag = Fault::ListLag { ms: 86_400_000 };
    Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new([Call::List], lag)
        }],
        ..dropped(1)
    }
}

/// Brings about what this loop has to do.
pub(crate) async fn prepare(world: &mut World, which: Loop) -> Result<()> {
    if matches!(which, Loop::Escalate | Loop::Direct) {
        let urgent = [("One fine day.", terms(HOUR, OnLate::Escalate)); 2];
        let lane = if which == Loop::Direct {
            Lane::Direct
        } else {
            Lane::Batch
        };
        world.submit_urgent(lane, &urgent).await?;
        if which == Loop::Escalate {
            world
                .submit_urgent(lane, &[("Too late.", terms(HOUR, OnLate::Fail))])
                .await?;
            world.pass(HOUR);
        }
    }
    world.submit(&["One fine day.", "Two cats."]).await?;
    if which == Loop::Enroll {
        world.set_own_key(world.tenant, SECOND_KEY).await?;
    }
    world.pass(Duration::from_secs(10));
    let before: &[Loop] = match which {
        Loop::Form
        | Loop::Escalate
        | Loop::Direct
        | Loop::Share
        | Loop::Operate
        | Loop::Enroll
        | Loop::Reconcile
        | Loop::Relay
        | Loop::Fold
        | Loop::Tend
        | Loop::Purge => &[],
        Loop::Submit => &[Loop::Form],
        Loop::Poll => &[Loop::Form, Loop::Submit],
        Loop::Rescue => {
            world.standin.set_faults(dropped(1));
            &[Loop::Form, Loop::Submit]
        }
        Loop::Sweep => {
            world.standin.set_faults(hidden());
            &[Loop::Form, Loop::Submit]
        }
        Loop::Ingest => &[Loop::Form, Loop::Submit, Loop::Poll],
    };
    for loop_before in before {
        if *loop_before == Loop::Poll {
            world.pass(Duration::from_mins(2));
        }
        world.worker.tick(*loop_before).await?;
    }
    if which == Loop::Poll {
        world.pass(Duration::from_mins(2));
    }
    if which == Loop::Sweep {
        let uncertain = "SELECT count(*) FROM offpeak.batch WHERE state = 'uncertain'";
        while world.number(uncertain).await? > 0 {
            world.pass(Duration::from_mins(1));
            world.worker.tick(Loop::Rescue).await?;
        }
        // It was stored after all, and has ended.
        world.standin.clear_faults();
    }
    if which == Loop::Reconcile {
        // As after a failover.
        world
            .meddle("UPDATE offpeak.comparison SET incarnation = 'another'")
            .await?;
    }
    if which == Loop::Purge {
        // What the rounds before have left is over.
        world
            .meddle(
                "INSERT INTO offpeak.retention (tenant_id, inputs_days, results_days, changed_at)
                 SELECT id, 1, 1, now() FROM offpeak.tenant ON CONFLICT DO NOTHING",
            )
            .await?;
        world.pass(Duration::from_hours(72));
    }
    if which == Loop::Tend {
        world
            .meddle(
                "INSERT INTO offpeak.job_group (tenant_id, id, created_at, dropped_at)
                 SELECT id, gen_random_uuid(), now(), now() FROM offpeak.tenant",
            )
            .await?;
    }
    Ok(())
}

/// Frozen with the answer in its hands until its batch is refuted: it alone knows
/// of the twin, and says so once it wakes.
#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_twin_at_once() -> Result<()> {
    const TWINS: &str = "SELECT count(*) FROM offpeak.twin";
    const REFUTED: &str = "SELECT count(*) FROM offpeak.batch WHERE state = 'refuted'";
    let mut world = World::impatient().await?;
    let sleeper = Sleeper::new(&mut world)?;
    for after in 0..MOST {
        prepare(&mut world, Loop::Submit).await?;
        world.standin.set_faults(Faults {
            drop_create_answer: None,
            ..hidden()
        });
        let refuted = world.number(REFUTED).await?;
        sleeper.freezer.freeze_after(after);
        let worker = Arc::clone(&sleeper.worker);
        let mut tick = tokio::spawn(async move { worker.tick(Loop::Submit).await });
        tokio::select! {
            () = sleeper.freezer.frozen() => {}
            done = &mut tick => {
                sleeper.freezer.thaw();
                done??;
                anyhow::bail!("frozen at none of {after} messages with an answer")
            }
        }
        world.expire_leases().await?;
        for _ in 0..40 {
            if world.number(REFUTED).await? > refuted {
                break;
            }
            world.pass(Duration::from_mins(1));
            // It waits for whoever holds the row, and gives up.
            let _ = world.worker.tick(Loop::Rescue).await;
        }
        sleeper.freezer.thaw();
        let _ = tick.await?;
        if world.number(TWINS).await? == 1 {
            world.standin.clear_faults();
            world.run_out().await?;
            assert_eq!(
                world.texts("SELECT kind FROM offpeak.incident").await?,
                ["late_twin"]
            );
            return books::are_right_beside(&world, 2).await;
        }
        world.standin.clear_faults();
        world.expire_leases().await?;
        world.run_out().await?;
    }
    anyhow::bail!("no end in {MOST} messages")
}

#[tokio::test]
async fn a_leader_stops_by_its_own_clock_before_the_database_says_so() -> Result<()> {
    let world = World::new().await?;
    let holder = world.tenant.as_uuid();
    let take = |length| lease::take(&world.system, "some", holder, length);
    let over = take(Duration::ZERO).await?.context("it is free")?;
    world
        .meddle("UPDATE offpeak.lease SET expires_at = now() + interval '1 h'")
        .await?;
    let late = world.system.under(Arc::new(over)).begin().await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    // Who comes back in time goes on; who comes back too late begins anew.
    let (first, second) = (take(HOUR).await?, take(HOUR).await?);
    let (first, second) = (first.context("held")?, second.context("held")?);
    assert_eq!(first.epoch(), second.epoch());
    assert!(lease::renew(&world.system, &first).await?);
    world.expire_leases().await?;
    assert!(!lease::renew(&world.system, &first).await?);
    let third = take(HOUR).await?.context("free again")?;
    assert_eq!(third.epoch(), first.epoch() + 1);
    let tx = world.system.under(Arc::new(second)).begin().await?;
    let refused = tx.commit().await;
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_planner_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Form).await
}

#[tokio::test]
async fn a_sender_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Submit).await
}

#[tokio::test]
async fn a_watcher_of_deadlines_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Escalate).await
}

#[tokio::test]
async fn a_poller_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Poll).await
}

#[tokio::test]
async fn an_ingester_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Ingest).await
}

#[tokio::test]
async fn a_rescuer_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Rescue).await
}

#[tokio::test]
async fn a_reconciler_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Reconcile).await
}

#[tokio::test]
async fn a_sweeper_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Sweep).await
}

#[tokio::test]
async fn a_relay_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Relay).await
}

#[tokio::test]
async fn a_folder_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Fold).await
}

#[tokio::test]
async fn a_caretaker_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Tend).await
}

#[tokio::test]
async fn a_purger_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Purge).await
}

#[tokio::test]
async fn an_enroller_that_wakes_late_writes_nothing() -> Result<()> {
    at_its_calls(Loop::Enroll).await
}
