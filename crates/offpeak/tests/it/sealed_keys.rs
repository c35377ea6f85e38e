//! Data keys of content: one seals nothing before it is committed, and nothing once its row
//! is gone. Otherwise what it sealed would be lost with the process that had it in memory.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{JobId, TenantId};
use offpeak_store::{Error, Sealer, System, Tenants, batch, data_key, erasure};
use offpeak_testkit::world::{World, params};
use offpeak_worker::{Loop, Options};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::api::{Api, raw_job};
use crate::own_upstream::second_tenant;

const KEYS: &str = "SELECT count(*) FROM offpeak.data_key";

/// How a process that has just started reaches the database: it remembers nothing.
fn started(world: &World, seed: u64) -> offpeak_store::Options {
    let mut options = world.options(world.connect.clone());
    let rng = StdRng::seed_from_u64(seed);
    options.sealer = Sealer::new(world.vault.clone(), true, rng);
    options
}

async fn opens(world: &World, tenant: TenantId, job: JobId, text: &str) -> Result<()> {
    let system = System::new(&started(world, 99));
    let read = batch::params(&system, tenant, &[job]).await?;
    anyhow::ensure!(read == [(job, params(text))], "{read:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_not_committed_seals_nothing() -> Result<()> {
    let mut world = World::new().await?;
    let other = second_tenant(&world).await?;
    world.tenants = Tenants::new(&started(&world, 21));
    // The commit that makes it fails.
    world
        .hold(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON offpeak.data_key
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse();",
        )
        .await?
        .commit()
        .await?;
    assert!(world.submit_as(other, None, &["lost"]).await.is_err());
    assert_eq!(world.number(KEYS).await?, 1, "of the first tenant alone");
    world
        .meddle("DROP TRIGGER refuse ON offpeak.data_key")
        .await?;
    // One that is made in a transaction that comes to nothing.
    let system = System::new(&started(&world, 22));
    let mut tx = system.begin_for(other).await?;
    data_key::own(&mut tx, &world.vault, StdRng::seed_from_u64(23)).await?;
    drop(tx);
    let job = world.submit_as(other, None, &["kept"]).await?[0];
    assert_eq!(world.number(KEYS).await?, 2);
    opens(&world, other, job, "kept").await
}

#[tokio::test]
async fn whoever_makes_it_at_once_has_the_same_one() -> Result<()> {
    let mut world = World::new().await?;
    let other = second_tenant(&world).await?;
    let processes: Vec<Tenants> = (0..4)
        .map(|seed| Tenants::new(&started(&world, 30 + seed)))
        .collect();
    let begun = processes.iter().map(|process| process.begin(other));
    for tx in futures_util::future::join_all(begun).await {
        drop(tx?);
    }
    for process in processes {
        world.tenants = process;
        let job = world.submit_as(other, None, &["mine"]).await?[0];
        opens(&world, other, job, "mine").await?;
    }
    assert_eq!(world.number(KEYS).await?, 2);
    Ok(())
}

/// A standby took over that had not heard of the key yet.
#[tokio::test]
async fn a_key_whose_row_is_lost_seals_nothing_any_more() -> Result<()> {
    let mut api = Api::new().await?;
    let first = api.post("/v1/jobs", raw_job("before")).await?;
    assert_eq!(first.status, 202);
    api.world.run_out().await?;
    api.world.meddle("DELETE FROM offpeak.data_key").await?;
    // One statement from its own process, which remembers the key: not stored, and said so.
    let refused = api.post("/v1/jobs", raw_job("after")).await?;
    assert_eq!(refused.status, 503, "{refused:?}");
    let stored = api.post("/v1/jobs", raw_job("after")).await?;
    assert_eq!(stored.status, 202, "{stored:?}");
    let id: JobId = stored.at("/id").parse()?;
    opens(&api.world, api.world.tenant, id, "after").await?;

    // The worker, in the middle of a batch.
    api.world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        api.world.worker.tick(which).await?;
    }
    api.world.meddle("DELETE FROM offpeak.data_key").await?;
    let refused = api.world.run_out().await;
    assert!(refused.is_err(), "it settled by a key that is lost");
    api.world.run_out().await?;
    let system = System::new(&started(&api.world, 41));
    let mut tx = system.begin_for(api.world.tenant).await?;
    let ended = offpeak_store::result::get(&mut tx, id).await?;
    assert!(ended.is_some_and(|ended| ended.line.is_some()));
    // What the lost one had sealed is an error, and no empty text.
    drop(tx);
    let request = api
        .get(&format!("/v1/jobs/{}/request", first.at("/id")))
        .await?;
    assert_eq!(request.status, 500, "{request:?}");
    Ok(())
}

#[tokio::test]
async fn none_is_made_for_a_tenant_that_is_being_erased() -> Result<()> {
    let mut world = World::plain(Options::default()).await?;
    world
        .submit(&["from before there were master keys"])
        .await?;
    world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        world.worker.tick(which).await?;
    }
    let mut tx = world.system.begin().await?;
    erasure::begin_here(&mut tx, world.tenant).await?;
    tx.commit().await?;
    let options = started(&world, 51);
    world.tenants = Tenants::new(&options);
    let refused = world.tenants.begin(world.tenant).await;
    assert!(matches!(refused, Err(Error::Erased)));
    world.worker = world.worker_on(System::new(&options), Options::default())?;
    for _ in 0..40 {
        world.worker.settle_down().await?;
        assert_eq!(world.number(KEYS).await?, 0);
        world.pass(Duration::from_mins(1));
    }
    let state = world.texts("SELECT state FROM offpeak.erasure").await?;
    assert_eq!(state, ["done"]);
    Ok(())
}
