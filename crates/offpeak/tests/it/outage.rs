//! Hours in which Anthropic does not answer as it should: no job fails for it,
//! no try is spent, hardly anything is called, and afterwards all of it drains.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_standin::{Call, Fault, Faults, Reset, Rule, Status, Times};
use offpeak_testkit::world::{self, SECOND_KEY, World};
use offpeak_worker::Loop;
use prometheus_client::registry::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books;
use crate::faults::{dropped, refusal};

const STEP: Duration = Duration::from_mins(1);
const SIX_HOURS: u32 = 6 * 60;

/// From now on these calls go wrong in this way.
fn always(on: Vec<Call>, fault: Fault) -> Faults {
    Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new(on, fault)
        }],
        ..Faults::default()
    }
}

fn status(code: u16) -> Fault {
    Fault::Status(Status {
        status: code,
        ..Status::default()
    })
}

/// Calls of this name that were counted, however they came out.
fn calls(registry: &Registry) -> Result<u64> {
    let mut all = 0.0;
    for line in world::metrics(registry)?.lines() {
        if line.starts_with("offpeak_upstream_calls_total") {
            all += line
                .rsplit(' ')
                .next()
                .unwrap_or_default()
                .parse::<f64>()
                .unwrap_or(0.0);
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    Ok(all as u64)
}

/// Lets six hours pass as the driver would: each loop now and then, whatever
/// comes of it.
async fn six_hours(world: &World) {
    for _ in 0..SIX_HOURS {
        world.pass(STEP);
        for which in [
            Loop::Form,
            Loop::Submit,
            Loop::Poll,
            Loop::Ingest,
            Loop::Rescue,
        ] {
            // A failed tick is logged; the next one comes.
            let _ = world.worker.tick(which).await;
        }
    }
}

/// Nobody's fault: no job has failed, and no try is spent.
async fn nothing_was_spent(world: &World) -> Result<()> {
    let failed = "SELECT count(*) FROM offpeak.result WHERE outcome <> 'completed'";
    assert_eq!(world.number(failed).await?, 0);
    let tries = "SELECT coalesce(sum(tries), 0)::bigint
                   FROM (SELECT tries FROM offpeak.ready
                          UNION ALL SELECT tries FROM offpeak.inflight) AS t";
    assert_eq!(world.number(tries).await?, 0);
    Ok(())
}

#[tokio::test]
async fn six_hours_of_overload_fail_no_job_and_cost_few_calls() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(offpeak_worker::Options::default())?;
    world.submit(&["a", "b", "c"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    // One batch is on its way, one is to come; then nothing answers any more.
    world.submit(&["d", "e"]).await?;
    let before = calls(&registry)?;
    world
        .standin
        .set_faults(always(vec![Call::Any], status(529)));
    six_hours(&world).await;
    let made = calls(&registry)? - before;
    assert!(made < 350, "{made} calls");
    assert!(
        made > 30,
        "and it does look whether all is well again: {made}"
    );
    assert!(world::metrics(&registry)?.contains(
        "offpeak_breaker_open{upstream=\"ups_00000000000000000000000000\",call=\"read\"} 1"
    ));
    nothing_was_spent(&world).await?;
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.attempt").await?,
        0
    );
    assert_eq!(world.open_jobs().await?, 5);

    world.standin.clear_faults();
    world.run_out().await?;
    nothing_was_spent(&world).await?;
    assert!(!world::metrics(&registry)?.contains(
        "offpeak_breaker_open{upstream=\"ups_00000000000000000000000000\",call=\"read\"} 1"
    ));
    books::are_right(&world).await
}

#[tokio::test]
async fn six_hours_of_resets_on_reads_and_results_fail_no_job() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(offpeak_worker::Options::default())?;
    for texts in [["a", "b"], ["c", "d"]] {
        world.submit(&texts).await?;
        world.pass(Duration::from_secs(10));
        world.worker.settle_down().await?;
    }
    let before = calls(&registry)?;
    let reset = Fault::Reset {
        when: Reset::Answer,
        bytes: 0,
    };
    world.standin.set_faults(always(
        vec![Call::List, Call::Retrieve, Call::Results],
        reset,
    ));
    six_hours(&world).await;
    let made = calls(&registry)? - before;
    assert!((30..250).contains(&made), "{made} calls");
    nothing_was_spent(&world).await?;
    assert_eq!(world.open_jobs().await?, 4);

    world.standin.clear_faults();
    world.run_out().await?;
    nothing_was_spent(&world).await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn creates_that_are_answered_by_a_gateway_pile_up_no_more_than_four_doubts() -> Result<()> {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = 1;
    let mut world = World::with(options.clone()).await?;
    let registry = world.one_upstream(options)?;
    let texts: Vec<String> = (0..20).map(|n| format!("Text {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    world.pass(Duration::from_mins(2));
    world.standin.set_faults(refusal(502, 1_000_000));
    for _ in 0..100 {
        for which in [Loop::Form, Loop::Submit, Loop::Form] {
            let _ = world.worker.tick(which).await;
        }
        world.pass(Duration::from_secs(1));
    }
    let uncertain = "SELECT count(*) FROM offpeak.batch WHERE state = 'uncertain'";
    assert_eq!(world.number(uncertain).await?, 4);
    assert!(
        world::metrics(&registry)?.contains("reason=\"uncertain\"} 1"),
        "the operator sees why"
    );
    world.standin.clear_faults();
    world.run_out().await?;
    nothing_was_spent(&world).await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn an_answer_that_asks_for_days_is_obeyed_for_an_hour() -> Result<()> {
    let mut world = World::new().await?;
    let mut faults = refusal(429, 1);
    if let Some(create) = &mut faults.create_status {
        create.retry_after = Some("864000".into());
    }
    world.standin.set_faults(faults);
    world.submit(&["a"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    let state = "SELECT state || ' ' || sends FROM offpeak.batch";
    assert_eq!(world.texts(state).await?, ["planned 1"]);
    world.pass(Duration::from_mins(59));
    world.worker.settle_down().await?;
    assert_eq!(world.texts(state).await?, ["planned 1"]);
    world.pass(Duration::from_mins(2));
    world.worker.settle_down().await?;
    assert_eq!(world.texts(state).await?, ["in_progress 1"]);
    world.run_out().await?;
    nothing_was_spent(&world).await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn one_upstream_in_trouble_does_not_keep_another_waiting() -> Result<()> {
    for (code, error_code, word) in [
        (401, None, "does not accept the API key"),
        (403, None, "may not use"),
        (429, Some("enforced_spend_limit_reached"), "spend limit"),
        (529, None, ""),
    ] {
        let mut world = World::new().await?;
        let mut tx = world.system.begin().await?;
        let other: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(5)).mint();
        offpeak_store::tenant::create(&mut tx, other, "globex").await?;
        tx.commit().await?;
        let _registry = world
            .two_upstreams(other, offpeak_worker::Options::default())
            .await?;
        // Several each, so that a backlog stands before the good one's.
        for n in 0..10 {
            world
                .submit_as(other, None, &[&format!("Theirs {n}.")])
                .await?;
            world.submit(&[&format!("Ours {n}.")]).await?;
        }
        world.standin.set_faults(Faults {
            rules: vec![Rule {
                times: Times::ALWAYS,
                key: Some(SECOND_KEY.to_owned()),
                ..Rule::new(
                    vec![Call::Any],
                    Fault::Status(Status {
                        status: code,
                        code: error_code.map(str::to_owned),
                        ..Status::default()
                    }),
                )
            }],
            ..Faults::default()
        });
        for _ in 0..20 {
            world.pass(Duration::from_secs(30));
            for which in Loop::ALL.into_iter().cycle().take(21) {
                let _ = world.worker.tick(which).await;
            }
        }
        assert_eq!(world.open_jobs().await?, 10, "{code}: the good one is done");
        let paused = "SELECT coalesce(paused_reason, '-') FROM offpeak.upstream ORDER BY id";
        let reasons = world.texts(paused).await?;
        assert_eq!(reasons[0], "-", "{code}");
        assert!(reasons[1].contains(word), "{code}: {reasons:?}");
        world.standin.clear_faults();
        // As a restart does it.
        world
            .meddle("UPDATE offpeak.upstream SET paused_reason = NULL, paused_until = NULL")
            .await?;
        world.run_out().await?;
        nothing_was_spent(&world).await?;
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn lost_answers_open_the_breaker_and_leave_four_doubts_at_most() -> Result<()> {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = 1;
    let mut world = World::with(options).await?;
    world.standin.set_faults(dropped(4));
    world.submit(&["a", "b", "c", "d", "e", "f"]).await?;
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Form).await?;
    for _ in 0..10 {
        world.worker.tick(Loop::Submit).await?;
    }
    let states = "SELECT state || ' ' || count(*) FROM offpeak.batch GROUP BY state ORDER BY 1";
    assert_eq!(world.texts(states).await?, ["planned 2", "uncertain 4"]);
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn whether_an_overload_proves_that_nothing_was_stored_is_a_setting() -> Result<()> {
    for (overloaded_is_uncertain, state) in [(false, "planned 1"), (true, "uncertain 0")] {
        let options = offpeak_worker::Options {
            overloaded_is_uncertain,
            ..World::quick()
        };
        let mut world = World::with(options).await?;
        world.standin.set_faults(refusal(529, 1));
        world.submit(&["a"]).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        world.worker.tick(Loop::Submit).await?;
        let states = "SELECT state || ' ' || sends FROM offpeak.batch";
        assert_eq!(world.texts(states).await?, [state]);
        world.run_out().await?;
        nothing_was_spent(&world).await?;
        books::are_right(&world).await?;
    }
    Ok(())
}
