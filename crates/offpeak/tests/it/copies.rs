//! Message batches are deleted at Anthropic when their tenant wants it, once every line
//! is here, and never anybody else's.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::{Call, Fault, Faults, Rule, Status, Times};
use offpeak_store::retention::{self, Retention};
use offpeak_testkit::world::{World, client, params};
use offpeak_worker::Loop;

const HOUR: Duration = Duration::from_hours(1);

async fn want(world: &World, delete_upstream: bool) -> Result<()> {
    let mut tx = world.tenants.begin(world.tenant).await?;
    let own = Retention {
        delete_upstream,
        ..Retention::default()
    };
    retention::set(&mut tx, own).await?;
    Ok(tx.commit().await?)
}

/// One tick. Returns how many batches it deleted at Anthropic.
async fn purge(world: &World) -> Result<i64> {
    const DELETED: &str =
        "SELECT count(*) FROM offpeak.batch WHERE upstream_deleted_at IS NOT NULL";
    let before = world.number(DELETED).await?;
    world.worker.tick(Loop::Purge).await?;
    Ok(world.number(DELETED).await? - before)
}

/// Somebody else's batch in the same workspace, which ends.
async fn foreign(world: &World) -> Result<String> {
    let body = format!(
        r#"{{"requests":[{{"custom_id":"mine","params":{}}}]}}"#,
        String::from_utf8(params("not ours"))?
    );
    let length = body.len() as u64;
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(body.into())]);
    let made = client(&world.standin_url)?
        .create_batch(length, body, HOUR)
        .await?;
    Ok(made.value.id)
}

fn refuse_deletes(times: Times) -> Faults {
    let status = Status {
        status: 500,
        ..Status::default()
    };
    Faults {
        rules: vec![Rule {
            times,
            ..Rule::new(vec![Call::Delete], Fault::Status(status))
        }],
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_batch_is_deleted_three_days_after_its_last_line_if_its_tenant_wants() -> Result<()> {
    let mut world = World::new().await?;
    let foreign = foreign(&world).await?;
    world.submit(&["one", "two"]).await?;
    world.run_out().await?;
    assert_eq!(world.listed().await?.len(), 2);
    world.pass(HOUR * 100);
    world.worker.settle_down().await?;
    assert_eq!(world.listed().await?.len(), 2, "nobody wanted it");

    want(&world, true).await?;
    world.submit(&["three"]).await?;
    world.run_out().await?;
    purge(&world).await?;
    assert_eq!(world.listed().await?.len(), 2, "the young one stays");
    world.pass(HOUR * 73);
    purge(&world).await?;
    assert_eq!(world.listed().await?, [foreign]);
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.batch WHERE upstream_deleted_at IS NOT NULL")
            .await?,
        2
    );
    assert_eq!(purge(&world).await?, 0);
    world.check_invariants().await
}

#[tokio::test]
async fn a_delete_is_repeated_until_it_succeeded_and_becomes_an_incident() -> Result<()> {
    let mut world = World::new().await?;
    want(&world, true).await?;
    world.submit(&["one"]).await?;
    world.run_out().await?;
    world.standin.set_faults(refuse_deletes(Times::ALWAYS));
    world.pass(HOUR * 73);
    for hour in 0..30 {
        assert_eq!(purge(&world).await?, 0, "hour {hour}");
        world.pass(HOUR);
    }
    let kinds = "SELECT kind FROM offpeak.incident";
    assert_eq!(world.texts(kinds).await?, ["copy_kept"]);
    assert_eq!(world.listed().await?.len(), 1);
    world.standin.clear_faults();
    purge(&world).await?;
    assert!(world.listed().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_that_somebody_else_deleted_is_believed_gone_after_three_answers() -> Result<()> {
    let mut world = World::new().await?;
    want(&world, true).await?;
    world.submit(&["one"]).await?;
    world.run_out().await?;
    world.delete_listed().await?;
    world.pass(HOUR * 73);
    for done in [0, 0, 1, 0] {
        assert_eq!(purge(&world).await?, done);
        world.pass(HOUR);
    }
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.incident")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn what_was_not_read_whole_stays_there() -> Result<()> {
    let mut world = World::new().await?;
    want(&world, true).await?;
    world.submit(&["one", "two"]).await?;
    world.run_out().await?;
    for change in [
        "UPDATE offpeak.batch SET verified = false",
        "UPDATE offpeak.batch SET verified = true, quarantined = 1",
    ] {
        world.meddle(change).await?;
        world.pass(HOUR * 73);
        assert_eq!(purge(&world).await?, 0);
        assert_eq!(world.listed().await?.len(), 1);
    }
    world
        .meddle("UPDATE offpeak.batch SET quarantined = 0")
        .await?;
    assert_eq!(purge(&world).await?, 1);
    Ok(())
}
