//! A tenant's own Anthropic key as its upstream: checked before it is kept, for its own
//! jobs alone, replaced while work goes on, removed with its consequences said.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use offpeak_anthropic::{Client, Config};
use offpeak_domain::id::{CustomId, Minter, TenantId};
use offpeak_standin::{Call, Fault, Faults, Rule, Status, Times};
use offpeak_testkit::world::{SECOND_KEY, World};
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books;

/// Another key; the stand-in sees a third workspace in it.
pub(crate) const THIRD_KEY: &str = "sk-ant-third-key-0123";

const KEYS: &str = "SELECT version || ' ' || state || ' ' || last_four || ' '
                           || (sealed IS NOT NULL)
                      FROM offpeak.upstream_key ORDER BY tenant_id, version";
/// Where each tenant's batches were sent: `own` or `shared`.
pub(crate) const WAYS: &str =
    "SELECT DISTINCT t.name || ' ' || CASE b.upstream_id WHEN b.tenant_id THEN 'own'
                           ELSE 'shared' END
                      FROM offpeak.batch b JOIN offpeak.tenant t ON t.id = b.tenant_id ORDER BY 1";
const COMPLETED: &str = "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'";
const SAID: &str = "SELECT coalesce(said, '-') FROM offpeak.upstream_key ORDER BY version";

pub(crate) async fn second_tenant(world: &World) -> Result<TenantId> {
    let mut tx = world.system.begin().await?;
    let other: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(5)).mint();
    offpeak_store::tenant::create(&mut tx, other, "globex").await?;
    tx.commit().await?;
    Ok(other)
}

/// Sets a key and lets a worker take it in.
pub(crate) async fn enroll(world: &World, tenant: TenantId, key: &str) -> Result<()> {
    world.set_own_key(tenant, key).await?;
    while world.worker.tick(Loop::Enroll).await?.done > 0 {}
    Ok(())
}

/// The workspaces in which something was billed.
fn workspaces(world: &World) -> Result<BTreeSet<String>> {
    let journal = world.standin.journal()?;
    Ok(journal
        .into_iter()
        .filter_map(|item| item.workspace_id)
        .collect())
}

/// Another key of the same workspace, as the stand-in tells them apart.
fn same_workspace(key: &str) -> String {
    format!("{key}#two")
}

/// From now on every call with this key is answered so.
fn always(status: u16, key: &str) -> Faults {
    let fault = Fault::Status(Status {
        status,
        ..Status::default()
    });
    Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            key: Some(key.to_owned()),
            ..Rule::new([Call::Any], fault)
        }],
        ..Faults::default()
    }
}

/// Runs a statement as the worker's role.
macro_rules! as_worker {
    ($sql:literal) => {
        concat!(
            "SET LOCAL ROLE offpeak_worker; SET LOCAL search_path = offpeak; ",
            $sql
        )
    };
}

/// The same as the API's role, for the tenant of that name.
macro_rules! as_acme {
    ($sql:literal) => {
        concat!(
            "SELECT set_config('app.tenant',
                               (SELECT id::text FROM offpeak.tenant WHERE name = 'acme'), true);
             SET LOCAL ROLE offpeak_api; SET LOCAL search_path = offpeak; ",
            $sql
        )
    };
}

#[tokio::test]
async fn a_good_key_is_taken_in_and_carries_its_tenants_jobs_alone() -> Result<()> {
    let mut world = World::new().await?;
    let other = second_tenant(&world).await?;
    // Some wait already: they go by the key as well.
    world.submit_as(other, None, &["theirs, before"]).await?;
    enroll(&world, other, SECOND_KEY).await?;
    assert_eq!(world.texts(KEYS).await?, ["1 current -key true"]);
    world.submit_as(other, None, &["theirs, after"]).await?;
    world.submit(&["ours"]).await?;
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 3);
    assert_eq!(world.texts(WAYS).await?, ["acme shared", "globex own"]);
    // What Anthropic billed says the same: each job in the workspace of its tenant's key.
    let shared = Client::new(Config::new(
        &world.standin_url,
        "sk-ant-standin".to_owned().into(),
    ))?;
    let shared = shared.batches(1, None, None).await?.workspace;
    let of_other = world
        .texts(
            "SELECT j.id::text FROM offpeak.job j JOIN offpeak.tenant t ON t.id = j.tenant_id
              WHERE t.name = 'globex'",
        )
        .await?;
    for item in world.standin.journal()? {
        let id: CustomId = item.custom_id.as_deref().unwrap_or_default().parse()?;
        let own = of_other.contains(&id.job.as_uuid().to_string());
        assert_eq!(item.workspace_id != shared, own, "{item:?}");
    }
    assert_eq!(workspaces(&world)?.len(), 2);
    // The deployment's bill has what went by its own key, and that alone.
    let mut booked = 0;
    for day in [
        world.time().date(),
        world
            .time()
            .date()
            .previous_day()
            .unwrap_or(world.time().date()),
    ] {
        for one in offpeak_store::booked::on(&world.system, day).await? {
            booked += one.cost.0;
        }
    }
    let ours = "SELECT sum(cost_pico)::bigint FROM offpeak.ledger l JOIN offpeak.tenant t
                    ON t.id = l.tenant_id WHERE t.name = 'acme'";
    assert_eq!(booked, i128::from(world.number(ours).await?));
    // Limits and fair shares are each upstream's own.
    let limits = "SELECT creates_per_minute || ' ' || max_queued_items
                    FROM offpeak.upstream ORDER BY id";
    assert_eq!(world.texts(limits).await?, ["1000 200000", "50 100000"]);
    books::are_right(&world).await?;
    world.check_invariants().await
}

#[tokio::test]
async fn a_key_that_anthropic_does_not_take_is_not_kept() -> Result<()> {
    for (status, word) in [(401, "401"), (403, "403")] {
        let mut world = World::new().await?;
        world.standin.set_faults(always(status, SECOND_KEY));
        enroll(&world, world.tenant, SECOND_KEY).await?;
        assert_eq!(world.texts(KEYS).await?, ["1 refused -key false"]);
        let said = world.texts(SAID).await?.concat();
        assert!(said.contains(word) && said.contains("Anthropic"), "{said}");
        assert!(!said.contains(SECOND_KEY), "{said}");
        world.submit(&["ours"]).await?;
        world.run_out().await?;
        assert_eq!(world.texts(WAYS).await?, ["acme shared"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_check_that_nobody_can_answer_is_made_again() -> Result<()> {
    let world = World::new().await?;
    world.standin.set_faults(always(529, SECOND_KEY));
    enroll(&world, world.tenant, SECOND_KEY).await?;
    assert_eq!(world.texts(KEYS).await?, ["1 checking -key true"]);
    assert!(world.texts(SAID).await?.concat().contains("529"));
    world.standin.clear_faults();
    world.worker.tick(Loop::Enroll).await?;
    assert_eq!(
        world.texts(KEYS).await?,
        ["1 checking -key true"],
        "not at once"
    );
    world.pass(Duration::from_mins(1));
    world.worker.tick(Loop::Enroll).await?;
    assert_eq!(world.texts(KEYS).await?, ["1 current -key true"]);
    assert_eq!(world.texts(SAID).await?, ["-"]);
    Ok(())
}

/// No statement, whatever is wrong with it, puts one tenant's jobs before another's key.
#[tokio::test]
async fn the_database_refuses_another_tenants_upstream() -> Result<()> {
    let mut world = World::new().await?;
    let other = second_tenant(&world).await?;
    enroll(&world, other, SECOND_KEY).await?;
    world.submit(&["ours"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    for sql in [
        as_worker!("UPDATE bucket SET upstream_id = (SELECT max(id::text)::uuid FROM upstream)"),
        as_worker!("UPDATE batch SET upstream_id = (SELECT max(id::text)::uuid FROM upstream)"),
        as_worker!(
            "INSERT INTO call (tenant_id, id, upstream_id, job_id, model, attempt, state, sender,
                               sent_at, send_deadline)
             SELECT b.tenant_id, b.id, u.id, b.id, 'm', 1, 'sending', b.id, now(), now()
               FROM batch b, upstream u WHERE u.id = (SELECT max(id::text)::uuid FROM upstream)"
        ),
    ] {
        let refused = world.hold(sql).await.expect_err(sql).to_string();
        assert!(refused.contains("goes_own_way"), "{sql}: {refused}");
    }
    // A new bucket goes where its tenant's jobs go, whatever the insert says.
    world
        .hold(as_worker!(
            "INSERT INTO bucket (tenant_id, id, upstream_id, model)
             SELECT t.id, gen_random_uuid(), u.id, 'm' FROM tenant t, upstream u"
        ))
        .await?
        .commit()
        .await?;
    world.check_invariants().await?;
    // The API's role sees no other tenant's upstream, and no sealed key, not even its own.
    world.set_own_key(world.tenant, THIRD_KEY).await?;
    world
        .hold(as_acme!(
            "DO $$ BEGIN
                 ASSERT (SELECT count(*) FROM upstream) = 1;
                 ASSERT (SELECT count(*) FROM upstream_key) = 1;
             END $$"
        ))
        .await?;
    let read = world
        .hold(as_acme!("SELECT sealed FROM upstream_key"))
        .await;
    let refused = read.expect_err("a sealed key was read").to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_key_of_the_same_workspace_goes_on_with_what_is_open() -> Result<()> {
    let mut world = World::new().await?;
    let tenant = world.tenant;
    enroll(&world, tenant, SECOND_KEY).await?;
    world.submit(&["one", "two"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    while world.worker.tick(Loop::Submit).await?.done > 0 {}
    // Another workspace could not read what is open: told apart, and not taken.
    enroll(&world, tenant, THIRD_KEY).await?;
    assert_eq!(
        world.texts(KEYS).await?,
        ["1 current -key true", "2 refused 0123 false"]
    );
    assert!(world.texts(SAID).await?[1].contains("another workspace"));
    enroll(&world, tenant, &same_workspace(SECOND_KEY)).await?;
    assert_eq!(
        world.texts(KEYS).await?,
        [
            "1 replaced -key false",
            "2 refused 0123 false",
            "3 current #two true"
        ]
    );
    // From now on the old one opens nothing.
    world.standin.set_faults(always(401, SECOND_KEY));
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 2);
    assert_eq!(workspaces(&world)?.len(), 1);
    // With nothing open, one of another workspace may take its place.
    enroll(&world, tenant, THIRD_KEY).await?;
    world.submit(&["three"]).await?;
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 3);
    assert_eq!(workspaces(&world)?.len(), 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn what_waits_is_held_when_the_key_is_removed_unless_it_may_fall_back() -> Result<()> {
    let mut world = World::new().await?;
    let tenant = world.tenant;
    enroll(&world, tenant, SECOND_KEY).await?;
    // One that was sent, and answered by "not stored"; one that is planned; one that waits.
    world.submit(&["sent"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.standin.set_faults(always(429, SECOND_KEY));
    world.worker.tick(Loop::Submit).await?;
    world.standin.clear_faults();
    world.submit(&["planned"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    let planned = "SELECT state || ' ' || sends FROM offpeak.batch ORDER BY planned_at";
    assert_eq!(world.texts(planned).await?, ["planned 1", "planned 0"]);
    world.submit(&["waits"]).await?;
    world.remove_own_key(tenant).await?;
    // The secret is gone with the commit, and the process lets go of it at its next tick.
    assert_eq!(world.texts(KEYS).await?, ["1 removed -key false"]);
    world.worker.settle_down().await?;
    for _ in 0..5 {
        world.pass(Duration::from_mins(2));
        world.worker.settle_down().await?;
    }
    assert_eq!(world.open_jobs().await?, 3, "nothing is sent");
    assert!(world.standin.journal()?.is_empty());
    let why = "SELECT paused_reason FROM offpeak.upstream WHERE paused_reason IS NOT NULL";
    let why = world.texts(why).await?.concat();
    assert!(why.contains("the tenant's own key was removed"), "{why}");
    let mut tx = world.tenants.begin(tenant).await?;
    let pause = offpeak_store::overview::pause(&mut tx).await?;
    assert_eq!(
        pause.map(|pause| pause.reason),
        Some(why),
        "the tenant sees it"
    );
    tx.commit().await?;

    // The operator lets them go: the planned batch as well.
    let mut tx = world.system.begin().await?;
    offpeak_store::upstream_key::ways::fall_back(&mut tx, tenant, true).await?;
    tx.commit().await?;
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 3);
    assert_eq!(world.texts(WAYS).await?, ["acme shared"]);
    assert_eq!(workspaces(&world)?.len(), 1);
    books::are_right(&world).await?;
    world.check_invariants().await
}

#[tokio::test]
async fn what_waits_goes_by_the_next_key() -> Result<()> {
    let mut world = World::new().await?;
    let tenant = world.tenant;
    enroll(&world, tenant, SECOND_KEY).await?;
    world.submit(&["waits"]).await?;
    world.remove_own_key(tenant).await?;
    world.worker.settle_down().await?;
    enroll(&world, tenant, THIRD_KEY).await?;
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 1);
    assert_eq!(world.texts(WAYS).await?, ["acme own"]);
    let paused = "SELECT count(*) FROM offpeak.upstream WHERE paused_reason IS NOT NULL";
    assert_eq!(world.number(paused).await?, 0);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_key_that_goes_bad_pauses_its_own_upstream_and_its_tenant_sees_why() -> Result<()> {
    let mut world = World::new().await?;
    let other = second_tenant(&world).await?;
    enroll(&world, other, SECOND_KEY).await?;
    world.submit_as(other, None, &["theirs"]).await?;
    world.submit(&["ours"]).await?;
    world.standin.set_faults(always(401, SECOND_KEY));
    for _ in 0..20 {
        world.pass(Duration::from_secs(30));
        for which in Loop::ALL {
            // With a bad key some of them cannot do all that they have to.
            let _ = world.worker.tick(which).await;
        }
    }
    assert_eq!(world.number(COMPLETED).await?, 1, "the others go on");
    let mut tx = world.tenants.begin(other).await?;
    let seen = offpeak_store::overview::incidents(&mut tx).await?;
    let told: Vec<_> = seen.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(told, ["upstream_paused"]);
    assert!(seen[0].detail.contains("PUT /v1/upstream"), "{seen:?}");
    tx.commit().await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    assert!(
        offpeak_store::overview::incidents(&mut tx)
            .await?
            .is_empty()
    );
    assert!(offpeak_store::overview::pause(&mut tx).await?.is_none());
    tx.commit().await?;
    // A good one of the same workspace mends it.
    enroll(&world, other, &same_workspace(SECOND_KEY)).await?;
    world.run_out().await?;
    assert_eq!(world.number(COMPLETED).await?, 2);
    let open = "SELECT count(*) FROM offpeak.incident WHERE resolved_at IS NULL";
    assert_eq!(world.number(open).await?, 0);
    books::are_right(&world).await
}

/// In the tenant's workspace others make batches too, some of them in our form: none is
/// canceled, none becomes a batch of ours, and no line of theirs is anybody's result.
#[tokio::test]
async fn a_foreign_batch_in_that_workspace_is_never_touched() -> Result<()> {
    let mut world = World::with(offpeak_worker::Options {
        // For the deployment's own workspace alone.
        dedicated_workspace: true,
        ..World::quick()
    })
    .await?;
    let other = second_tenant(&world).await?;
    enroll(&world, other, SECOND_KEY).await?;
    // A job of another tenant that waits, which somebody names in a workspace of theirs.
    let victim = world.submit(&["ours, which waits"]).await?[0];
    let theirs = Client::new(Config::new(
        &world.standin_url,
        SECOND_KEY.to_owned().into(),
    ))?;
    let forged = CustomId {
        job: victim,
        batch: Minter::new(world.time(), StdRng::seed_from_u64(1)).mint(),
    };
    let foreign = [
        create(&theirs, &["report-2026"]).await?,
        create(&theirs, &[&forged.to_string()]).await?,
    ];
    // Every reason to look at the list: a changed database, and a send in doubt.
    world.submit_as(other, None, &["theirs"]).await?;
    world
        .meddle("UPDATE offpeak.comparison SET incarnation = 'another'")
        .await?;
    world.standin.set_faults(crate::faults::dropped(1));
    world.run_out().await?;
    for _ in 0..10 {
        world.pass(Duration::from_mins(10));
        world.worker.settle_down().await?;
    }
    for id in &foreign {
        let now = theirs.batch(id).await?;
        assert!(now.cancel_initiated_at.is_none(), "{id} was canceled");
        assert_eq!(now.request_counts.succeeded, 1, "{id}");
    }
    let taken = "SELECT count(*) FROM offpeak.batch b
                  WHERE b.upstream_batch_id = ANY (ARRAY(SELECT upstream_batch_id
                                                           FROM offpeak.foreign_batch))";
    assert_eq!(world.number(taken).await?, 0);
    let known = "SELECT upstream_batch_id FROM offpeak.foreign_batch ORDER BY 1";
    let mut all = foreign.to_vec();
    all.sort();
    assert_eq!(world.texts(known).await?, all, "known as somebody else's");
    assert_eq!(world.number(COMPLETED).await?, 2, "each by its own batch");
    // The victim's result came by the deployment's key, not from the forged batch.
    let of_victim = world
        .texts(
            "SELECT DISTINCT t.name || ' ' || (b.upstream_id = b.tenant_id)
                  FROM offpeak.ledger l
                  JOIN offpeak.tenant t ON t.id = l.tenant_id
                  JOIN offpeak.batch b ON b.tenant_id = l.tenant_id AND b.id = l.batch_id
                 ORDER BY 1",
        )
        .await?;
    assert_eq!(of_victim, ["acme false", "globex true"]);
    world.check_invariants().await
}

/// A message batch that somebody else makes.
async fn create(client: &Client, custom_ids: &[&str]) -> Result<String> {
    let requests: Vec<_> = custom_ids
        .iter()
        .map(|id| {
            let params: serde_json::Value =
                serde_json::from_slice(&offpeak_testkit::world::params("not of offpeak"))?;
            Ok(serde_json::json!({ "custom_id": id, "params": params }))
        })
        .collect::<Result<_>>()?;
    let body = serde_json::json!({ "requests": requests })
        .to_string()
        .into_bytes();
    let length = body.len() as u64;
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body.into())]);
    let made = client
        .create_batch(length, stream, Duration::from_secs(10))
        .await?;
    Ok(made.value.id)
}

#[tokio::test]
async fn another_process_knows_within_one_tick() -> Result<()> {
    let mut world = World::new().await?;
    let second = world.second_worker(offpeak_worker::Options::default())?;
    enroll(&world, world.tenant, SECOND_KEY).await?;
    world.submit(&["one"]).await?;
    world.pass(Duration::from_secs(10));
    second.tick(Loop::Enroll).await?;
    second.tick(Loop::Form).await?;
    assert_eq!(second.tick(Loop::Submit).await?.done, 1, "it has the key");
    world.remove_own_key(world.tenant).await?;
    second.tick(Loop::Enroll).await?;
    world.submit(&["two"]).await?;
    world.pass(Duration::from_secs(10));
    second.tick(Loop::Form).await?;
    assert_eq!(
        second.tick(Loop::Submit).await?.done,
        0,
        "and lets go of it"
    );
    Ok(())
}
