//! The invariants that `offpeak doctor --invariants` checks: after a history with
//! everything in it they hold, and each one notices what breaks it.

mod meddling;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::Minter;
use offpeak_standin::{Call, Fault, Faults, Plan, Rule};
use offpeak_store::invariants;
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::{group, job, upstream};
use offpeak_testkit::world::{MODEL, params};
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use self::meddling::MEDDLING;
use crate::api::{Api, raw_job};
use crate::api_observe::database_url;
use crate::cli::offpeak;
use crate::faults::{dropped, refusal};
use crate::quarantine::{damage, rules};

/// Jobs under one group, by its id.
async fn bulk(api: &Api, key: &str, texts: &[&str]) -> Result<String> {
    let lines: String = texts.iter().map(|text| raw_job(text) + "\n").collect();
    let path = format!("/v1/jobs/bulk?name={key}");
    let accepted = api
        .post_with(&path, ("idempotency-key", key), lines)
        .await?;
    Ok(accepted.at("/group"))
}

/// Forms one batch of what waits, and sends it into these faults.
async fn send(api: &Api, faults: Faults) -> Result<()> {
    api.world.standin.set_faults(faults);
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    api.world.worker.tick(Loop::Submit).await?;
    Ok(())
}

/// Lets time pass until nothing is open; a broken read is a tick's error.
pub(crate) async fn end(api: &Api) -> Result<()> {
    for _ in 0..200 {
        let _ = api.world.worker.settle_down().await;
        let open = "SELECT count(*) FROM offpeak.batch
                     WHERE state NOT IN ('ingested', 'refuted', 'rejected')";
        let ready = "SELECT count(*) FROM offpeak.ready";
        if api.world.number(open).await? + api.world.number(ready).await? == 0 {
            return Ok(());
        }
        let pause = "UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'";
        api.world.meddle(pause).await?;
        api.world.pass(Duration::from_secs(30));
    }
    anyhow::bail!("it never ends")
}

/// The first job of a group.
async fn first(api: &Api, group: &str) -> Result<String> {
    let jobs = api.get(&format!("/v1/jobs?group={group}&limit=1")).await?;
    Ok(jobs.at("/data/0/id"))
}

/// One thing after the other, until everything that can happen to a job has.
async fn history() -> Result<Api> {
    let mut api = Api::new().await?;
    // All of it under a budget.
    let all = serde_json::json!({"scope": "tenant", "period": "month"});
    crate::budgets::set(&api, all, 1_000_000_000_000_000).await?;
    // Completed, one with a key of its own; and one run once more.
    let first_group = bulk(&api, "first", &["One.", "Two.", "Three."]).await?;
    let key = ("idempotency-key", "alone");
    api.post_with("/v1/jobs", key, raw_job("Alone.")).await?;
    // It follows that one.
    api.post("/v1/jobs", raw_job("Alone.")).await?;
    end(&api).await?;
    let again = first(&api, &first_group).await?;
    api.post(&format!("/v1/jobs/{again}/retry?completed=true"), "")
        .await?;
    end(&api).await?;
    // Canceled while they wait, in a batch that is not sent, and at Anthropic.
    let group = bulk(&api, "canceled", &["Four.", "Five.", "Six.", "Seven."]).await?;
    let one = first(&api, &group).await?;
    api.post(&format!("/v1/jobs/{one}/cancel"), "").await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    let jobs = api.get(&format!("/v1/jobs?group={group}")).await?.json();
    let ids: Vec<&str> = (0..4)
        .filter_map(|n| jobs["data"][n]["id"].as_str())
        .collect();
    api.post(&format!("/v1/jobs/{}/cancel", ids[1]), "").await?;
    api.world.worker.tick(Loop::Submit).await?;
    api.post(&format!("/v1/jobs/{}/cancel", ids[2]), "").await?;
    end(&api).await?;
    api.post(&format!("/v1/groups/{group}/retry"), "").await?;
    end(&api).await?;
    // Lost and adopted; lost and refuted; refused and halved.
    for (n, faults) in [dropped(1), refusal(502, 1), refusal(400, 3)]
        .into_iter()
        .enumerate()
    {
        bulk(&api, &format!("lost-{n}"), &["Eight."]).await?;
        api.post("/v1/jobs", raw_job("Nine.")).await?;
        api.post("/v1/jobs", raw_job("Ten.")).await?;
        send(&api, faults).await?;
        end(&api).await?;
    }
    // Items that fail for a time and for good, and that expire.
    let errored = |how: &str| Plan {
        errored: [(how.to_owned(), 1.0)].into(),
        ..Plan::default()
    };
    let expired = Plan {
        expired: 1.0,
        ..Plan::default()
    };
    let plans = [
        ("overloaded", errored("overloaded_error")),
        ("invalid", errored("invalid_request_error")),
        ("expired", expired),
    ];
    for (name, plan) in plans {
        bulk(&api, name, &["Eleven.", "Twelve.", "Thirteen."]).await?;
        send(
            &api,
            rules(vec![Rule::new([Call::Create], Fault::Batch(plan))]),
        )
        .await?;
        end(&api).await?;
    }
    // A line that contradicts another.
    bulk(&api, "lines", &["Fourteen.", "Fifteen."]).await?;
    send(&api, Faults::default()).await?;
    let sent = "SELECT upstream_batch_id FROM offpeak.batch WHERE state = 'in_progress'";
    let sent = api.world.texts(sent).await?;
    let conflict = damage("conflict", 0, &sent[0], offpeak_standin::Times::ALWAYS)?;
    api.world.standin.set_faults(rules(vec![conflict]));
    end(&api).await?;
    api.world.standin.clear_faults();
    // A late twin, as `sweep` books it.
    api.world.meddle(meddling::TWIN).await?;
    // At the end something stands everywhere: an upload that is not complete, …
    staged(&mut api).await?;
    // … a send in doubt, a batch at Anthropic with a canceled job, one that is to
    // be sent, one whose item failed, and jobs that wait.
    api.post("/v1/jobs", raw_job("Doubt.")).await?;
    send(&api, refusal(502, 1)).await?;
    let group = bulk(&api, "sent", &["Sixteen.", "Seventeen.", "Eighteen."]).await?;
    send(&api, Faults::default()).await?;
    let one = first(&api, &group).await?;
    api.post(&format!("/v1/jobs/{one}/cancel"), "").await?;
    bulk(&api, "planned", &["Nineteen.", "Twenty."]).await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    bulk(&api, "waiting", &["One more.", "Two more.", "One more."]).await?;
    api.world.worker.tick(Loop::Relay).await?;
    api.world.worker.tick(Loop::Fold).await?;
    bulk(&api, "unfolded", &["Three more."]).await?;
    Ok(api)
}

/// An upload that broke off.
async fn staged(api: &mut Api) -> Result<()> {
    let mut tx = api.world.tenants.begin(api.world.tenant).await?;
    let mut minter = Minter::new(tx.now(), StdRng::seed_from_u64(5));
    let id = minter.mint();
    group::create(&mut tx, id, None).await?;
    let staged = NewJob {
        id: minter.mint(),
        group: Some(id),
        job_type: None,
        user: None,
        model: MODEL.to_owned(),
        upstream: upstream::OWN,
        lane: offpeak_domain::job::Lane::Batch,
        terms: offpeak_domain::deliver::Terms::default(),
        priority: 0,
        metadata: None,
        params: params("Staged."),
        structured: false,
        prefix: None,
        sharing: None,
        expected: None,
    };
    job::insert_chunk(&mut tx, &[staged], Entry::Staged).await?;
    let on = group::Staged {
        lines: 1,
        jobs: 1,
        ..group::Staged::NOTHING
    };
    group::advance(&mut tx, id, &group::Staged::NOTHING, &on).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn they_hold_after_everything_and_each_notices_what_breaks_it() -> Result<()> {
    let api = Box::pin(history()).await?;
    api.world.check_invariants().await?;
    let states = "SELECT DISTINCT state FROM offpeak.batch ORDER BY 1";
    assert_eq!(
        api.world.texts(states).await?.join(" "),
        "in_progress ingested planned refuted rejected uncertain"
    );
    let (mut meddled, mut unnoticed) = (BTreeSet::new(), Vec::new());
    for (name, change) in MEDDLING {
        let checked = match api.world.invariants_after(change).await {
            Ok(checked) => checked,
            Err(error) => {
                unnoticed.push(format!("{error:#}: {change}"));
                continue;
            }
        };
        let found = checked.iter().find(|check| check.name == *name);
        let found = found.with_context(|| format!("no check {name}"))?;
        let shown = 1..=5.min(usize::try_from(found.broken)?);
        if found.broken == 0 || !shown.contains(&found.sample.len()) {
            unnoticed.push(format!("{found:?} after {change}"));
        }
        meddled.insert(*name);
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:#?}");
    api.world.check_invariants().await?;
    let named: Vec<_> = invariants::check(&api.world.system, api.world.time())
        .await?
        .iter()
        .map(|check| check.name)
        .collect();
    assert_eq!(
        named.iter().copied().collect::<BTreeSet<_>>(),
        meddled,
        "a check that cannot be made to fail is none"
    );
    assert_eq!(named.len(), meddled.len(), "names are used once");
    Ok(())
}

#[tokio::test]
async fn the_operator_checks_them_while_work_goes_on() -> Result<()> {
    let api = Api::new().await?;
    bulk(&api, "few", &["One.", "Two."]).await?;
    let folder = tempfile::tempdir()?;
    let run = async |arguments: &'static [&'static str]| -> Result<(Option<i32>, String)> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", database_url(&api.world)?)
            .args(arguments)
            .output()
            .await?;
        let shown = String::from_utf8(ran.stdout)? + &String::from_utf8(ran.stderr)?;
        Ok((ran.status.code(), shown))
    };
    let (code, shown) = run(&["doctor", "--invariants"]).await?;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("ok ")), "{shown}");
    // Somebody is in the middle of a change: nobody waits for the other.
    let held = api.world.hold(
        "UPDATE offpeak.ready SET priority = 1; LOCK TABLE offpeak.ready IN ROW EXCLUSIVE MODE",
    );
    let held = held.await?;
    assert_eq!(run(&["doctor", "--invariants"]).await?.0, Some(0));
    held.rollback().await?;

    api.world.meddle("DELETE FROM offpeak.ready").await?;
    let (code, shown) = run(&["doctor", "--invariants"]).await?;
    assert_eq!(code, Some(1), "{shown}");
    let broken: Vec<&str> = shown.lines().filter(|l| l.starts_with("BROKEN")).collect();
    assert_eq!(broken.len(), 2, "{shown}");
    let said = "BROKEN 2    I3     not_lost            every accepted job waits, is in a batch, or \
                has ended: not so for job ";
    assert!(broken[0].starts_with(said), "{shown}");
    let (code, shown) = run(&["--json", "doctor", "--invariants"]).await?;
    assert_eq!(code, Some(1), "{shown}");
    let json: Value = serde_json::from_str(&shown)?;
    assert_eq!(json["violations"], 3, "{shown}");
    let lost = json["checks"].as_array().context("checks")?.iter();
    let lost = lost.clone().find(|check| check["name"] == "not_lost");
    let lost = lost.context("the check")?;
    assert_eq!(
        (&lost["broken"], &lost["invariant"]),
        (&2.into(), &"I3".into())
    );
    assert_eq!(lost["sample"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn without_a_database_nothing_is_said_to_hold() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = offpeak(folder.path())
        .env(
            "DATABASE_URL",
            "postgres://nobody@localhost:1/none?host=%2Fnowhere",
        )
        .args(["doctor", "--invariants"])
        .output()
        .await?;
    assert_eq!(ran.status.code(), Some(3));
    assert!(ran.stdout.is_empty());
    Ok(())
}
