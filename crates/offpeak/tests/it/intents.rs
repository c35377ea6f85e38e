//! The intent protocol seen from outside: what an uncertain send holds up, how
//! often it is looked for, and what is learnt about the list on the way.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_standin::{Call, Fault, Faults, Rule, Times};
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Options};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use crate::books;
use crate::faults::{dropped, refusal};
use crate::rescue::send;

const TENANTS: i64 = 200;

async fn count(world: &World, state: &'static str) -> Result<usize> {
    let states = world.texts("SELECT state FROM offpeak.batch").await?;
    Ok(states.iter().filter(|one| *one == state).count())
}

#[tokio::test]
async fn one_uncertain_send_holds_up_nobody_of_two_hundred() -> Result<()> {
    let mut world = World::new().await?;
    let mut rng = StdRng::seed_from_u64(11);
    for n in 0..TENANTS {
        let mut tx = world.system.begin().await?;
        let tenant: TenantId = Minter::new(tx.now(), &mut rng).mint();
        offpeak_store::tenant::create(&mut tx, tenant, &format!("tenant-{n}")).await?;
        tx.commit().await?;
        world.submit_as(tenant, None, &["One job."]).await?;
    }
    world.standin.set_faults(dropped(1));
    world.pass(Duration::from_secs(10));
    // One flush: no time passes from here on. Each batch has the same count.
    world.worker.tick(Loop::Form).await?;
    assert_eq!(count(&world, "planned").await?, 200);
    let mut ticks = 0;
    while world.worker.tick(Loop::Submit).await?.done > 0 {
        ticks += 1;
    }
    assert_eq!(ticks, TENANTS, "each is sent, and once");
    assert_eq!(count(&world, "uncertain").await?, 1);
    assert_eq!(count(&world, "in_progress").await?, 199);
    // Of the two hundred that are listed only one has no answer: it is that one.
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(count(&world, "in_progress").await?, 200);
    // What Anthropic bills is known when all have ended, before their results are read.
    for _ in 0..20 {
        world.pass(Duration::from_mins(1));
        world.worker.tick(Loop::Poll).await?;
        if count(&world, "ended").await? == 200 {
            break;
        }
    }
    assert_eq!(count(&world, "ended").await?, 200);
    assert_eq!(world.standin.journal()?.len(), 200);
    Ok(())
}

#[tokio::test]
async fn sends_that_look_alike_wait_until_their_results_name_them() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(Faults {
        hold: Some(2),
        ..dropped(2)
    });
    for texts in [["a", "b"], ["c", "d"]] {
        world.submit(&texts).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        world.worker.tick(Loop::Submit).await?;
    }
    // And one that leaves no trace.
    world.standin.set_faults(refusal(502, 1));
    world.submit(&["e", "f"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    for _ in 0..60 {
        world.pass(Duration::from_mins(1));
        world.worker.tick(Loop::Rescue).await?;
    }
    assert_eq!(
        count(&world, "uncertain").await?,
        3,
        "an hour, and nothing was guessed"
    );
    // A fourth with the same count goes on meanwhile.
    world.submit(&["g", "h"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(count(&world, "in_progress").await?, 1);
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(count(&world, "refuted").await?, 1);
    assert_eq!(world.standin.journal()?.len(), 8);
    books::are_right(&world).await
}

#[tokio::test]
async fn an_uncertain_send_is_listed_for_often_at_first_and_then_each_minute() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], refusal(502, 1)).await?;
    let mut at = Vec::new();
    let mut last: Option<OffsetDateTime> = None;
    for second in 0..300 {
        world.worker.tick(Loop::Rescue).await?;
        let seen = sqlx_time(&world).await?;
        if seen != last {
            at.push(second);
            last = seen;
        }
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(at, [0, 15, 30, 45, 60, 75, 90, 105, 120, 180, 240]);
    Ok(())
}

async fn sqlx_time(world: &World) -> Result<Option<OffsetDateTime>> {
    let text = "SELECT extract(epoch FROM last_listing_at)::bigint::text FROM offpeak.batch
                 WHERE last_listing_at IS NOT NULL";
    let texts = world.texts(text).await?;
    texts
        .first()
        .map(|text| Ok(OffsetDateTime::from_unix_timestamp(text.parse()?)?))
        .transpose()
}

#[tokio::test]
async fn the_first_listing_that_shows_a_batch_says_how_long_that_took_at_most() -> Result<()> {
    let options = Options {
        first_poll: Duration::from_secs(10),
        poll_every: Duration::from_secs(20),
        ..Options::default()
    };
    let mut world = World::with(options).await?;
    world.standin.set_faults(Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new([Call::List], Fault::ListLag { ms: 25_000 })
        }],
        ..Faults::default()
    });
    world.submit(&["a", "b"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    let mut seen = Vec::new();
    for _ in 0..5 {
        world.pass(Duration::from_secs(10));
        let outcome = world.worker.tick(Loop::Poll).await?;
        let rounded = |ages: &[Duration]| -> Vec<u64> {
            ages.iter()
                .map(|age| (age.as_secs() + 5) / 10 * 10)
                .collect()
        };
        seen.push((
            rounded(&outcome.seen.hidden),
            rounded(&outcome.seen.visible),
        ));
    }
    let nothing = (vec![], vec![]);
    assert_eq!(
        seen,
        [
            (vec![10], vec![]),
            nothing.clone(),
            (vec![], vec![30]),
            nothing.clone(),
            nothing
        ]
    );
    world.run_out().await?;
    books::are_right(&world).await
}

async fn plan(world: &mut World, texts: &[&str]) -> Result<()> {
    world.submit(texts).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    Ok(())
}

const IN_ORDER: &str = "SELECT items || ' ' || state FROM offpeak.batch ORDER BY id";

#[tokio::test]
async fn a_young_batch_lets_those_go_first_that_resemble_no_send_in_doubt() -> Result<()> {
    let mut world = World::new().await?;
    send(&mut world, &["a", "b"], refusal(502, 1)).await?;
    plan(&mut world, &["c", "d"]).await?;
    plan(&mut world, &["e", "f", "g"]).await?;
    world.worker.tick(Loop::Submit).await?;
    let first = ["2 uncertain", "2 planned", "3 in_progress"];
    assert_eq!(world.texts(IN_ORDER).await?, first);
    world.worker.tick(Loop::Submit).await?;
    let both = ["2 uncertain", "2 in_progress", "3 in_progress"];
    assert_eq!(
        world.texts(IN_ORDER).await?,
        both,
        "and nothing waits for it"
    );

    // One that has let others go first for long has its turn.
    plan(&mut world, &["h", "i"]).await?;
    world.pass(Duration::from_mins(5));
    plan(&mut world, &["j"]).await?;
    world.worker.tick(Loop::Submit).await?;
    let turn = ["2 in_progress", "1 planned"];
    assert_eq!(world.texts(IN_ORDER).await?[3..], turn);
    world.run_out().await?;
    books::are_right(&world).await
}
