//! What the operator has to know: noted once, shown by command, metric and doctor.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::incident::Kind;
use offpeak_standin::{Call, Fault, Faults, Plan, Rule, Status, Times};
use offpeak_store::incident;
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Outcome};

use crate::api_observe::database_url;
use crate::cli::{offpeak, shown};
use crate::faults::{dropped, refusal};

const HOUR: Duration = Duration::from_hours(1);

fn always(on: Call, fault: Fault) -> Rule {
    Rule {
        times: Times::ALWAYS,
        ..Rule::new([on], fault)
    }
}

async fn kinds(world: &World) -> Result<Vec<String>> {
    world
        .texts("SELECT kind FROM offpeak.incident ORDER BY at, kind")
        .await
}

async fn started(world: &mut World) -> Result<()> {
    world.submit(&["a", "b"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    Ok(())
}

/// Looks and watches, as if each were due.
async fn watched(world: &World) -> Result<Outcome> {
    // A tick may fail, that is what the faults are for.
    let _ = world.worker.tick(Loop::Poll).await;
    let _ = world.worker.tick(Loop::Ingest).await;
    world.worker.tick(Loop::Tend).await.map_err(Into::into)
}

#[tokio::test]
async fn a_batch_that_does_not_end_is_overdue_once_and_not_sent_again() -> Result<()> {
    let mut world = World::new().await?;
    let plan = Plan {
        never_ends: true,
        ..Plan::default()
    };
    world.standin.set_faults(Faults {
        rules: vec![Rule::new([Call::Create], Fault::Batch(plan))],
        ..Faults::default()
    });
    started(&mut world).await?;
    world.pass(HOUR * 24);
    watched(&world).await?;
    assert_eq!(kinds(&world).await?, [""; 0]);
    world.pass(HOUR * 2);
    for _ in 0..3 {
        watched(&world).await?;
    }
    assert_eq!(kinds(&world).await?, ["batch_overdue"]);
    let seen = world.worker.tick(Loop::Tend).await?.seen.incidents;
    assert_eq!(seen, Some(vec![("batch_overdue".to_owned(), 1)]));
    world.pass(HOUR * 24);
    world.worker.settle_down().await?;
    assert_eq!(world.listed().await?.len(), 1, "sent once");
    assert_eq!(world.open_jobs().await?, 2);
    // It is looked at as before.
    world.standin.release()?;
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn results_that_are_not_read_are_counted_noted_and_noted_again_before_they_go() -> Result<()>
{
    let mut world = World::new().await?;
    let broken = Fault::Status(Status {
        status: 500,
        ..Status::default()
    });
    world.standin.set_faults(Faults {
        rules: vec![always(Call::Results, broken)],
        ..Faults::default()
    });
    started(&mut world).await?;
    world.pass(Duration::from_mins(2));
    assert_eq!(watched(&world).await?.seen.waiting, Some(0));
    world.pass(HOUR * 2);
    assert_eq!(watched(&world).await?.seen.waiting, Some(1));
    assert_eq!(kinds(&world).await?, [""; 0]);
    world.pass(HOUR * 23);
    watched(&world).await?;
    assert_eq!(kinds(&world).await?, ["results_waiting"]);
    world.pass(HOUR * 24 * 27);
    watched(&world).await?;
    assert_eq!(kinds(&world).await?, ["results_waiting"]);
    world.pass(HOUR * 18);
    watched(&world).await?;
    assert_eq!(
        kinds(&world).await?,
        ["results_waiting", "results_near_expiry"]
    );
    assert_eq!(world.open_jobs().await?, 2, "and not sent again");
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_gone_upstream_is_an_incident() -> Result<()> {
    let mut world = World::new().await?;
    started(&mut world).await?;
    world.pass(Duration::from_mins(2));
    world.standin.settle_due().await;
    world.delete_listed().await?;
    world.pass(HOUR * 49);
    world.worker.tick(Loop::Poll).await?;
    assert_eq!(kinds(&world).await?, ["results_lost"]);
    Ok(())
}

#[tokio::test]
async fn a_send_that_stays_uncertain_is_an_incident_after_a_day() -> Result<()> {
    let mut world = World::new().await?;
    let mut faults = dropped(1);
    faults.rules.push(always(
        Call::List,
        Fault::Status(Status {
            status: 500,
            ..Status::default()
        }),
    ));
    world.standin.set_faults(faults);
    world.submit(&["a"]).await?;
    world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        world.worker.tick(which).await?;
    }
    world.pass(HOUR * 24);
    watched(&world).await?;
    assert_eq!(kinds(&world).await?, [""; 0]);
    world.pass(HOUR * 2);
    for _ in 0..2 {
        watched(&world).await?;
    }
    assert_eq!(kinds(&world).await?, ["send_uncertain"]);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_cannot_be_sent_is_an_incident_after_an_hour_of_tries() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(refusal(529, 1_000));
    world.submit(&["a"]).await?;
    for hour in 0..3 {
        for _ in 0..30 {
            world.pass(Duration::from_mins(2));
            for which in [Loop::Form, Loop::Submit, Loop::Tend] {
                let _ = world.worker.tick(which).await;
            }
        }
        if hour == 0 {
            assert_eq!(kinds(&world).await?, [""; 0]);
        }
    }
    assert_eq!(kinds(&world).await?, ["batch_not_sent"]);
    Ok(())
}

#[tokio::test]
async fn the_operator_lists_and_resolves_them_and_the_doctor_warns() -> Result<()> {
    let world = World::new().await?;
    let folder = tempfile::tempdir()?;
    let at = time::macros::datetime!(2026-11-22 12:00 UTC);
    for upstream_batch_id in ["msgbatch_1", "msgbatch_1", "msgbatch_2"] {
        let note = incident::Note {
            kind: Kind::LateTwin,
            at,
            upstream: None,
            tenant: None,
            batch: None,
            upstream_batch_id: Some(upstream_batch_id),
            detail: "its jobs went on without it",
        };
        incident::note(&world.system, &note).await?;
    }
    world
        .meddle(
            "UPDATE offpeak.incident
                SET id = (CASE upstream_batch_id WHEN 'msgbatch_1' THEN '0198a000-0000-7000-8000-000000000001'
                          ELSE '0198a000-0000-7000-8000-000000000002' END)::uuid,
                    absorbed_pico = 123456000000",
        )
        .await?;
    let run = async |arguments: &'static [&'static str]| -> Result<String> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", database_url(&world)?)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &world.standin_url)
            .args(arguments)
            .output()
            .await?;
        Ok(shown(&ran, &world.standin_url))
    };
    insta::assert_snapshot!(run(&["incidents"]).await?, @r"
    exit 0
    --- stdout
    INCIDENT                        KIND       SINCE (UTC)          MESSAGE BATCH  ABSORBED  DETAIL
    inc_01k2g00000e008000000000001  late_twin  0000-00-00 00:00:00  msgbatch_1      $0.1235  its jobs went on without it
    inc_01k2g00000e008000000000002  late_twin  0000-00-00 00:00:00  msgbatch_2      $0.1235  its jobs went on without it
    --- stderr
    late_twin: A create was believed to have stored nothing, and Anthropic stored it after all: its jobs were sent again, so this batch was paid besides. What it billed is absorbed by the deployment, no tenant pays it. If it happens again, raise settle_time in [reliability].
    ");
    let seen = run(&["doctor"]).await?;
    assert!(seen.starts_with("exit 0"), "{seen}");
    assert!(
        seen.contains("warn  incidents              open: 2 late_twin; see `offpeak incidents`"),
        "{seen}"
    );
    let open = incident::list(&world.system, false, 10).await?;
    let id: &'static str = open[0].id.to_string().leak();
    let resolve: &'static [&'static str] = vec!["incidents", "--resolve", id].leak();
    insta::assert_snapshot!(run(resolve).await?, @r"
    exit 0
    --- stdout
    inc_01k2g00000e008000000000001 is resolved
    ");
    insta::assert_snapshot!(run(resolve).await?, @r"
    exit 2
    --- stderr
    error: there is no open incident inc_01k2g00000e008000000000001
    ");
    let json: serde_json::Value = {
        let text = run(&["--json", "incidents", "--all"]).await?;
        let (_, json) = text.split_once("--- stdout\n").unwrap_or_default();
        serde_json::from_str(json)?
    };
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!(json[0]["absorbed"], "0.123456");
    assert_eq!(json[1]["meaning"], Kind::LateTwin.text());
    Ok(())
}

#[tokio::test]
async fn no_tenant_can_reach_what_is_the_operator_s() -> Result<()> {
    let world = World::new().await?;
    let reachable = "SELECT t FROM unnest(ARRAY['incident', 'twin', 'absorbed', 'sweep',
                                             'comparison', 'hold']) AS t
                      WHERE has_any_column_privilege('offpeak_api', 'offpeak.' || t,
                                                     'SELECT, INSERT, UPDATE')";
    assert_eq!(world.texts(reachable).await?, [""; 0]);
    Ok(())
}

#[test]
fn every_kind_is_in_the_documentation() -> Result<()> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    let page = std::fs::read_to_string(page)?;
    for kind in Kind::ALL {
        assert!(page.contains(&format!("`{kind}`")), "{kind}");
    }
    Ok(())
}
