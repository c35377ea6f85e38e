//! Jobs that share an attempt, under everything that comes between: deaths, crowds,
//! and cancels, retries and settles in any order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use offpeak_domain::id::JobId;
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::{Call, Fault, Faults, Plan, Rule, Times};
use offpeak_store::share::{self, Served};
use offpeak_store::{System, cancel, retry};
use offpeak_testkit::freezer::Freezer;
use offpeak_testkit::world::{World, terms};
use offpeak_worker::Loop;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::api::Api;
use crate::books;
use crate::share::{paid, stand, with};

/// Messages after which no tick has anything more to say.
const MOST: u64 = 200;

fn patient() -> offpeak_domain::deliver::Terms {
    offpeak_domain::deliver::Terms::default()
}

/// Jobs that ask the same, the first of which has just ended like this.
async fn followed(world: &mut World, followers: usize, canceled: bool) -> Result<()> {
    let jobs = vec![("One.", patient()); followers + 1];
    let lead = world.submit_sharing(Lane::Batch, &jobs).await?[0];
    if canceled {
        let mut tx = world.tenants.begin(world.tenant).await?;
        cancel::jobs(&mut tx, &[lead]).await?;
        return Ok(tx.commit().await?);
    }
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Poll).await?;
    world.worker.tick(Loop::Ingest).await?;
    Ok(())
}

#[tokio::test]
async fn a_crowd_is_served_a_part_at_a_time() -> Result<()> {
    let mut world = World::new().await?;
    followed(&mut world, 1_200, false).await?;
    let waiting = world.texts("SELECT count(*)::text FROM offpeak.ready");
    assert_eq!(waiting.await?, ["1200"]);
    world.check_invariants().await?;
    let mut parts = Vec::new();
    while let Some(Served { ended, .. }) =
        share::serve(&world.system, world.time(), world.time().date()).await?
    {
        parts.push(ended);
        world.check_invariants().await?;
    }
    assert_eq!(parts, [500, 500, 200]);
    assert_eq!(paid(&world)?, 1);
    books::are_right(&world).await?;

    // And let go a part at a time, all behind the first of them.
    followed(&mut world, 1_200, true).await?;
    world.worker.tick(Loop::Share).await?;
    let led = "SELECT count(DISTINCT source_id) || ' ' || count(source_id) || ' ' || count(*)
                 FROM offpeak.ready";
    assert_eq!(world.texts(led).await?, ["1 1199 1200"]);
    world.run_out().await?;
    assert_eq!(paid(&world)?, 2);
    books::are_right(&world).await
}

/// Dies at every message to the database in turn, the commit's among them.
#[tokio::test]
async fn a_death_serves_nobody_by_halves() -> Result<()> {
    for canceled in [false, true] {
        let mut world = World::impatient().await?;
        let (freezer, through) = Freezer::before(&world.connect)?;
        let system = System::new(&world.options(through));
        let mortal = Arc::new(world.worker_on(system, World::quick())?);
        let mut died = 0;
        for after in 0..=MOST {
            assert!(after < MOST, "a tick takes more than {MOST} messages");
            let before = paid(&world)?;
            followed(&mut world, 3, canceled).await?;
            freezer.freeze_after(after);
            let worker = Arc::clone(&mortal);
            let mut tick = tokio::spawn(async move { worker.tick(Loop::Share).await });
            let over = tokio::select! {
                () = freezer.frozen() => {
                    tick.abort();
                    assert!((&mut tick).await.is_err());
                    false
                }
                done = &mut tick => {
                    done??;
                    true
                }
            };
            freezer.thaw();
            world.check_invariants().await?;
            // Who comes after it waits for what it held, and does the rest.
            world.run_out().await?;
            assert_eq!(paid(&world)?, before + 1, "after {after} messages");
            let left = "SELECT count(*) FROM offpeak.shared";
            assert_eq!(world.number(left).await?, 0);
            if over {
                break;
            }
            died += 1;
        }
        assert!(died > 8, "it died {died} times");
        books::are_right(&world).await?;
    }
    Ok(())
}

/// Two processes at the same followers: each of them is served by one.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_processes_may_serve() -> Result<()> {
    let mut world = World::new().await?;
    for _ in 0..10 {
        followed(&mut world, 20, false).await?;
    }
    let other = world.second_worker(World::quick())?;
    let (one, two) = tokio::join!(world.worker.tick(Loop::Share), other.tick(Loop::Share));
    let late = world.worker.tick(Loop::Share).await?.done;
    assert_eq!(one?.done + two?.done + late, 200);
    assert_eq!(paid(&world)?, 10);
    books::are_right(&world).await
}

/// Jobs come and are canceled by eight clients while others of them end: none is
/// overlooked, and nobody waits for another in a ring.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_the_leader_ends_is_answered_all_the_same() -> Result<()> {
    let mut api = Api::new().await?;
    let body = |n: usize| with(["One.", "Two."][n % 2], r#""deliver_within":"30s""#);
    let clients = (0..8).map(async |client: usize| {
        for n in 0..20 {
            let made = if n % 4 == 3 {
                let lines = [body(n), body(n + 1), body(n)].join("\n");
                api.post("/v1/jobs/bulk", lines).await?
            } else {
                api.post("/v1/jobs", body(n)).await?
            };
            assert_eq!(made.status, 202, "{made:?}");
            if n % 4 == client % 3 {
                let path = format!("/v1/jobs/{}/cancel", made.at("/id"));
                let canceled = api.post(&path, "").await?;
                assert!([200, 409].contains(&canceled.status), "{canceled:?}");
            }
        }
        anyhow::Ok(())
    });
    let over = AtomicBool::new(false);
    let clients = async {
        let came = try_join_all(clients).await;
        over.store(true, Ordering::Relaxed);
        came
    };
    // Its last tick is let finish, or a call of it would be lost.
    let worker = async {
        while !over.load(Ordering::Relaxed) {
            api.world.worker.tick(Loop::Direct).await?;
            api.world.worker.tick(Loop::Share).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(clients, worker)?;
    api.world.check_invariants().await?;
    assert_eq!(api.world.number(OVERLOOKED).await?, 0);
    api.world.run_out().await?;
    let jobs = 8 * (15 + 5 * 3);
    let ended = api.world.counted("completed").await? + api.world.counted("canceled").await?;
    assert_eq!(ended, jobs);
    assert!(paid(&api.world)? < 150, "most of them were shared");
    let left =
        "SELECT (SELECT count(*) FROM offpeak.shared) + (SELECT count(*) FROM offpeak.alike)";
    assert_eq!(api.world.number(left).await?, 0);
    books::are_right(&api.world).await
}

/// Who is about to follow is not to be overlooked.
#[tokio::test(flavor = "multi_thread")]
async fn who_ends_a_leader_waits_for_those_who_are_joining_it() -> Result<()> {
    let mut world = World::new().await?;
    let jobs = [("One.", patient())];
    let lead = world.submit_sharing(Lane::Batch, &jobs).await?[0];
    let joining = "SET LOCAL search_path = offpeak;
        SELECT source_of(tenant_id, gen_random_uuid(), hash, NULL, lane, priority, NULL, now())
          FROM job";
    let joining = world.hold(joining).await?;
    let cancel = async {
        let mut tx = world.tenants.begin(world.tenant).await?;
        cancel::jobs(&mut tx, &[lead]).await?;
        anyhow::Ok(tx.commit().await?)
    };
    let waits = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while world.number(waiting).await? == 0 {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::pin!(cancel);
    tokio::select! {
        ended = &mut cancel => anyhow::bail!("it did not wait: {ended:?}"),
        waited = waits => waited?,
    }
    joining.rollback().await?;
    cancel.await?;
    assert_eq!(stand(&world).await?, ["canceled batch"]);
    books::are_right(&world).await
}

/// The version before ends jobs without a word of it.
#[tokio::test]
async fn what_the_version_before_has_ended_is_found() -> Result<()> {
    let mut world = World::new().await?;
    followed(&mut world, 2, false).await?;
    world
        .meddle(
            "WITH told AS (DELETE FROM offpeak.shared RETURNING tenant_id, id)
             INSERT INTO offpeak.alike (tenant_id, hash, job_id, lane, priority)
             SELECT j.tenant_id, j.hash, j.id, j.lane, j.priority
               FROM offpeak.job j JOIN told USING (tenant_id, id)",
        )
        .await?;
    // Nobody follows it any more, …
    world
        .submit_sharing(Lane::Batch, &[("One.", patient())])
        .await?;
    assert_eq!(stand(&world).await?[3], "queued batch");
    // … and those who did are served.
    world.worker.tick(Loop::Tend).await?;
    world.check_invariants().await?;
    assert_eq!(world.worker.tick(Loop::Share).await?.done, 2);
    world.run_out().await?;
    assert_eq!(paid(&world)?, 2);
    books::are_right(&world).await
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A job that asks one of three things, more or less urgently.
    Submit(usize, u8),
    /// Whichever job that is.
    Cancel(usize),
    Retry(usize),
    Tick(usize),
    Pass(u64),
}

fn step(random: &mut StdRng) -> Step {
    let n = random.random_range(0..1_000);
    match random.random_range(0..16) {
        0..6 => Step::Submit(n % 3, random.random_range(0..4)),
        6..8 => Step::Cancel(n),
        8 => Step::Retry(n),
        9..14 => Step::Tick(n),
        _ => Step::Pass(random.random_range(0..250)),
    }
}

/// Some requests of the first batches are refused, some of them for a time.
fn weather() -> Faults {
    let plan = Plan {
        errored: [
            ("invalid_request_error".to_owned(), 0.2),
            ("overloaded_error".to_owned(), 0.2),
        ]
        .into(),
        ..Plan::default()
    };
    Faults {
        rules: vec![Rule {
            times: Times::Count(3),
            ..Rule::new([Call::Create], Fault::Batch(plan))
        }],
        ..Faults::default()
    }
}

/// The loops that a job meets.
const LOOPS: [Loop; 7] = [
    Loop::Form,
    Loop::Submit,
    Loop::Poll,
    Loop::Ingest,
    Loop::Direct,
    Loop::Escalate,
    Loop::Share,
];

/// Followers of a job that has ended whom nobody will serve, and such leaders.
const OVERLOOKED: &str = "
    SELECT (SELECT count(*) FROM offpeak.ready q JOIN offpeak.result r ON r.id = q.source_id
             WHERE NOT EXISTS (SELECT FROM offpeak.shared WHERE id = q.source_id))
         + (SELECT count(*) FROM offpeak.alike a JOIN offpeak.result r ON r.id = a.job_id)";

async fn play(steps: &[Step]) -> Result<()> {
    let mut world = World::with(World::quick()).await?;
    world.standin.set_faults(weather());
    let mut jobs: Vec<JobId> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        match *step {
            Step::Submit(text, urgency) => {
                let (lane, terms) = match urgency {
                    0 => (
                        Lane::Direct,
                        terms(Duration::from_secs(30), OnLate::Escalate),
                    ),
                    1 => (Lane::Batch, terms(Duration::from_mins(20), OnLate::Fail)),
                    _ => (Lane::Batch, patient()),
                };
                let texts = ["One.", "Two.", "Three."];
                jobs.extend(world.submit_sharing(lane, &[(texts[text], terms)]).await?);
            }
            Step::Cancel(n) | Step::Retry(n) if !jobs.is_empty() => {
                let job = [jobs[n % jobs.len()]];
                let mut tx = world.tenants.begin(world.tenant).await?;
                if matches!(step, Step::Cancel(_)) {
                    cancel::jobs(&mut tx, &job).await?;
                } else {
                    retry::jobs(&mut tx, &job, retry::TROUBLED, &BTreeMap::new()).await?;
                }
                tx.commit().await?;
            }
            Step::Cancel(_) | Step::Retry(_) => {}
            Step::Tick(n) => drop(world.worker.tick(LOOPS[n % LOOPS.len()]).await?),
            Step::Pass(seconds) => world.pass(Duration::from_secs(seconds)),
        }
        assert_eq!(world.number(OVERLOOKED).await?, 0, "after {step:?}");
        if n % 8 == 0 {
            world.check_invariants().await?;
        }
    }
    world.run_out().await?;
    // What was canceled on its way comes back, too.
    world.pass(Duration::from_mins(5));
    world.worker.settle_down().await?;
    let left = "SELECT (SELECT count(*) FROM offpeak.ready) + (SELECT count(*) FROM offpeak.shared)
                     + (SELECT count(*) FROM offpeak.alike)";
    assert_eq!(
        world.number(left).await?,
        0,
        "nobody waits, and nobody leads"
    );
    books::are_right(&world).await
}

/// Each of them has a database of its own.
#[tokio::test]
async fn whatever_happens_every_job_ends_and_what_was_sent_is_paid() -> Result<()> {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let steps: Vec<Step> = (0..40).map(|_| step(&mut random)).collect();
        let played = Box::pin(play(&steps)).await;
        played.with_context(|| format!("seed {seed}: {steps:?}"))?;
    }
    Ok(())
}
