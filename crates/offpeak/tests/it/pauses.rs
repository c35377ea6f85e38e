//! Pauses: what only a person can mend stops the sends of one upstream, says
//! why, fails no job, and goes on by itself when it is mended.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_standin::{Behavior, Call, Fault, Faults, Rule, Status, Times, When};
use offpeak_testkit::world::{self, SECOND_KEY, World};
use offpeak_worker::{Loop, Options};
use prometheus_client::registry::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::api_observe::database_url;
use crate::books;
use crate::cli::{offpeak, shown};

const FAILED: &str = "SELECT count(*) FROM offpeak.result WHERE outcome = 'failed'";
const COMPLETED: &str = "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'";
const REASONS: &str = "SELECT coalesce(paused_reason, '-') FROM offpeak.upstream ORDER BY id";
/// What was noted, and whether it is still open.
const NOTED: &str = "SELECT kind || CASE WHEN resolved_at IS NULL THEN '' ELSE ' (over)' END
                       FROM offpeak.incident ORDER BY 1";

/// From now on these calls are answered so, maybe only with this key.
fn always(on: &[Call], status: u16, key: Option<&str>) -> Faults {
    let fault = Fault::Status(Status {
        status,
        ..Status::default()
    });
    Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            key: key.map(str::to_owned),
            ..Rule::new(on, fault)
        }],
        ..Faults::default()
    }
}

/// Lets time pass as the driver would: each loop now and then, whatever comes
/// of it.
async fn go_on(world: &World, steps: u32, step: Duration) -> Result<()> {
    for _ in 0..steps {
        world.pass(step);
        for which in Loop::ALL.into_iter().cycle().take(16) {
            let _ = world.worker.tick(which).await;
        }
        let pause = "UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'";
        world.meddle(pause).await?;
    }
    Ok(())
}

async fn second_tenant(world: &World) -> Result<TenantId> {
    let mut tx = world.system.begin().await?;
    let other: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(5)).mint();
    offpeak_store::tenant::create(&mut tx, other, "globex").await?;
    tx.commit().await?;
    Ok(other)
}

fn paused_gauges(registry: &Registry) -> Result<Vec<String>> {
    Ok(world::metrics(registry)?
        .lines()
        .filter(|line| line.starts_with("offpeak_sends_held") && line.contains("\"paused\""))
        .filter_map(|line| line.rsplit(' ').next().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn an_account_that_is_refused_does_not_fail_the_whole_queue() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(Options::default())?;
    let texts: Vec<String> = (0..20).map(|n| format!("Text {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    world.standin.set_faults(always(&[Call::Create], 400, None));
    go_on(&world, 120, Duration::from_secs(30)).await?;
    let failed = world.number(FAILED).await?;
    assert!((1..5).contains(&failed), "{failed} of 20 failed");
    let reasons = world.texts(REASONS).await?;
    assert!(reasons[0].contains("refuses"), "{reasons:?}");
    assert_eq!(world.texts(NOTED).await?, ["upstream_paused"]);
    assert_eq!(paused_gauges(&registry)?, ["1"]);

    // Another process knows it from the database.
    let other = world.second_worker(Options::default())?;
    let sends = "SELECT sum(sends)::bigint FROM offpeak.batch";
    let before = world.number(sends).await?;
    for which in Loop::ALL {
        other.tick(which).await?;
    }
    assert_eq!(world.number(sends).await?, before);
    go_on(&world, 30, Duration::from_mins(20)).await?;
    assert_eq!(world.number(FAILED).await?, failed, "ten hours later");

    world.standin.clear_faults();
    world.run_out().await?;
    assert_eq!(world.number(FAILED).await?, failed);
    assert_eq!(world.number(COMPLETED).await?, 20 - failed);
    go_on(&world, 1, Duration::from_secs(1)).await?;
    assert_eq!(world.texts(REASONS).await?, ["-"]);
    assert_eq!(world.texts(NOTED).await?, ["upstream_paused (over)"]);
    assert_eq!(paused_gauges(&registry)?, ["0"]);
    books::are_right(&world).await
}

#[tokio::test]
async fn one_tenant_s_bad_jobs_do_not_pause_what_others_have_to_send() -> Result<()> {
    let mut options = Options::default();
    options.limits.max_items = 1;
    let mut world = World::plain(options).await?;
    world.standin.set_behavior(Behavior {
        batch_params: When::AtCreate,
        ..Behavior::default()
    });
    let other = second_tenant(&world).await?;
    let bad: Vec<String> = (0..20).map(|n| format!("Bad {n}.")).collect();
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    world.submit_as(other, None, &bad).await?;
    world
        .meddle(
            "UPDATE offpeak.payload
                SET params = convert_to(replace(convert_from(params, 'UTF8'),
                                                '\"max_tokens\":256', '\"stream\":   true'),
                                        'UTF8')",
        )
        .await?;
    world.submit(&["good 1", "good 2", "good 3"]).await?;
    go_on(&world, 20, Duration::from_secs(30)).await?;
    assert_eq!(world.number(COMPLETED).await?, 3, "behind twenty bad ones");
    // What comes while it is paused waits for that, and is not behind them.
    let left = world.open_jobs().await?;
    assert!(left > 5, "{left} left");
    assert_eq!(world.texts(NOTED).await?, ["upstream_paused"]);
    world.submit(&["good 4"]).await?;
    go_on(&world, 60, Duration::from_secs(30)).await?;
    assert_eq!(world.number(COMPLETED).await?, 4);
    // Each of them ends after days, if nothing else is ever sent.
    assert!(world.open_jobs().await? > 0);
    world
        .meddle("UPDATE offpeak.batch SET sends = 300 WHERE state = 'planned'")
        .await?;
    go_on(&world, 20, Duration::from_hours(1)).await?;
    assert_eq!(world.open_jobs().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_refused_for_reading_pauses_its_upstream_until_it_reads_again() -> Result<()>
{
    for on in [Call::List, Call::Retrieve, Call::Results] {
        let mut world = World::new().await?;
        let other = second_tenant(&world).await?;
        let registry = world.two_upstreams(other, Options::default()).await?;
        world.submit_as(other, None, &["theirs"]).await?;
        world.submit(&["ours"]).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        while world.worker.tick(Loop::Submit).await?.done > 0 {}
        world
            .standin
            .set_faults(always(&[on], 401, Some(SECOND_KEY)));
        go_on(&world, 20, Duration::from_secs(30)).await?;
        let reasons = world.texts(REASONS).await?;
        assert_eq!(reasons[0], "-", "{on:?}");
        let why = "does not accept the API key";
        assert!(reasons[1].contains(why), "{on:?}: {reasons:?}");
        assert_eq!(world.texts(NOTED).await?, ["upstream_paused"], "{on:?}");
        assert_eq!(world.number(COMPLETED).await?, 1, "{on:?}: the other one");
        let gauges = paused_gauges(&registry)?;
        assert_eq!(gauges.iter().filter(|gauge| *gauge == "1").count(), 1);
        // The other one goes on while the first waits, and that one sends nothing.
        world.submit(&["ours again"]).await?;
        world.submit_as(other, None, &["theirs again"]).await?;
        go_on(&world, 20, Duration::from_secs(30)).await?;
        assert_eq!(world.number(COMPLETED).await?, 2, "{on:?}");
        assert_eq!(world.open_jobs().await?, 2, "{on:?}");
        assert_eq!(world.standin.journal()?.len(), 3, "{on:?}");

        world.standin.clear_faults();
        go_on(&world, 40, Duration::from_secs(30)).await?;
        assert_eq!(world.open_jobs().await?, 0, "{on:?}");
        assert_eq!(world.number(FAILED).await?, 0, "{on:?}");
        assert_eq!(world.texts(REASONS).await?, ["-", "-"], "{on:?}");
        assert_eq!(world.texts(NOTED).await?, ["upstream_paused (over)"]);
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pause_is_noted_each_time_and_the_doctor_says_it() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(Options::default())?;
    let folder = tempfile::tempdir()?;
    let url = (database_url(&world)?, world.standin_url.clone());
    let doctor = async || -> Result<String> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", &url.0)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &url.1)
            .args(["doctor"])
            .output()
            .await?;
        Ok(shown(&ran, &url.1))
    };
    assert!(doctor().await?.contains("ok    sending"));
    for _ in 0..2 {
        world.standin.set_faults(always(&[Call::Create], 402, None));
        world.submit(&["a"]).await?;
        go_on(&world, 10, Duration::from_secs(30)).await?;
        assert_eq!(world.texts(NOTED).await?, ["upstream_paused"]);
        assert_eq!(paused_gauges(&registry)?, ["1"]);
        let seen = doctor().await?;
        assert!(seen.contains("warn  sending"), "{seen}");
        assert!(seen.contains("payment problem"), "{seen}");
        assert!(seen.starts_with("exit 0"), "{seen}");
        world.standin.clear_faults();
        world.run_out().await?;
        assert_eq!(world.texts(NOTED).await?, ["upstream_paused (over)"]);
        assert!(doctor().await?.contains("ok    sending"));
    }
    Ok(())
}
