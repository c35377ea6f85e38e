//! What is asked and answered, sealed: in clear in no table, and whole for whoever may read.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::JobId;
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::Times;
use offpeak_store::{Error, Sealer, Tenants, batch, job};
use offpeak_testkit::world::{World, params, terms};
use offpeak_worker::{Loop, Options};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, raw_job};
use crate::books;
use crate::caching::{job_type, jobs, submit};
use crate::quarantine;

/// Repeated, so that what compresses well does, too.
fn canary(of: &str) -> String {
    format!("zq{of}cnry ").repeat(30)
}

/// The canaries of what is asked. Each is looked for in its shortest form.
const ASKED: [&str; 4] = ["context", "bulk", "single", "twice"];

/// Submits in every way, lets it be answered, and queues one of them again. Gives the
/// single job with its params, and the ids of Anthropic's messages, which stand in lines.
async fn fill(api: &mut Api) -> Result<(String, Vec<u8>, Vec<String>)> {
    job_type(api, "brief", 10).await?;
    let text = canary("context");
    let context = api
        .post("/v1/contexts", json!({ "text": text }).to_string())
        .await?;
    submit(api, jobs("brief", &[&context.at("/id")], 2)).await?;
    submit(api, raw_job(&canary("bulk")) + "\n").await?;
    let single = api.post("/v1/jobs", raw_job(&canary("single"))).await?;
    let twice = api.post("/v1/jobs", raw_job(&canary("twice"))).await?;
    api.world.run_out().await?;
    let mut messages = Vec::new();
    let twice = format!("/v1/jobs/{}", twice.at("/id"));
    let first = api.get(&format!("{twice}/result")).await?;
    messages.push(first.at("/message/id"));
    let again = format!("{twice}/retry?completed=true");
    let again = api.post(&again, "").await?;
    assert!((200..300).contains(&again.status), "{again:?}");
    api.world.run_out().await?;
    let id = single.at("/id");
    for path in [format!("/v1/jobs/{id}"), twice] {
        let result = api.get(&format!("{path}/result")).await?;
        messages.push(result.at("/message/id"));
    }
    assert!(
        messages.iter().all(|id| id.starts_with("msg_")),
        "{messages:?}"
    );
    Ok((id, params(&canary("single")), messages))
}

async fn found(world: &World, messages: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let asked = ASKED.map(|of| canary(of).trim()[..10].to_owned());
    world.found(&[&asked[..], messages].concat()).await
}

#[tokio::test]
async fn nothing_that_was_asked_or_answered_stands_in_clear() -> Result<()> {
    // What is looked for is found where it is plain.
    let mut plain = Api::plain().await?;
    let (_, _, messages) = fill(&mut plain).await?;
    let was = found(&plain.world, &messages).await?;
    assert_eq!(was.len(), ASKED.len() + messages.len(), "{was:?}");
    let columns: Vec<&String> = was.values().flatten().collect();
    for column in [
        "payload.params",
        "output.line",
        "attempt.line",
        "context.body",
    ] {
        assert!(
            columns.iter().any(|is| *is == column),
            "{column} of {was:?}"
        );
    }

    let mut api = Api::new().await?;
    let (id, asked, messages) = fill(&mut api).await?;
    assert_eq!(found(&api.world, &messages).await?, BTreeMap::new());
    let sealed = "SELECT string_agg(DISTINCT of || key_id, ' ' ORDER BY of || key_id)
                    FROM (SELECT 'params ' AS of, key_id FROM offpeak.payload
                           UNION ALL SELECT 'line ', key_id FROM offpeak.output
                           UNION ALL SELECT 'aside ', key_id FROM offpeak.attempt
                           UNION ALL SELECT 'body ', key_id FROM offpeak.context) AS all_of_it";
    let sealed = api.world.texts(sealed).await?;
    assert_eq!(sealed, ["aside 1 body 1 line 1 params 1"]);
    // Each for its own row: the same text twice is not the same twice.
    let alike = "SELECT count(*) - count(DISTINCT params) FROM offpeak.payload";
    assert_eq!(api.world.number(alike).await?, 0);

    // And whoever may read it has it byte for byte.
    let request = api.get(&format!("/v1/jobs/{id}/request")).await?;
    assert_eq!(request.text.as_bytes(), asked);
    let context = canary("context");
    let listed = api.get("/v1/jobs?limit=50").await?.json();
    let all = listed["data"].as_array().context("jobs")?;
    let mut briefs = 0;
    for job in all.iter().filter(|job| job["type"] == "brief") {
        let path = format!("/v1/jobs/{}/request", job["id"].as_str().context("id")?);
        let request: Value = api.get(&path).await?.json();
        assert!(request.to_string().contains(context.trim()), "{request}");
        briefs += 1;
    }
    assert_eq!(briefs, 2);
    let key = api.key.clone();
    let export = api.send(Method::GET, "/v1/export", &key, &[], "").await?;
    for text in ASKED.iter().filter(|of| **of != "context") {
        assert!(export.text.contains(canary(text).trim()), "{text}");
    }
    for message in &messages {
        assert!(export.text.contains(message), "{message}");
    }
    books::are_right(&api.world).await?;
    api.world.check_invariants().await
}

#[tokio::test]
async fn how_a_line_begins_that_was_put_aside_is_sealed_and_its_tenant_exports_it() -> Result<()> {
    for (mut api, in_clear) in [(Api::plain().await?, 1), (Api::new().await?, 0)] {
        api.post("/v1/jobs", raw_job("One.")).await?;
        api.world.pass(Duration::from_secs(10));
        api.world.worker.tick(Loop::Form).await?;
        api.world.worker.tick(Loop::Submit).await?;
        let ids = "SELECT upstream_batch_id FROM offpeak.batch";
        let ids = api.world.texts(ids).await?;
        let unread = quarantine::damage("nul", 0, &ids[0], Times::ALWAYS)?;
        let faults = quarantine::rules(vec![unread]);
        api.world.standin.set_faults(faults);
        quarantine::read_out(&api.world).await?;
        let legible = "SELECT count(*) FROM offpeak.quarantine
                        WHERE position('custom_id'::bytea IN head) > 0";
        assert_eq!(api.world.number(legible).await?, in_clear);

        let export = api.get("/v1/export").await?;
        let mut flawed = Vec::new();
        for line in export.text.lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["kind"] == "flawed_line" {
                flawed.push(line["data"].clone());
            }
        }
        let [one] = &flawed[..] else {
            anyhow::bail!("not one line: {flawed:?}");
        };
        assert_eq!(one["flaw"], "nul");
        assert_eq!(one["sha256"].as_str().map(str::len), Some(64));
        let begins = one["begins"].as_str().context("how it begins")?;
        assert!(begins.starts_with("{\"custom_id\""), "{begins}");
        assert_eq!(one["bytes"], begins.len());
        // And it is nobody else's.
        let (_, other) = api.tenant("globex").await?;
        let theirs = api.send(Method::GET, "/v1/export", &other, &[], "").await?;
        assert!(!theirs.text.contains("flawed_line"));
    }
    Ok(())
}

#[tokio::test]
async fn what_was_changed_or_moved_is_an_error_and_is_not_sent() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other_key) = api.tenant("globex").await?;
    let ids = [
        api.post("/v1/jobs", raw_job("one")).await?.at("/id"),
        api.post("/v1/jobs", raw_job("two")).await?.at("/id"),
    ];
    let header = [("content-type", "application/json")];
    let theirs = api.send(
        Method::POST,
        "/v1/jobs",
        &other_key,
        &header,
        raw_job("theirs"),
    );
    let theirs = theirs.await?.at("/id");
    // Each has the params of the other one.
    api.world
        .meddle(
            "UPDATE offpeak.payload p SET params = q.params
               FROM offpeak.payload q
              WHERE p.tenant_id = q.tenant_id AND p.id <> q.id",
        )
        .await?;
    for id in &ids {
        let request = api.get(&format!("/v1/jobs/{id}/request")).await?;
        assert_eq!(request.status, 500, "{request:?}");
        assert!(!request.text.contains("messages"), "{request:?}");
    }
    for _ in 0..6 {
        // Its batches come to nothing, and those of others go on.
        let _ = api.world.worker.settle_down().await;
        api.world.pass(std::time::Duration::from_secs(30));
    }
    let journal = api.world.standin.journal()?;
    assert_eq!(journal.len(), 1, "only what opens was sent");
    let path = format!("/v1/jobs/{theirs}/request");
    let request = api.send(Method::GET, &path, &other_key, &[], "").await?;
    assert_eq!(request.text.as_bytes(), params("theirs"));
    let result = format!("/v1/jobs/{theirs}/result");
    let result = api.send(Method::GET, &result, &other_key, &[], "").await?;
    assert_eq!(result.at("/state"), "completed", "{result:?}");
    Ok(())
}

#[tokio::test]
async fn what_does_not_open_keeps_no_other_job_waiting() -> Result<()> {
    let mut world = World::new().await?;
    // An answer that two jobs wait for each; the first one's is changed by somebody.
    let patient = Terms::default();
    let alike = ["one", "one", "two", "two"].map(|text| (text, patient));
    world.submit_sharing(Lane::Batch, &alike).await?;
    world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        world.worker.tick(which).await?;
    }
    world.pass(Duration::from_mins(2));
    for which in [Loop::Poll, Loop::Ingest] {
        world.worker.tick(which).await?;
    }
    let waiting = "SELECT count(*) FROM offpeak.shared";
    assert_eq!(world.number(waiting).await?, 2);
    world
        .meddle(
            "UPDATE offpeak.output SET line = line || '\\x00'
              WHERE id = (SELECT id FROM offpeak.shared ORDER BY at, id LIMIT 1)",
        )
        .await?;
    world.run_out().await?;
    assert_eq!(world.counted("completed").await?, 4);
    // Who waited for what cannot be read was sent.
    assert_eq!(world.standin.journal()?.len(), 3);

    // And of two that are called for, the one whose params are whole.
    let urgent = |text| (text, terms(Duration::from_mins(1), OnLate::Wait));
    let jobs = [urgent("three"), urgent("four")];
    let ids = world.submit_urgent(Lane::Direct, &jobs).await?;
    let changed = "UPDATE offpeak.payload SET params = params || '\\x00'
                    WHERE tenant_id = $1 AND id = $2::uuid";
    let first = ids[0].as_uuid().to_string();
    world.put(changed, world.tenant, &first).await?;
    for _ in 0..3 {
        world.worker.tick(Loop::Direct).await?;
    }
    assert_eq!(world.counted("completed").await?, 5);
    assert_eq!(world.open_jobs().await?, 1);
    Ok(())
}

#[tokio::test]
async fn with_payloads_off_new_content_is_plain_and_both_are_read() -> Result<()> {
    let mut world = World::new().await?;
    let before = world.submit(&["before"]).await?;
    // The next processes, with the setting changed.
    let mut options = world.options(world.connect.clone());
    options.sealer = Sealer::new(world.vault.clone(), false, StdRng::seed_from_u64(4));
    world.tenants = Tenants::new(&options);
    let after = world.submit(&["after"]).await?;
    let key_ids = "SELECT key_id::text FROM offpeak.payload ORDER BY id";
    assert_eq!(world.texts(key_ids).await?, ["1", "0"]);
    world.run_out().await?;
    for (ids, text) in [(&before, "before"), (&after, "after")] {
        assert_eq!(request(&world.tenants, &world, ids[0]).await?, params(text));
    }
    // Without master keys nothing starts (data_key::check); what runs all the same reads
    // what is plain.
    let none = Tenants::new(&offpeak_store::Options::new(world.connect.clone()));
    assert_eq!(request(&none, &world, after[0]).await?, params("after"));
    let closed = request(&none, &world, before[0]).await;
    assert!(matches!(closed, Err(Error::Unopened { .. })), "{closed:?}");
    books::are_right(&world).await
}

async fn request(
    tenants: &Tenants,
    world: &World,
    id: JobId,
) -> std::result::Result<Vec<u8>, Error> {
    let mut tx = tenants.begin(world.tenant).await?;
    job::params(&mut tx, id).await
}

#[tokio::test]
async fn plain_jobs_from_before_come_to_their_end_sealed() -> Result<()> {
    let mut world = World::plain(Options::default()).await?;
    let ids = world.submit(&["before the upgrade"]).await?;
    let called = world
        .submit_urgent(Lane::Direct, &[("called for", Terms::default())])
        .await?;
    let mut options = world.options(world.connect.clone());
    options.sealer = Sealer::new(world.vault.clone(), true, StdRng::seed_from_u64(4));
    let system = offpeak_store::System::new(&options);
    world.worker = world.worker_on(system.clone(), Options::default())?;
    world.run_out().await?;
    let read = batch::params(&system, world.tenant, &ids).await?;
    assert_eq!(read, [(ids[0], params("before the upgrade"))]);
    let key_ids = "SELECT p.key_id || ' ' || o.key_id
                     FROM offpeak.payload p JOIN offpeak.output o USING (tenant_id, id)";
    assert_eq!(world.texts(key_ids).await?, ["0 1"; 2], "{called:?}");
    books::are_right(&world).await
}
