//! Erasure: what a tenant has put into any place is found nowhere afterwards, and what
//! another has, everywhere that it was.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::TenantId;
use offpeak_domain::scope::Role;
use offpeak_standin::{Call, Fault, Faults, Plan, Rule, Status, Times};
use offpeak_store::erasure;
use offpeak_testkit::world::{SECOND_KEY, World};
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, raw_job};
use crate::api_observe::database_url;
use crate::api_people::{browser, operator};
use crate::api_upstream::run;
use crate::cli::offpeak;
use crate::own_upstream;

const HOUR: Duration = Duration::from_hours(1);

/// Texts that stand in one place each. None is compressed away: a value of a few hundred
/// bytes stays as it is in its row, and a longer one is read through the database, which
/// takes it apart.
pub(crate) struct Canaries(&'static str, pub(crate) Vec<&'static str>);

impl Canaries {
    pub(crate) fn new(whose: &'static str) -> Self {
        Self(whose, Vec::new())
    }

    /// The text for a place, distinct and without a meaning.
    pub(crate) fn at(&mut self, place: &'static str) -> String {
        self.1.push(place);
        self.text(place)
    }

    pub(crate) fn text(&self, place: &str) -> String {
        // What a place is called must not be found by itself.
        let sum: u32 = place.bytes().fold(7, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        format!("{}zq{sum:08x}", self.0)
    }
}

/// Where the texts of these places stand, by place.
async fn found(world: &World, canaries: &Canaries) -> Result<BTreeMap<String, Vec<String>>> {
    let texts: Vec<String> = canaries
        .1
        .iter()
        .map(|place| canaries.text(place))
        .collect();
    let found = world.found(&texts).await?;
    let named = canaries.1.iter().zip(&texts);
    Ok(named
        .filter_map(|(place, text)| Some(((*place).to_owned(), found.get(text)?.clone())))
        .collect())
}

async fn ok(answer: impl Future<Output = Result<Answer>>) -> Result<Answer> {
    let answer = answer.await?;
    anyhow::ensure!((200..300).contains(&answer.status), "{answer:?}");
    Ok(answer)
}

/// Puts a text of its own into every place that takes one, and lets all of it work but
/// one batch, which is at Anthropic.
pub(crate) async fn fill(
    api: &mut Api,
    tenant: TenantId,
    key: &str,
    canaries: &mut Canaries,
) -> Result<()> {
    let send = |method: Method, path: &'static str, body: Value| {
        ok(api.send(method, path, key, &[], body.to_string()))
    };
    send(
        Method::POST,
        "/v1/job-types",
        json!({
            "name": "letters", "model": "claude-haiku-5-5", "max_tokens": 64,
            "description": canaries.at("description"),
            "template": format!("{} {{{{ text }}}}", canaries.at("template")),
            "input_schema": {"type": "object", "title": canaries.at("input schema"),
                             "properties": {"text": {"type": "string"}}},
        }),
    )
    .await?;
    send(
        Method::POST,
        "/v1/contexts",
        json!({"title": canaries.at("context title"), "text": canaries.at("context")}),
    )
    .await?;
    send(
        Method::POST,
        "/v1/keys",
        json!({"name": canaries.at("key name")}),
    )
    .await?;
    send(
        Method::PUT,
        "/v1/budgets",
        json!({"scope": "user", "name": canaries.at("budget name"), "period": "day",
               "limit": "100", "hard": false}),
    )
    .await?;
    let job = json!({
        "type": "letters", "input": {"text": canaries.at("input")},
        "user": canaries.at("user"), "metadata": {"m": canaries.at("metadata")},
        "idempotency_key": canaries.at("idempotency key"),
    });
    send(Method::POST, "/v1/jobs", job).await?;
    let prompt = |text: String| {
        json!({"params": {"model": "claude-haiku-5-5", "max_tokens": 64,
                          "messages": [{"role": "user", "content": text}]}})
    };
    let lines = format!("{}\n", prompt(canaries.at("bulk prompt")));
    let path = format!("/v1/jobs/bulk?name={}", canaries.at("group"));
    let header = [("content-type", "application/x-ndjson")];
    ok(api.send(Method::POST, &path, key, &header, lines)).await?;
    api.world.run_out().await?;

    // What only Anthropic writes stands in its place by our hand.
    for (sql, place) in [
        ("UPDATE offpeak.output SET line = convert_to(
              replace(convert_from(line, 'UTF8'), '\"text\":\"', '\"text\":\"' || $2), 'UTF8')
            WHERE tenant_id = $1", "result"),
        ("UPDATE offpeak.result SET message = $2 WHERE tenant_id = $1", "error"),
        ("INSERT INTO offpeak.attempt (tenant_id, id, attempt, outcome, ended_at, line)
          SELECT tenant_id, id, 9, 'expired', now(), convert_to($2, 'UTF8')
            FROM offpeak.result WHERE tenant_id = $1", "line set aside"),
        ("INSERT INTO offpeak.quarantine (tenant_id, batch_id, line_hash, kind, bytes, at, head)
          SELECT tenant_id, id, sha256(''), 'not_json', 9, now(), convert_to($2, 'UTF8')
            FROM offpeak.batch WHERE tenant_id = $1 LIMIT 1", "quarantined line"),
        ("UPDATE offpeak.batch SET last_error = $2 WHERE tenant_id = $1", "batch error"),
        ("INSERT INTO offpeak.origin (tenant_id, origin) VALUES ($1, 'https://' || $2)", "origin"),
        ("INSERT INTO offpeak.person (tenant_id, id, name, role) VALUES ($1, $1, $2, 'viewer')", "person"),
        ("INSERT INTO offpeak.ticket (tenant_id, id, digest, key_id, user_label, created_at, expires_at)
          VALUES ($1, $1, decode(repeat('00', 32), 'hex'), $1, $2, now(), now() + interval '1 day')", "ticket user"),
        ("INSERT INTO offpeak.took (tenant_id, day, type, bin, n) VALUES ($1, current_date, $2, 1, 1)", "type in counts"),
        ("INSERT INTO offpeak.estimate_error VALUES ($1, $2, 'm', 1, 1, 1, 1)", "type in estimates"),
    ] {
        let text = canaries.at(place);
        api.world.put(sql, tenant, &text).await.context(place)?;
    }
    // At work when the erasure begins: at Anthropic, and in the queue.
    let header = [("content-type", "application/json")];
    let under_way = prompt(canaries.at("prompt at work")).to_string();
    ok(api.send(Method::POST, "/v1/jobs", key, &header, under_way)).await?;
    api.world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        api.world.worker.tick(which).await?;
    }
    let waits = prompt(canaries.at("prompt in the queue")).to_string();
    ok(api.send(Method::POST, "/v1/jobs", key, &header, waits)).await?;
    Ok(())
}

async fn begin(world: &World) -> Result<()> {
    let mut tx = world.system.begin().await?;
    erasure::begin_here(&mut tx, world.tenant).await?;
    Ok(tx.commit().await?)
}

async fn state(world: &World) -> Result<String> {
    Ok(world
        .texts("SELECT state FROM offpeak.erasure")
        .await?
        .join(","))
}

#[tokio::test]
async fn nothing_of_an_erased_tenant_is_found_in_the_whole_database() -> Result<()> {
    let mut api = Api::plain().await?;
    let (mine, key) = (api.world.tenant, api.key.clone());
    let (other, other_key) = api.tenant("globex").await?;
    let (mut gone, mut stay) = (Canaries::new("aa"), Canaries::new("bb"));
    fill(&mut api, other, &other_key, &mut stay).await?;
    // The one whose batch is still at Anthropic comes last.
    fill(&mut api, mine, &key, &mut gone).await?;
    let page = browser(&api, "ada", Role::Admin).await?;
    let (was, theirs) = (
        found(&api.world, &gone).await?,
        found(&api.world, &stay).await?,
    );
    let places: Vec<&str> = was.keys().map(String::as_str).collect();
    let mut all = gone.1.clone();
    all.sort_unstable();
    assert_eq!(places, all, "each stands somewhere before");

    // Begun by an operator, who has to say whose.
    let operator = operator(&api).await?;
    let path = format!("/v1/operator/tenants/{mine}/erasure");
    let asked = |body: &'static str| api.as_page(Method::POST, &path, &operator, body);
    let not_begun = api.as_page(Method::GET, &path, &operator, "").await?;
    assert_eq!(not_begun.problem(), "404 not_found");
    let wrong = asked(r#"{"name":"globex"}"#).await?;
    assert_eq!(wrong.problem(), r#"422 invalid_input "/name" "wrong_name""#);
    let begun = asked(r#"{"name":"acme"}"#).await?;
    assert_eq!((begun.status, begun.at("/state")), (202, "refusing".into()));
    assert_eq!(asked(r#"{"name":"acme"}"#).await?.status, 200);

    // From the very commit nothing is opened or taken.
    for (method, path, body) in [
        (Method::GET, "/v1/jobs", String::new()),
        (Method::POST, "/v1/jobs", raw_job("late")),
        (Method::GET, "/v1/retention", String::new()),
    ] {
        let refused = api
            .send(method.clone(), path, &key, &[], body.clone())
            .await?;
        assert_eq!(refused.problem(), "403 tenant_erased", "{path}");
        let refused = api.as_page(method, path, &page, &body).await?;
        assert_eq!(refused.problem(), "403 tenant_erased", "{path}");
    }

    // Once round: content is gone, although a batch is at Anthropic still.
    while api.world.worker.tick(Loop::Purge).await?.done > 0 {}
    assert_eq!(state(&api.world).await?, "canceling");
    assert_eq!(found(&api.world, &gone).await?, BTreeMap::new());
    let refused = api.get("/v1/jobs").await?;
    assert_eq!(refused.problem(), "401 unauthenticated");

    // What was at work comes to its end, and is deleted there and here.
    let kept = api.world.listed().await?.len();
    for _ in 0..40 {
        api.world.pass(Duration::from_mins(1));
        api.world.worker.settle_down().await?;
        if state(&api.world).await? == "done" {
            break;
        }
    }
    assert_eq!(state(&api.world).await?, "done");
    assert_eq!(found(&api.world, &gone).await?, BTreeMap::new());
    assert_eq!(api.world.tables_of(mine).await?, ["erasure", "ledger"]);
    assert!(api.world.listed().await?.len() < kept);
    // Of its audit log it is known how long it was and how it ended.
    let audited = "SELECT audit_entries FROM offpeak.erasure WHERE audit_hash IS NOT NULL";
    assert!(api.world.number(audited).await? > 0);
    let labels = "SELECT count(*) FROM offpeak.ledger l JOIN offpeak.erasure e USING (tenant_id)
                   WHERE num_nonnulls(l.user_label, l.type, l.group_id) > 0";
    assert_eq!(api.world.number(labels).await?, 0);
    let shown = api.as_page(Method::GET, &path, &operator, "").await?;
    assert_eq!(shown.at("/state"), "done");
    assert_eq!(shown.at("/jobs"), "4");

    // The other tenant has all that it had, and works on.
    let now = found(&api.world, &stay).await?;
    for (place, columns) in &theirs {
        assert!(now.contains_key(place), "{place} was in {columns:?}");
    }
    api.world.run_out().await?;
    let page = api
        .send(Method::GET, "/v1/jobs", &other_key, &[], "")
        .await?;
    assert_eq!(page.status, 200);
    api.world.check_invariants().await
}

#[tokio::test]
async fn ids_stay_until_anthropic_has_deleted_what_it_keeps() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["one", "two"]).await?;
    world.run_out().await?;
    begin(&world).await?;
    assert!(world.tenants.begin(world.tenant).await.is_err());
    let status = Status {
        status: 500,
        ..Status::default()
    };
    world.standin.set_faults(Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new(vec![Call::Delete], Fault::Status(status))
        }],
        ..Faults::default()
    });
    for _ in 0..3 {
        world.worker.settle_down().await?;
        world.pass(HOUR);
    }
    // A second process goes on where the first one ended.
    let second = world.second_worker(offpeak_worker::Options::default())?;
    anyhow::ensure!(world.expire_leases().await?, "a lease is in use");
    second.settle_down().await?;
    assert_eq!(state(&world).await?, "deleting");
    let left = world.tables_of(world.tenant).await?;
    assert_eq!(left, ["batch", "data_key", "erasure", "ledger"]);
    assert_eq!(world.listed().await?.len(), 1);
    world.standin.clear_faults();
    world.pass(HOUR);
    second.settle_down().await?;
    assert_eq!(state(&world).await?, "done");
    assert!(world.listed().await?.is_empty());
    assert_eq!(world.tables_of(world.tenant).await?, ["erasure", "ledger"]);
    world.check_invariants().await
}

#[tokio::test]
async fn a_key_of_ones_own_ends_and_deletes_its_batches_before_it_goes() -> Result<()> {
    let mut world = World::new().await?;
    own_upstream::enroll(&world, world.tenant, SECOND_KEY).await?;
    // Asked to end when each of its items is done: what they cost stays in the books.
    let late = Fault::Batch(Plan {
        cancel_completes: true,
        ..Plan::default()
    });
    world.standin.set_faults(Faults {
        rules: vec![Rule::new(vec![Call::Create], late)],
        ..Faults::default()
    });
    world.submit(&["one", "two"]).await?;
    world.pass(Duration::from_secs(10));
    for which in [Loop::Form, Loop::Submit] {
        world.worker.tick(which).await?;
    }
    let at_work = "SELECT count(*) FROM offpeak.batch
                    WHERE state = 'in_progress' AND upstream_id = tenant_id";
    assert_eq!(world.number(at_work).await?, 1);
    begin(&world).await?;
    for _ in 0..40 {
        world.worker.settle_down().await?;
        if state(&world).await? == "done" {
            break;
        }
        world.pass(Duration::from_mins(1));
    }
    assert_eq!(state(&world).await?, "done");
    let deleted = "SELECT batches FROM offpeak.erasure";
    assert_eq!(world.number(deleted).await?, 1);
    let left = world.tables_of(world.tenant).await?;
    assert_eq!(left, ["erasure", "ledger"]);
    let booked = "SELECT count(*) FROM offpeak.ledger";
    assert_eq!(world.number(booked).await?, 2);
    let named = "SELECT count(*) FROM offpeak.upstream u JOIN offpeak.tenant t ON t.id = u.id
                  WHERE u.name = t.name AND u.name LIKE 'erased-%'";
    assert_eq!(world.number(named).await?, 1);
    world.check_invariants().await
}

#[tokio::test]
async fn without_its_key_an_erasure_ends_once_an_operator_says_that_nothing_is_reached()
-> Result<()> {
    let api = Api::new().await?;
    let world = &api.world;
    let (folder, url) = (tempfile::tempdir()?, database_url(world)?);
    let with = |arguments: &[&str]| {
        let mut command = offpeak(folder.path());
        command.env("DATABASE_URL", &url).args(arguments);
        command
    };
    let erase = async |more: &[&str]| {
        let erase = [
            "tenant",
            "erase",
            "acme",
            "--yes-erase-everything",
            "--json",
        ];
        run(with(&erase).args(more), "").await
    };
    let (code, said) = erase(&["--leave-upstream"]).await?;
    assert!(code == Some(2) && said.contains("never had"), "{said}");

    // A key is set by the database's clock, which may be ahead of the worker's here.
    world.pass(Duration::from_mins(1));
    own_upstream::enroll(world, world.tenant, SECOND_KEY).await?;
    for prompt in ["in doubt", "at Anthropic"] {
        api.post("/v1/jobs", raw_job(prompt)).await?;
        world.pass(Duration::from_secs(10));
        for which in [Loop::Form, Loop::Submit] {
            world.worker.tick(which).await?;
        }
    }
    // Of one nobody knows whether it was made; one more waits for its turn.
    let doubt = "UPDATE offpeak.batch SET state = 'uncertain', upstream_batch_id = NULL,
                        created_at = NULL, expires_at = NULL, next_poll_at = NULL
                  WHERE id = (SELECT id FROM offpeak.batch ORDER BY planned_at LIMIT 1)";
    world.meddle(doubt).await?;
    api.post("/v1/jobs", raw_job("planned")).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    let at = "SELECT state FROM offpeak.batch ORDER BY planned_at";
    let at = world.texts(at).await?;
    assert_eq!(at, ["uncertain", "in_progress", "planned"]);
    let (code, said) = erase(&["--leave-upstream"]).await?;
    assert!(
        code == Some(2) && said.contains("has a key of its own"),
        "{said}"
    );
    assert_eq!(state(world).await?, "", "and nothing began");

    // Its key goes while the erasure is under way: by it nothing can be done any more.
    assert_eq!(erase(&[]).await?.0, Some(0));
    let (code, said) = run(&mut with(&["upstream", "remove", "acme", "--yes"]), "").await?;
    assert_eq!(code, Some(0), "{said}");
    world.worker.tick(Loop::Enroll).await?;
    let on = async || -> Result<()> {
        for _ in 0..5 {
            world.pass(HOUR);
            world.worker.settle_down().await?;
        }
        Ok(())
    };
    on().await?;
    assert_eq!(state(world).await?, "canceling");
    let (code, said) = erase(&["--leave-upstream"]).await?;
    assert_eq!(code, Some(0), "{said}");
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(
        (&said["begun"], &said["open_batches_left"]),
        (&json!(false), &json!(2))
    );
    on().await?;
    assert_eq!(state(world).await?, "done");
    let says = "SELECT batches || ' ' || batches_left FROM offpeak.erasure";
    assert_eq!(world.texts(says).await?, ["0 2"]);
    assert_eq!(
        world.tables_of(world.tenant).await?,
        ["erasure", "left_batch"]
    );
    let left = "SELECT state || ' ' || items || ' ' || (upstream_batch_id IS NOT NULL)
                  FROM offpeak.left_batch ORDER BY state";
    assert_eq!(
        world.texts(left).await?,
        ["in_progress 1 true", "uncertain 1 false"]
    );
    let noted = "SELECT action || ' ' || detail FROM offpeak.audit
                  WHERE action LIKE 'tenant.%' ORDER BY seq";
    let noted = world.texts(noted).await?;
    assert_eq!(noted, ["tenant.erase ", "tenant.leave 2 open batches"]);
    world.check_invariants().await
}
