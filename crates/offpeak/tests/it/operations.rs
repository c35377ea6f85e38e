//! What is done with every job that a filter finds: all of it once, whoever does it
//! and however often they die, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::JobId;
use offpeak_store::System;
use offpeak_testkit::freezer::Freezer;
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Worker};
use reqwest::Method;
use serde_json::json;

use crate::api::{Answer, Api, raw_job};
use crate::budgets;

/// Ticks within which everything here is done.
const TICKS: u64 = 200;

/// How many jobs of a user have ended as canceled.
const CANCELED: &str =
    "SELECT count(*) FROM offpeak.result WHERE outcome = 'canceled' AND user_label = 'ada'";

fn job_of(user: &str, text: &str) -> String {
    raw_job(text).replacen('{', &format!(r#"{{"user":"{user}","#), 1)
}

/// Uploads so many jobs of each of two users.
async fn upload(api: &Api, of_each: usize) -> Result<()> {
    let body: Vec<String> = (0..of_each)
        .flat_map(|n| ["ada", "bob"].map(|user| job_of(user, &n.to_string())))
        .collect();
    let done = api.post("/v1/jobs/bulk", body.join("\n")).await?;
    anyhow::ensure!(done.status == 202, "{done:?}");
    Ok(())
}

async fn begin(api: &Api, body: serde_json::Value) -> Result<String> {
    let begun = api.post("/v1/operations", body.to_string()).await?;
    anyhow::ensure!(begun.status == 202, "{begun:?}");
    Ok(format!("/v1/operations/{}", begun.at("/id")))
}

/// State, and the jobs that it has done and left.
fn stands(answer: &Answer) -> String {
    let at = |pointer| answer.at(pointer);
    format!("{} {} {}", at("/state"), at("/done"), at("/left"))
}

async fn tick(worker: &Worker) -> Result<u64> {
    Ok(worker.tick(Loop::Operate).await?.done)
}

/// Ticks until nothing more is done.
async fn finish(worker: &Worker) -> Result<()> {
    for _ in 0..TICKS {
        if tick(worker).await? == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("it goes on and on")
}

#[tokio::test]
async fn a_cancel_goes_through_all_that_match_and_touches_no_other() -> Result<()> {
    let api = Api::new().await?;
    upload(&api, 2_500).await?;
    let which = json!({"action": "cancel", "filter": {"user": "ada"}});
    let mut dry = which.clone();
    dry["dry_run"] = true.into();
    let dry = api.post("/v1/operations", dry.to_string()).await?;
    assert_eq!(dry.status, 200);
    assert_eq!(dry.json(), json!({"jobs": 2_500, "all_counted": true}));

    let path = begin(&api, which).await?;
    let late = api.post("/v1/jobs", job_of("ada", "late")).await?.at("/id");
    assert_eq!(stands(&api.get(&path).await?), "running 0 0");
    let mut steps = Vec::new();
    while tick(&api.world.worker).await? > 0 {
        steps.push(stands(&api.get(&path).await?));
    }
    assert_eq!(
        steps,
        [
            "running 1000 0",
            "running 2000 0",
            // It looks once more whether one was passed by.
            "running 2500 0",
            "done 2500 0"
        ]
    );
    let done = api.get(&path).await?;
    assert_eq!(done.at("/expected"), "2500");
    assert_eq!(done.at("/matched"), "2500");
    assert_eq!(done.at("/filter/state"), "queued,submitted,processing");
    assert_eq!(api.world.number(CANCELED).await?, 2_500);
    assert_eq!(api.world.open_jobs().await?, 2_501);
    let late = api.get(&format!("/v1/jobs/{late}")).await?;
    assert_eq!(late.at("/state"), "queued");
    // Whatever has ended stays as it is.
    let again = api.post(&format!("{path}/stop"), "").await?;
    assert_eq!(stands(&again), "done 2500 0");
    api.world.check_invariants().await
}

#[tokio::test]
async fn two_processes_do_it_once() -> Result<()> {
    let mut api = Api::new().await?;
    upload(&api, 2_500).await?;
    let first = begin(&api, json!({"action": "cancel", "filter": {"user": "ada"}})).await?;
    let second = begin(&api, json!({"action": "cancel", "all": true})).await?;
    let other = api.world.second_worker(World::quick())?;
    for _ in 0..TICKS {
        let (a, b) = tokio::join!(tick(&api.world.worker), tick(&other));
        if a? + b? == 0 {
            break;
        }
    }
    let (first, second) = (api.get(&first).await?, api.get(&second).await?);
    assert_eq!([first.at("/state"), second.at("/state")], ["done", "done"]);
    let done = |answer: &Answer| answer.at("/done").parse::<u64>();
    assert_eq!(done(&first)? + done(&second)?, 5_000);
    // They had their turns one after the other.
    assert!(
        done(&first)? > 0 && done(&second)? > 0,
        "{first:?} {second:?}"
    );
    assert_eq!(api.world.open_jobs().await?, 0);
    api.world.check_invariants().await
}

/// Kills the process at its first call of the database, at its second, and so on,
/// while it does all of it.
#[tokio::test]
async fn a_death_at_any_call_repeats_nothing_and_loses_nothing() -> Result<()> {
    let mut api = Api::new().await?;
    upload(&api, 2_500).await?;
    let path = begin(&api, json!({"action": "cancel", "filter": {"user": "ada"}})).await?;
    let (mut killed, mut over) = (0, 0);
    for after in 0..TICKS {
        // Each time a process of its own, with its own connections.
        let (freezer, through) = Freezer::before(&api.world.connect)?;
        let system = System::new(&api.world.options(through));
        let worker = Arc::new(api.world.worker_on(system, World::quick())?);
        freezer.freeze_after(after);
        let mut doing = tokio::spawn(async move { tick(&worker).await });
        tokio::select! {
            () = freezer.frozen() => {
                doing.abort();
                assert!(doing.await.is_err(), "it was dead");
                freezer.thaw();
                killed += 1;
            }
            done = &mut doing => {
                freezer.thaw();
                done?.context("a tick that nothing disturbs")?;
                over += 1;
            }
        }
        if api.get(&path).await?.at("/state") == "done" {
            break;
        }
    }
    assert!(killed > 10 && over > 0, "{killed} killed, {over} over");
    assert_eq!(stands(&api.get(&path).await?), "done 2500 0");
    assert_eq!(api.world.number(CANCELED).await?, 2_500);
    assert_eq!(api.world.open_jobs().await?, 2_500);
    api.world.check_invariants().await
}

#[tokio::test]
async fn a_stop_ends_it_where_it_is() -> Result<()> {
    let api = Api::new().await?;
    upload(&api, 1_500).await?;
    let path = begin(&api, json!({"action": "cancel", "all": true})).await?;
    tick(&api.world.worker).await?;
    let stopped = api.post(&format!("{path}/stop"), "").await?;
    assert_eq!(stands(&stopped), "stopped 1000 0");
    assert!(stopped.json()["problem"].is_null());
    assert_eq!(tick(&api.world.worker).await?, 0);
    assert_eq!(api.world.open_jobs().await?, 2_000);
    api.world.check_invariants().await
}

#[tokio::test]
async fn lines_of_an_upload_that_was_under_way_came_later() -> Result<()> {
    let api = Api::new().await?;
    upload(&api, 2).await?;
    let path = begin(&api, json!({"action": "cancel", "all": true})).await?;
    let later = "UPDATE offpeak.job_group SET opened_at = opened_at + interval '1 hour'";
    api.world.meddle(later).await?;
    finish(&api.world.worker).await?;
    assert_eq!(stands(&api.get(&path).await?), "done 0 0");
    assert_eq!(api.world.open_jobs().await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_retry_leaves_what_is_at_anthropic_and_what_has_an_answer() -> Result<()> {
    let mut api = Api::new().await?;
    let completed = api.post("/v1/jobs", job_of("ada", "One")).await?.at("/id");
    api.world.run_out().await?;
    let away = api.post("/v1/jobs", job_of("ada", "Two")).await?.at("/id");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    upload(&api, 300).await?;
    begin(&api, json!({"action": "cancel", "all": true})).await?;
    finish(&api.world.worker).await?;

    let path = begin(&api, json!({"action": "retry", "all": true})).await?;
    let mut steps = Vec::new();
    while tick(&api.world.worker).await? > 0 {
        steps.push(stands(&api.get(&path).await?));
    }
    assert_eq!(
        steps,
        [
            "running 200 0",
            "running 400 0",
            "running 600 0",
            "done 600 1"
        ]
    );
    let state = async |id: &String| {
        let job = api.get(&format!("/v1/jobs/{id}")).await?;
        anyhow::Ok(job.at("/state"))
    };
    assert_eq!(state(&away).await?, "canceled");
    assert_eq!(state(&completed).await?, "completed");

    let which = json!({"action": "retry", "completed": true, "filter": {"state": "completed"}});
    let path = begin(&api, which).await?;
    finish(&api.world.worker).await?;
    assert_eq!(stands(&api.get(&path).await?), "done 1 0");
    assert_eq!(state(&completed).await?, "queued");
    api.world.run_out().await?;
    api.world.check_invariants().await
}

#[tokio::test]
async fn a_hard_budget_without_room_stops_a_retry_and_says_so() -> Result<()> {
    let mut api = Api::new().await?;
    upload(&api, 3).await?;
    begin(&api, json!({"action": "cancel", "all": true})).await?;
    finish(&api.world.worker).await?;
    budgets::set(&api, json!({"scope": "tenant", "period": "day"}), 1).await?;

    let path = begin(&api, json!({"action": "retry", "all": true})).await?;
    finish(&api.world.worker).await?;
    let stopped = api.get(&path).await?;
    assert_eq!(stands(&stopped), "stopped 0 0");
    let why = stopped.at("/problem");
    assert!(why.starts_with("your budget for the day has"), "{why}");
    assert_eq!(api.world.open_jobs().await?, 0);

    // With room for them they run.
    budgets::set(
        &api,
        json!({"scope": "tenant", "period": "day"}),
        1_000_000_000_000_000,
    )
    .await?;
    let path = begin(&api, json!({"action": "retry", "all": true})).await?;
    finish(&api.world.worker).await?;
    assert_eq!(stands(&api.get(&path).await?), "done 6 0");
    api.world.run_out().await?;
    api.world.check_invariants().await
}

#[tokio::test]
async fn one_in_trouble_keeps_nobody_waiting() -> Result<()> {
    let mut api = Api::new().await?;
    upload(&api, 2).await?;
    let troubled = begin(&api, json!({"action": "cancel", "all": true})).await?;
    let (_, other) = api.tenant("other").await?;
    let theirs = api
        .send(Method::POST, "/v1/jobs", &other, &[], raw_job("One."))
        .await?
        .at("/id");
    let body = json!({"action": "cancel", "all": true}).to_string();
    api.send(Method::POST, "/v1/operations", &other, &[], body)
        .await?;
    // As if a newer version had written it.
    api.world
        .meddle(
            "UPDATE offpeak.operation SET states = '{asleep}'
              WHERE tenant_id = (SELECT tenant_id FROM offpeak.operation ORDER BY id LIMIT 1)",
        )
        .await?;
    finish(&api.world.worker).await?;
    let path = format!("/v1/jobs/{theirs}");
    let done = api.send(Method::GET, &path, &other, &[], "").await?;
    assert_eq!(done.at("/state"), "canceled");
    let put_off = "SELECT count(*) FROM offpeak.operation
                    WHERE state = 'running' AND problem IS NOT NULL AND turn_at > now()";
    assert_eq!(api.world.number(put_off).await?, 1);
    api.world
        .meddle(
            "UPDATE offpeak.operation SET states = '{queued}', turn_at = now()
              WHERE state = 'running'",
        )
        .await?;
    finish(&api.world.worker).await?;
    assert_eq!(stands(&api.get(&troubled).await?), "done 4 0");
    Ok(())
}

#[tokio::test]
async fn another_tenants_is_as_if_it_were_not_there() -> Result<()> {
    let mut api = Api::new().await?;
    upload(&api, 2).await?;
    let path = begin(&api, json!({"action": "cancel", "all": true})).await?;
    let (_, other) = api.tenant("other").await?;
    let nobodys = "/v1/operations/op_00000000000000000000000000".to_owned();
    for (method, tail) in [(Method::GET, ""), (Method::POST, "/stop")] {
        let mut answers = Vec::new();
        for path in [&path, &nobodys] {
            let path = format!("{path}{tail}");
            let answer = api.send(method.clone(), &path, &other, &[], "").await?;
            assert_eq!(answer.problem(), "404 not_found");
            let mut json = answer.json();
            json["request_id"] = json!(null);
            answers.push(json);
        }
        assert_eq!(answers[0], answers[1]);
    }
    let list = api
        .send(Method::GET, "/v1/operations", &other, &[], "")
        .await?;
    assert_eq!(list.json(), json!({"data": [], "next_cursor": null}));
    // Nor does theirs touch a job of ours.
    let body = json!({"action": "cancel", "all": true}).to_string();
    api.post(&format!("{path}/stop"), "").await?;
    api.send(Method::POST, "/v1/operations", &other, &[], body)
        .await?;
    finish(&api.world.worker).await?;
    assert_eq!(api.world.open_jobs().await?, 4);
    Ok(())
}

#[tokio::test]
async fn they_are_listed_newest_first_and_not_too_many_run() -> Result<()> {
    let api = Api::new().await?;
    let id: JobId = api
        .post("/v1/jobs", raw_job("One."))
        .await?
        .at("/id")
        .parse()?;
    let all = json!({"action": "cancel", "all": true});
    let mut begun = Vec::new();
    for _ in 0..20 {
        begun.push(begin(&api, all.clone()).await?);
    }
    let refused = api.post("/v1/operations", all.to_string()).await?;
    assert_eq!(refused.problem(), "409 too_many_operations");
    let first = api.get("/v1/operations?limit=12").await?;
    let cursor = first.at("/next_cursor");
    let rest = api
        .get(&format!("/v1/operations?limit=12&cursor={cursor}"))
        .await?;
    let mut listed = Vec::new();
    for page in [first.json(), rest.json()] {
        let rows = page["data"].as_array().cloned().unwrap_or_default();
        let ids = rows.iter().filter_map(|row| row["id"].as_str());
        listed.extend(ids.map(|id| format!("/v1/operations/{id}")));
    }
    listed.reverse();
    assert_eq!(listed, begun);
    finish(&api.world.worker).await?;
    let job = api.get(&format!("/v1/jobs/{id}")).await?;
    assert_eq!(job.at("/state"), "canceled");
    let running = "SELECT count(*) FROM offpeak.operation WHERE state = 'running'";
    assert_eq!(api.world.number(running).await?, 0);
    Ok(())
}
