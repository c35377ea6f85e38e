//! A working day of deadlines in virtual time, with batches that are slow, stuck
//! or expire: none is missed that a direct call could have kept.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::deliver::Terms;
use offpeak_domain::job::OnLate;
use offpeak_domain::route::{Ways, route};
use offpeak_domain::turnaround::Measured;
use offpeak_standin::{Call, Fault, Faults, Plan, Rule, Times};
use offpeak_testkit::world::{World, terms};
use offpeak_worker::{Loop, Options};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::books;

const MINUTE: Duration = Duration::from_mins(1);
/// Between two looks of the loops.
const STEP: Duration = Duration::from_secs(30);
/// Jobs come for so many steps.
const COMING: usize = 60;

/// What batches took before, by which the lanes are chosen.
const WAYS: Ways = Ways {
    around: Duration::from_mins(2),
    batch: Some(Measured {
        half: Duration::from_mins(10),
        nine_tenths: Duration::from_mins(20),
        most: Duration::from_mins(25),
        n: 1_000,
    }),
    direct: None,
    escalate_before: Duration::from_mins(2),
};

/// A share of batches that goes like this.
fn share(chance: f64, plan: Plan) -> Rule {
    Rule {
        times: Times::ALWAYS,
        chance,
        ..Rule::new([Call::Create], Fault::Batch(plan))
    }
}

/// Most batches take ten minutes; of the rest some take hours, some never end, and
/// some come back with nothing.
fn weather() -> Faults {
    let minutes = |minutes: u64| Plan {
        turnaround_ms: Some(minutes * 60_000),
        ..Plan::default()
    };
    Faults {
        rules: vec![
            share(0.3, minutes(150)),
            share(
                0.2,
                Plan {
                    never_ends: true,
                    ..Plan::default()
                },
            ),
            share(
                0.2,
                Plan {
                    expired: 1.0,
                    ..minutes(20)
                },
            ),
        ],
        ..Faults::default()
    }
}

/// What the next job asks for.
fn asks(random: &mut StdRng) -> Terms {
    let within = [
        STEP,
        2 * MINUTE,
        10 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
        60 * MINUTE,
        180 * MINUTE,
    ][random.random_range(0..7_usize)];
    let on_late = match random.random_range(0..5) {
        0 => OnLate::Wait,
        1 => OnLate::Fail,
        _ => OnLate::Escalate,
    };
    terms(within, on_late)
}

/// One look of every loop, with as many calls at once as there may be. Gives how
/// many jobs were escalated, from the queue and from batches, and how many
/// deadlines were missed.
async fn look(world: &World) -> Result<(u64, u64, u64)> {
    let (mut queued, mut in_batch, mut missed) = (0, 0, 0);
    loop {
        let mut done = 0;
        for which in [
            Loop::Form,
            Loop::Submit,
            Loop::Poll,
            Loop::Ingest,
            Loop::Escalate,
            Loop::Rescue,
        ] {
            let outcome = world.worker.tick(which).await?;
            done += outcome.done;
            queued += outcome.seen.escalated.0;
            in_batch += outcome.seen.escalated.1;
            missed += outcome.seen.missed;
        }
        let calls = (0..8).map(|_| world.worker.tick(Loop::Direct));
        for outcome in futures_util::future::join_all(calls).await {
            let outcome = outcome?;
            done += outcome.done;
            missed += outcome.seen.missed;
        }
        if done == 0 {
            return Ok((queued, in_batch, missed));
        }
    }
}

/// How late the open jobs' deadlines are that escalate, and ended ones': none may be.
const LATE: &str = "
    SELECT count(*)
      FROM offpeak.job j
      LEFT JOIN offpeak.result r USING (tenant_id, id)
     WHERE j.on_late = 'escalate'
       AND coalesce(r.ended_at, 'infinity')
           > uuid_time(j.id) + make_interval(secs => j.deliver_within)";

async fn a_day_of(jobs: usize) -> Result<()> {
    let options = Options {
        escalate_before: WAYS.escalate_before,
        ..World::quick()
    };
    let mut world = World::with(options).await?;
    world
        .meddle(
            "CREATE FUNCTION public.uuid_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE
                 RETURN to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))
                                     ::bit(64)::bigint / 1000.0)",
        )
        .await?;
    world.standin.set_faults(weather());
    let mut random = StdRng::seed_from_u64(6);
    let (mut queued, mut in_batch, mut missed) = (0, 0, 0);
    for step in 0..460_usize {
        if step < COMING {
            let coming = (jobs * (step + 1) / COMING) - (jobs * step / COMING);
            for terms in (0..coming).map(|_| asks(&mut random)).collect::<Vec<_>>() {
                let lane = route(
                    terms.within,
                    terms.on_late.unwrap_or(OnLate::Escalate),
                    &WAYS,
                );
                world
                    .submit_urgent(lane.lane(), &[("One fine day.", terms)])
                    .await?;
            }
        }
        let seen = look(&world).await?;
        (queued, in_batch, missed) = (queued + seen.0, in_batch + seen.1, missed + seen.2);
        world.pass(STEP);
    }
    assert_eq!(world.number(LATE).await?, 0, "deadlines that could be kept");
    let of = |what: &'static str| world.number(what);
    assert_eq!(
        of("SELECT count(*) FROM offpeak.job").await?,
        i64::try_from(jobs)?
    );
    let beside = of("SELECT count(*) FROM offpeak.call WHERE beside IS NOT NULL").await?;
    assert!(beside > 0, "some batches were too slow");
    assert_eq!(i64::try_from(in_batch)?, beside, "escalations are counted");
    let direct = of("SELECT count(*) FROM offpeak.job WHERE lane = 'direct'").await?;
    let called = of("SELECT count(DISTINCT job_id) FROM offpeak.call").await?;
    assert_eq!(
        called,
        direct + beside + i64::try_from(queued)?,
        "and so are calls"
    );
    let failed = "SELECT count(*) FROM offpeak.result WHERE label = 'deadline_missed'";
    let failed = of(failed).await?;
    let late = of(
        "SELECT count(*) FROM offpeak.job j JOIN offpeak.result r USING (tenant_id, id)
          WHERE r.outcome = 'completed'
            AND r.ended_at > uuid_time(j.id) + make_interval(secs => j.deliver_within)",
    )
    .await?;
    assert!(
        failed > 0 && late > 0,
        "those who did not escalate were late"
    );
    assert_eq!(i64::try_from(missed)?, failed + late, "and that is counted");
    // What is stuck is let go, and everything is paid and booked.
    world.standin.release()?;
    for _ in 0..4 {
        look(&world).await?;
        world.pass(5 * MINUTE);
    }
    world.run_out().await?;
    let twice = "SELECT count(*) FROM (SELECT id FROM offpeak.ledger GROUP BY id
                                        HAVING count(DISTINCT lane) = 2) AS paid";
    let twice = world.number(twice).await?;
    assert!(twice > 0, "both are paid when both come");
    books::are_right(&world).await
}

/// Ten thousand take minutes: `make deadlines` runs that.
#[tokio::test(flavor = "multi_thread")]
async fn no_deadline_is_missed_that_a_call_could_have_kept() -> Result<()> {
    a_day_of(400).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make deadlines` runs it"]
async fn nor_among_ten_thousand() -> Result<()> {
    a_day_of(10_000).await
}
