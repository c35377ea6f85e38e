//! Message batches that were stored although everybody believed otherwise: they
//! are found, stopped where that is safe, and paid by the deployment alone.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{BatchId, CustomId, Minter};
use offpeak_standin::{
    Call, CreateStatus, Fault, Faults, LineFault, Plan, ResultsCut, Rule, Status, Times,
};
use offpeak_store::{erasure, incident};
use offpeak_testkit::world::{World, client, params};
use offpeak_worker::{Loop, Options};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books;
use crate::faults::{dropped, refusal};
use crate::rescue::{send, states};

const TEXTS: [&str; 3] = ["One.", "Two.", "Three."];
/// How long lists leave young batches out.
const HIDDEN: Duration = Duration::from_mins(45);

fn ours_alone() -> Options {
    Options {
        dedicated_workspace: true,
        sweep_every: Duration::from_mins(10),
        ..Options::default()
    }
}

/// The next create is stored and gets no answer, and no list shows it for long.
fn hidden(plan: Option<Plan>) -> Faults {
    let lag = Fault::ListLag {
        ms: u64::try_from(HIDDEN.as_millis()).unwrap_or(u64::MAX),
    };
    let mut rules = vec![Rule {
        times: Times::ALWAYS,
        ..Rule::new([Call::List], lag)
    }];
    rules.extend(plan.map(|plan| Rule::new([Call::Create], Fault::Batch(plan))));
    Faults {
        rules,
        ..dropped(1)
    }
}

/// Sends the texts, and lets time pass until the send is refuted, no further.
async fn refuted(world: &mut World, faults: Faults) -> Result<()> {
    send(world, &TEXTS, faults).await?;
    for _ in 0..30 {
        if states(world).await? == ["refuted"] {
            return Ok(());
        }
        world.pass(Duration::from_mins(1));
        world.worker.tick(Loop::Rescue).await?;
    }
    anyhow::bail!("never refuted: {:?}", states(world).await?)
}

/// Lets hours pass; a tick may fail, that is what faults are for.
async fn wait(world: &World, hours: u64) {
    for _ in 0..hours * 4 {
        world.pass(Duration::from_mins(15));
        let _ = world.worker.settle_down().await;
    }
}

/// Each job has one result, and what was paid besides is noted once.
async fn one_twin(world: &World, lines: i64) -> Result<()> {
    let completed = "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'";
    assert_eq!(world.number(completed).await?, 3);
    assert_eq!(
        world.texts("SELECT kind FROM offpeak.incident").await?,
        ["late_twin"]
    );
    let known = "SELECT count(*) FROM offpeak.incident i
                   JOIN offpeak.batch b ON b.id = i.batch_id AND b.tenant_id = i.subject_tenant
                  WHERE i.upstream_batch_id <> coalesce(b.upstream_batch_id, '')";
    assert_eq!(
        world.number(known).await?,
        1,
        "it says whose jobs those are"
    );
    let unread = "SELECT count(*) FROM offpeak.twin WHERE read_at IS NULL";
    assert_eq!(world.number(unread).await?, 0);
    books::are_right_beside(world, lines).await
}

#[tokio::test]
async fn a_twin_is_deleted_at_anthropic_where_its_tenant_asks_for_that_or_is_erased() -> Result<()>
{
    for erased in [false, true] {
        let mut world = World::with(ours_alone()).await?;
        if !erased {
            let asks = "INSERT INTO offpeak.retention (tenant_id, delete_upstream, changed_at)
                        SELECT id, true, now() FROM offpeak.tenant WHERE name = 'acme'";
            world.meddle(asks).await?;
        }
        refuted(&mut world, hidden(None)).await?;
        world.run_out().await?;
        let twin = "SELECT upstream_batch_id FROM offpeak.twin WHERE read_at IS NOT NULL";
        for _ in 0..12 {
            world.pass(Duration::from_mins(10));
            world.worker.tick(Loop::Sweep).await?;
        }
        let twin = world.texts(twin).await?;
        assert_eq!(twin.len(), 1);
        assert!(world.listed().await?.contains(&twin[0]));
        let refuse = Rule {
            times: Times::Count(1),
            ..Rule::new(
                [Call::Delete],
                Fault::Status(Status {
                    status: 500,
                    ..Status::default()
                }),
            )
        };
        if erased {
            let mut tx = world.system.begin().await?;
            erasure::begin_here(&mut tx, world.tenant).await?;
            tx.commit().await?;
        }
        // What fails is tried again in an hour, and until then the erasure is not done.
        world.standin.set_faults(Faults {
            rules: vec![refuse],
            ..Faults::default()
        });
        world.worker.settle_down().await?;
        assert!(world.listed().await?.contains(&twin[0]));
        if erased {
            for _ in 0..30 {
                world.pass(Duration::from_mins(1));
                world.worker.settle_down().await?;
            }
            let state = world.texts("SELECT state FROM offpeak.erasure").await?;
            assert_eq!(state, ["deleting"]);
        }
        for _ in 0..4 {
            world.pass(Duration::from_mins(20));
            world.worker.settle_down().await?;
        }
        assert!(!world.listed().await?.contains(&twin[0]));
        if erased {
            let state = world.texts("SELECT state FROM offpeak.erasure").await?;
            assert_eq!(state, ["done"]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_twin_that_still_runs_is_canceled_and_absorbed() -> Result<()> {
    let mut world = World::with(ours_alone()).await?;
    let plan = Plan {
        cancel_completes: true,
        ..Plan::default()
    };
    let faults = Faults {
        hold: Some(1),
        ..hidden(Some(plan))
    };
    refuted(&mut world, faults).await?;
    world.run_out().await?;
    wait(&world, 2).await;
    let asked = "SELECT count(*) FROM offpeak.twin WHERE cancel_asked_at IS NOT NULL";
    assert_eq!(world.number(asked).await?, 1);
    assert_eq!(world.standin.journal()?.len(), 6);
    one_twin(&world, 3).await?;

    // Dealt with is dealt with, however often everything is listed after it.
    let open = incident::list(&world.system, false, 10).await?;
    assert!(open[0].absorbed.0 > 0, "{open:?}");
    assert!(incident::resolve(&world.system, open[0].id).await?);
    assert!(!incident::resolve(&world.system, open[0].id).await?);
    wait(&world, 2).await;
    assert_eq!(incident::open_count(&world.system).await?, []);
    one_twin(&world, 3).await
}

#[tokio::test]
async fn a_twin_that_is_canceled_in_time_costs_nothing() -> Result<()> {
    let mut world = World::with(ours_alone()).await?;
    let faults = Faults {
        hold: Some(1),
        ..hidden(None)
    };
    refuted(&mut world, faults).await?;
    world.run_out().await?;
    wait(&world, 2).await;
    assert_eq!(world.standin.journal()?.len(), 3);
    one_twin(&world, 0).await
}

#[tokio::test]
async fn a_twin_is_read_to_its_end_whatever_breaks_off() -> Result<()> {
    let options = Options {
        chunk_lines: 1,
        ..Options::default()
    };
    let mut world = World::with(options).await?;
    refuted(&mut world, hidden(None)).await?;
    world.run_out().await?;
    // Its first lines are read many times.
    world.standin.set_faults(Faults {
        results_cut: Some(ResultsCut {
            after_lines: 2,
            times: 6,
        }),
        ..Faults::default()
    });
    wait(&world, 6).await;
    let asked = "SELECT count(*) FROM offpeak.twin WHERE cancel_asked_at IS NOT NULL";
    assert_eq!(world.number(asked).await?, 0, "the workspace may be shared");
    one_twin(&world, 3).await
}

#[tokio::test]
async fn a_twin_whose_download_is_short_is_read_again() -> Result<()> {
    let mut world = World::new().await?;
    refuted(&mut world, hidden(None)).await?;
    world.run_out().await?;
    let missing: LineFault = serde_json::from_value(serde_json::json!({ "what": "missing" }))?;
    world.standin.clear_faults();
    world.standin.set_faults(Faults {
        rules: vec![Rule {
            // Looked into twice to see whose it is, then read.
            times: Times::Count(3),
            ..Rule::new([Call::Results], Fault::Lines(missing))
        }],
        ..Faults::default()
    });
    wait(&world, 6).await;
    let short = "SELECT short_reads::bigint FROM offpeak.twin";
    assert_eq!(world.number(short).await?, 1);
    one_twin(&world, 3).await
}

#[tokio::test]
async fn a_twin_that_shows_up_before_its_jobs_are_sent_again_is_paid_by_nobody_else() -> Result<()>
{
    for freed in [false, true] {
        let options = Options {
            sweep_every: Duration::from_secs(1),
            ..Options::default()
        };
        let mut world = World::with(options).await?;
        refuted(&mut world, hidden(None)).await?;
        if freed {
            world.worker.tick(Loop::Rescue).await?;
        }
        let ready = world.number("SELECT count(*) FROM offpeak.ready").await?;
        assert_eq!(ready, if freed { 3 } else { 0 });
        world.standin.clear_faults();
        world.worker.tick(Loop::Sweep).await?;
        let absorbed = world.number("SELECT count(*) FROM offpeak.absorbed");
        assert_eq!(absorbed.await?, 3, "read at once");
        world.run_out().await?;
        wait(&world, 1).await;
        one_twin(&world, 3).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_stored_the_batch_all_the_same_is_found() -> Result<()> {
    for (status, ends) in [
        (529, vec!["ingested"]),
        (400, vec!["rejected", "ingested", "ingested", "ingested"]),
    ] {
        let mut world = World::new().await?;
        world.standin.set_faults(Faults {
            create_status: Some(CreateStatus {
                stored: true,
                ..refusal(status, 1).create_status.context("a status")?
            }),
            ..Faults::default()
        });
        world.submit(&TEXTS).await?;
        world.run_out().await?;
        wait(&world, 2).await;
        assert_eq!(states(&world).await?, ends);
        assert_eq!(world.standin.journal()?.len(), 6);
        one_twin(&world, 3).await?;
    }
    Ok(())
}

/// Message batches with ids of our form, each of a batch that no row knows.
async fn orphans(world: &World, seeds: std::ops::Range<u64>) -> Result<()> {
    let now = world.system.now().await?;
    for seed in seeds {
        let mut minter = Minter::new(now, StdRng::seed_from_u64(seed));
        let batch: BatchId = minter.mint();
        let ids = (0..3).map(|_| {
            let job = minter.mint();
            CustomId { job, batch }.to_string()
        });
        create(world, ids).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_in_our_form_that_no_row_knows_is_absorbed_and_named() -> Result<()> {
    let mut world = World::with(ours_alone()).await?;
    refuted(&mut world, refusal(502, 1)).await?;
    orphans(&world, 5..6).await?;
    world.run_out().await?;
    wait(&world, 2).await;
    assert_eq!(
        world.texts("SELECT kind FROM offpeak.incident").await?,
        ["upstream_unknown_batch"]
    );
    books::are_right_beside(&world, 3).await
}

#[tokio::test]
async fn in_a_shared_workspace_batches_in_our_form_are_said_once_and_not_booked() -> Result<()> {
    let mut world = World::new().await?;
    refuted(&mut world, refusal(502, 1)).await?;
    orphans(&world, 5..8).await?;
    world.run_out().await?;
    wait(&world, 2).await;
    let foreign = "SELECT count(*) FROM offpeak.foreign_batch";
    assert_eq!(world.number(foreign).await?, 3);
    let open = incident::list(&world.system, false, 10).await?;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].kind, "upstream_unknown_batch");
    let absorbed = "SELECT count(*) FROM offpeak.absorbed";
    assert_eq!(world.number(absorbed).await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_was_only_recognised_gives_way_to_what_names_our_jobs() -> Result<()> {
    let mut world = World::new().await?;
    // One send keeps everybody listing; the other one's batch stands beside one
    // of somebody else's with as many items.
    send(&mut world, &["a", "b"], refusal(502, 1)).await?;
    world.standin.set_faults(Faults {
        rules: vec![Rule::new(
            [Call::Create],
            Fault::Foreign {
                batches: 1,
                items: None,
            },
        )],
        ..dropped(1)
    });
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(states(&world).await?, ["uncertain", "uncertain"]);
    world.pass(Duration::from_mins(2));
    world.standin.settle_due().await;
    let foreign = world.standin.journal()?.into_iter().find(|item| {
        item.custom_id
            .as_deref()
            .is_some_and(|id| id.starts_with("foreign-"))
    });
    let foreign = foreign.and_then(|item| item.batch_id).context("one")?;
    // The real one was not listed yet when the other one was adopted.
    world.stored(1, &foreign, false).await?;
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        world
            .texts("SELECT upstream_batch_id FROM offpeak.batch WHERE verified AND state = 'in_progress'")
            .await?
            .len(),
        1
    );
    world.run_out().await?;
    wait(&world, 2).await;
    let ours = world.standin.journal()?;
    let ours = ours.iter().filter(|item| {
        item.custom_id
            .as_deref()
            .is_some_and(|id| id.starts_with("o1_"))
    });
    assert_eq!(ours.count(), 5, "each job is paid once");
    assert_eq!(world.number("SELECT count(*) FROM offpeak.twin").await?, 0);
    Ok(())
}

#[tokio::test]
async fn somebody_else_s_batches_are_left_alone() -> Result<()> {
    let mut world = World::with(Options {
        dedicated_workspace: false,
        ..ours_alone()
    })
    .await?;
    refuted(&mut world, refusal(502, 1)).await?;
    world.run_out().await?;
    world.standin.set_faults(Faults {
        hold: Some(1),
        ..Faults::default()
    });
    let theirs = create(&world, (0..3).map(|n| format!("theirs-{n}"))).await?;
    // As if it had been made while the refuted create was under way.
    world
        .meddle(
            "UPDATE offpeak.batch b
                SET sent_at = (SELECT max(created_at) FROM offpeak.batch),
                    send_deadline = (SELECT max(created_at) + interval '1 hour' FROM offpeak.batch)
              WHERE state = 'refuted'",
        )
        .await?;
    wait(&world, 2).await;
    let batch = client(&world.standin_url)?.batch(&theirs).await?;
    assert!(batch.cancel_initiated_at.is_none(), "{batch:?}");
    world.standin.release()?;
    wait(&world, 2).await;
    assert_eq!(
        world
            .texts("SELECT upstream_batch_id FROM offpeak.foreign_batch")
            .await?,
        [theirs]
    );
    assert_eq!(incident::open_count(&world.system).await?, []);
    Ok(())
}

/// A message batch with these ids that no worker of ours has made.
pub(crate) async fn create(world: &World, ids: impl Iterator<Item = String>) -> Result<String> {
    let requests: Vec<serde_json::Value> = ids
        .map(|id| {
            let params: serde_json::Value = serde_json::from_slice(&params("Mine."))?;
            Ok(serde_json::json!({ "custom_id": id, "params": params }))
        })
        .collect::<Result<_>>()?;
    let body = serde_json::to_vec(&serde_json::json!({ "requests": requests }))?;
    let length = u64::try_from(body.len())?;
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(body.into())]);
    let created = client(&world.standin_url)?
        .create_batch(length, body, Duration::from_secs(10))
        .await?;
    Ok(created.value.id)
}
