//! Jobs of one tenant that ask the same to the byte: one is paid for, each is answered.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use offpeak_standin::{Call, Fault, Faults, Plan, Rule};
use offpeak_testkit::world::World;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, raw_job};
use crate::books;

/// How each job stands, the oldest first: state, label, lane, and whether by another's
/// result.
pub(crate) async fn stand(world: &World) -> Result<Vec<String>> {
    world
        .texts(
            "SELECT state || coalesce(' ' || label, '') || ' ' || lane
                    || CASE WHEN source_id IS NULL THEN '' ELSE ' shared' END
               FROM offpeak.job_state ORDER BY id",
        )
        .await
}

/// What was paid.
pub(crate) fn paid(world: &World) -> Result<usize> {
    Ok(world.standin.journal()?.len())
}

/// A job around a prompt, with more fields.
pub(crate) fn with(prompt: &str, more: &str) -> String {
    let job = raw_job(prompt);
    format!("{},{more}}}", &job[..job.len() - 1])
}

async fn post(api: &Api, body: String) -> Result<Answer> {
    let answer = api.post("/v1/jobs", body).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    Ok(answer)
}

/// The job that it follows; nothing for one that goes its own way.
fn source(answer: &Answer) -> Option<String> {
    let source = answer.json()["source"].as_str()?.to_owned();
    assert_eq!(answer.at("/detail"), "sharing");
    Some(source)
}

/// A job type with these fields besides.
async fn job_type(api: &Api, name: &str, more: Value) -> Result<()> {
    let mut definition = json!({
        "name": name,
        "model": "claude-haiku-4-5",
        "max_tokens": 64,
        "template": "{{ text }}",
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
    });
    let fields = definition.as_object_mut().context("an object")?;
    fields.extend(more.as_object().cloned().context("an object")?);
    let stored = api.post("/v1/job-types", definition.to_string()).await?;
    assert_eq!(stored.status, 201, "{stored:?}");
    assert_eq!(stored.json()["reuse_for"], more["reuse_for"]);
    assert_eq!(stored.json()["coalesce"], more["coalesce"]);
    Ok(())
}

fn typed(name: &str, more: &str) -> String {
    format!(r#"{{"type":"{name}","input":{{"text":"One fine day."}}{more}}}"#)
}

/// Every item of the next batch goes like this.
fn batch(plan: Plan) -> Faults {
    Faults {
        rules: vec![Rule::new([Call::Create], Fault::Batch(plan))],
        ..Faults::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_alike_are_paid_once_and_both_answered() -> Result<()> {
    let mut api = Api::new().await?;
    let first = post(&api, raw_job("One fine day.")).await?;
    let first_id = first.at("/id");
    assert_eq!(source(&first), None);
    let second = post(
        &api,
        with("One fine day.", r#""user":"ada","metadata":{"n":2}"#),
    )
    .await?;
    assert_eq!(source(&second), Some(first_id.clone()));
    assert_eq!(source(&post(&api, raw_job("Two cats.")).await?), None);
    let second_id = second.at("/id");
    let shown = api.get(&format!("/v1/jobs/{second_id}")).await?;
    assert_eq!(source(&shown), Some(first_id.clone()), "read as submitted");
    api.world.check_invariants().await?;
    api.world.run_out().await?;
    let all = [
        "completed batch",
        "completed batch shared",
        "completed batch",
    ];
    assert_eq!(stand(&api.world).await?, all);
    assert_eq!(paid(&api.world)?, 2);

    let paid_for = api.get(&format!("/v1/jobs/{first_id}/result")).await?;
    let copy = api.get(&format!("/v1/jobs/{second_id}/result")).await?;
    assert_eq!(copy.at("/job"), second_id, "each names itself");
    assert_eq!(copy.at("/source"), first_id);
    assert_eq!(
        (copy.at("/user"), copy.at("/metadata/n")),
        ("ada".into(), "2".into())
    );
    for same in [
        "/text",
        "/message/id",
        "/stop_reason",
        "/standin",
        "/model",
        "/cost_sync",
    ] {
        assert_eq!(copy.at(same), paid_for.at(same), "{same}");
    }
    assert_eq!(
        (copy.at("/cost"), copy.at("/usage/input_tokens")),
        ("0".into(), "0".into())
    );
    let (copy, paid_for) = (copy.json(), paid_for.json());
    assert!(copy["batch"].is_null() && paid_for["source"].is_null());
    let listed = api.get("/v1/jobs?user=ada").await?;
    assert_eq!(listed.at("/data/0/source"), first_id);
    let booked = "SELECT cost_pico || ' ' || (sync_pico = saved_reuse_pico AND sync_pico > 0)
                         || ' ' || input_tokens + output_tokens || ' ' || lane
                    FROM offpeak.ledger WHERE source_id IS NOT NULL";
    assert_eq!(api.world.texts(booked).await?, ["0 true 0 batch"]);
    let usage = api.get("/v1/usage?by=user").await?.json();
    let rows = usage["rows"].as_array().context("rows")?;
    let ada = rows.iter().find(|row| row["user"] == "ada");
    let ada = ada.context("a row of hers")?;
    assert_eq!(
        (&ada["total"]["cost"], &ada["total"]["saved_reuse"]),
        (&json!("0"), &ada["total"]["cost_sync"])
    );
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_exactly_one_leads() -> Result<()> {
    let mut api = Api::new().await?;
    let all = try_join_all((0..50).map(|_| post(&api, raw_job("One fine day.")))).await?;
    let lead: Vec<String> = all
        .iter()
        .filter(|answer| source(answer).is_none())
        .map(|answer| answer.at("/id"))
        .collect();
    assert_eq!(lead.len(), 1);
    assert!(
        all.iter()
            .filter_map(source)
            .all(|source| source == lead[0])
    );
    api.world.check_invariants().await?;
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 1);
    assert_eq!(api.world.counted("completed").await?, 50);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_shares_within_itself_and_with_the_queue() -> Result<()> {
    let mut api = Api::new().await?;
    post(&api, raw_job("One.")).await?;
    let lines = ["One.", "Two.", "Two.", "Three.", "Two."].map(|text| raw_job(text) + "\n");
    let group = api
        .post("/v1/jobs/bulk", lines.concat())
        .await?
        .at("/group");
    let counts = "SELECT count(*) || ' ' || count(DISTINCT source_id)
                    FROM offpeak.ready WHERE lane = 'follow'";
    assert_eq!(api.world.texts(counts).await?, ["3 2"]);
    let shown = api.get(&format!("/v1/groups/{group}")).await?;
    assert_eq!(shown.at("/counts/queued"), "5");
    api.world.check_invariants().await?;
    // And another one with both.
    api.post("/v1/jobs/bulk", lines.concat()).await?;
    assert_eq!(api.world.texts(counts).await?, ["8 3"]);
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 3);
    assert_eq!(api.world.counted("completed").await?, 11);
    let results = api
        .get(&format!("/v1/groups/{group}/results"))
        .await?
        .lines();
    assert!(results.len() == 5 && results.iter().all(|line| line["text"].is_string()));
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_urgent_of_an_upload_leads_it() -> Result<()> {
    let mut api = Api::new().await?;
    post(&api, raw_job("One.")).await?;
    let lines = [
        raw_job("One."),
        with("One.", r#""deliver_within":"30h""#),
        with("One.", r#""deliver_within":"26h""#),
        with("One.", r#""deliver_within":"40h","priority":"high""#),
        with("Two.", r#""priority":"high""#),
        raw_job("Two."),
    ];
    api.post("/v1/jobs/bulk", lines.join("\n")).await?;
    // The first waits for the queue; the patient one of the others for the urgent one;
    // the one before all others for nobody.
    let places = "SELECT CASE WHEN q.source_id IS NULL THEN '-'
                              ELSE (SELECT count(*) FROM offpeak.ready s
                                     WHERE s.id < q.source_id)::text END
                    FROM offpeak.ready q ORDER BY id";
    assert_eq!(
        api.world.texts(places).await?,
        ["-", "0", "3", "-", "-", "-", "5"]
    );
    api.world.check_invariants().await?;
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 4);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_never_share() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("globex").await?;
    for key in [api.key.clone(), other] {
        for path in ["/v1/jobs", "/v1/jobs/bulk"] {
            let answer = api
                .send(Method::POST, path, &key, &[], raw_job("One."))
                .await?;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    }
    api.world.run_out().await?;
    let all = ["completed batch", "completed batch shared"];
    assert_eq!(stand(&api.world).await?, [all, all].concat());
    assert_eq!(paid(&api.world)?, 2, "one for each tenant");
    let crossed = "SELECT count(*) FROM offpeak.result r JOIN offpeak.job s ON s.id = r.source_id
                    WHERE s.tenant_id <> r.tenant_id";
    assert_eq!(api.world.number(crossed).await?, 0);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_hurry_does_not_wait_for_the_patient() -> Result<()> {
    let mut api = Api::new().await?;
    post(&api, raw_job("One.")).await?;
    let urgent = with("One.", r#""deliver_within":"1h""#);
    let lead = post(&api, urgent.clone()).await?;
    assert_eq!((source(&lead), lead.at("/lane")), (None, "direct".into()));
    // It leads from now on, the patient ones too.
    let lead = Some(lead.at("/id"));
    let third = post(&api, urgent).await?;
    assert_eq!(
        (source(&third), third.at("/lane")),
        (lead.clone(), "direct".into())
    );
    assert_eq!(source(&post(&api, raw_job("One.")).await?), lead);
    assert_eq!(
        source(&post(&api, with("One.", r#""priority":"high""#)).await?),
        None
    );
    api.world.check_invariants().await?;
    // Nothing is faster than a call that is made already.
    api.world.pass(Duration::from_mins(59));
    let outcome = api.world.worker.tick(Loop::Escalate).await?;
    assert_eq!(outcome.seen.escalated, (0, 0));
    let called = api.world.worker.tick(Loop::Direct).await?;
    assert!(called.wakes.contains(&Loop::Share), "answered at once");
    assert_eq!(api.world.worker.tick(Loop::Share).await?.done, 2);
    let all = [
        "queued batch",
        "completed direct",
        "completed direct shared",
        "completed batch shared",
        "queued batch",
    ];
    assert_eq!(stand(&api.world).await?, all);
    let lanes = "SELECT lane FROM offpeak.ledger WHERE source_id IS NOT NULL";
    assert_eq!(api.world.texts(lanes).await?, ["direct", "direct"]);
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 3);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_canceled_the_next_one_leads() -> Result<()> {
    let mut api = Api::new().await?;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(post(&api, raw_job("One.")).await?.at("/id"));
    }
    let cancel = async |api: &Api, id: &str| {
        let answer = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
        assert_eq!(answer.at("/state"), "canceled", "{answer:?}");
        api.world.check_invariants().await
    };
    cancel(&api, &ids[0]).await?;
    let outcome = api.world.worker.tick(Loop::Share).await?;
    assert_eq!(
        (outcome.done, &outcome.wakes[..]),
        (3, &[Loop::Form, Loop::Direct][..])
    );
    let shown = api.get(&format!("/v1/jobs/{}", ids[3])).await?;
    assert_eq!(source(&shown).as_ref(), Some(&ids[1]));
    // Who comes now follows the new leader; a follower that is canceled leaves nobody.
    let fifth = post(&api, raw_job("One.")).await?;
    assert_eq!(source(&fifth).as_ref(), Some(&ids[1]));
    cancel(&api, &ids[2]).await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    api.world.worker.tick(Loop::Submit).await?;
    // Now it is at Anthropic, and will be paid.
    cancel(&api, &ids[1]).await?;
    api.world.run_out().await?;
    api.world.pass(Duration::from_mins(2));
    api.world.worker.settle_down().await?;
    let all = [
        "canceled batch",
        "canceled batch",
        "canceled batch",
        "completed batch",
        "completed batch shared",
    ];
    assert_eq!(stand(&api.world).await?, all);
    assert_eq!(paid(&api.world)?, 2);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_on_the_request_is_shared() -> Result<()> {
    let mut api = Api::new().await?;
    api.world.standin.set_faults(batch(Plan {
        errored: [("invalid_request_error".to_owned(), 1.0)].into(),
        ..Plan::default()
    }));
    let first = post(&api, raw_job("One.")).await?;
    let second = post(&api, raw_job("One.")).await?;
    api.world.run_out().await?;
    let all = [
        "failed invalid_request batch",
        "failed invalid_request batch shared",
    ];
    assert_eq!(stand(&api.world).await?, all);
    assert_eq!(paid(&api.world)?, 0);
    let result = async |job: &Answer| api.get(&format!("/v1/jobs/{}/result", job.at("/id"))).await;
    let (first, copy) = (result(&first).await?, result(&second).await?);
    for same in ["/error", "/reason", "/label", "/standin"] {
        assert_eq!(copy.at(same), first.at(same), "{same}");
    }
    // One that is run again goes its own way, and nobody is paid for twice.
    let again = format!("/v1/jobs/{}/retry", copy.at("/job"));
    let again = api.post(&again, "").await?;
    assert_eq!((again.status, again.at("/attempt")), (200, "2".into()));
    assert!(again.json()["source"].is_null());
    assert_eq!(
        source(&post(&api, raw_job("One.")).await?),
        None,
        "it leads nobody"
    );
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 2);
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_reused_for_as_long_as_the_type_says() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "kept", json!({"reuse_for": "2h"})).await?;
    let lead = post(&api, typed("kept", "")).await?.at("/id");
    api.world.run_out().await?;
    // Answered by what is there, at once.
    let hit = post(&api, typed("kept", r#","user":"ada""#)).await?;
    assert_eq!(source(&hit), Some(lead.clone()));
    assert_eq!(api.world.worker.tick(Loop::Share).await?.done, 1);
    let upload = typed("kept", "") + "\n" + &typed("kept", "");
    api.post("/v1/jobs/bulk", upload).await?;
    assert_eq!(api.world.worker.tick(Loop::Share).await?.done, 2);
    assert_eq!(paid(&api.world)?, 1);
    // Not once it is too old …
    let older = "UPDATE offpeak.alike SET ended_at = ended_at - interval '3 hours',
                                          kept_until = kept_until - interval '3 hours'";
    api.world.meddle(older).await?;
    let miss = post(&api, typed("kept", "")).await?;
    assert_eq!(source(&miss), None);
    api.world.run_out().await?;
    // … nor when it was set aside.
    let again = format!("/v1/jobs/{}/retry?completed=true", miss.at("/id"));
    assert_eq!(api.post(&again, "").await?.status, 200);
    assert_eq!(source(&post(&api, typed("kept", "")).await?), None);
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 4);
    // Nobody remembers it for longer than that.
    api.world.meddle(older).await?;
    api.world.worker.tick(Loop::Tend).await?;
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.alike")
            .await?,
        0
    );
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reused_unless_that_is_asked_for() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "fresh", json!({})).await?;
    for body in [typed("fresh", ""), raw_job("One.")] {
        post(&api, body.clone()).await?;
        api.world.run_out().await?;
        assert_eq!(source(&post(&api, body).await?), None);
        api.world.run_out().await?;
    }
    assert_eq!(paid(&api.world)?, 4);
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.alike")
            .await?,
        0
    );
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_an_answer_of_its_own_says_so() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "own", json!({"coalesce": false})).await?;
    let shared = async |body: String| anyhow::Ok(source(&post(&api, body).await?).is_some());
    let own = r#","coalesce":false"#;
    assert!(!shared(raw_job("One.")).await?);
    assert!(!shared(with("One.", &own[1..])).await?);
    assert!(shared(raw_job("One.")).await?);
    assert!(!shared(typed("own", "")).await?);
    assert!(!shared(typed("own", "")).await?);
    assert!(!shared(typed("own", r#","coalesce":true"#)).await?);
    assert!(shared(typed("own", r#","coalesce":true"#)).await?);
    let bad = api
        .post("/v1/jobs", with("One.", r#""coalesce":"no""#))
        .await?;
    assert_eq!(
        bad.problem(),
        r#"422 invalid_input "/coalesce" "wrong_type""#
    );
    api.world.run_out().await?;
    assert_eq!(paid(&api.world)?, 5);
    books::are_right(&api.world).await
}
