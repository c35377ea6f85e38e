//! A tenant's own Anthropic key, over HTTP and by the operator's commands.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_testkit::world::MASTER;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::api::{Answer, Api, raw_job};
use crate::api_observe::database_url;
use crate::cli::offpeak;
use crate::own_upstream::THIRD_KEY;

const KEY: &str = "sk-ant-api03-quite-secret-WXYZ";

async fn put(api: &Api, body: serde_json::Value) -> Result<Answer> {
    api.send(Method::PUT, "/v1/upstream", &api.key, &[], body.to_string())
        .await
}

async fn delete(api: &Api, query: &str) -> Result<Answer> {
    let path = format!("/v1/upstream{query}");
    api.send(Method::DELETE, &path, &api.key, &[], "").await
}

#[tokio::test]
async fn a_key_is_written_and_never_read() -> Result<()> {
    let api = Api::new().await?;
    let none = api.get("/v1/upstream").await?;
    assert_eq!(
        (none.at("/jobs_go"), none.at("/keys")),
        ("shared".into(), "[]".into())
    );
    assert_eq!(none.at("/available"), "true");
    let refused = put(&api, json!({"key": "short", "creates_per_minute": 0})).await?;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("/key") && refused.text.contains("/creates_per_minute"));
    assert_eq!(put(&api, json!({})).await?.status, 422);
    assert_eq!(delete(&api, "").await?.status, 404);

    let set = put(&api, json!({"key": KEY, "creates_per_minute": 5})).await?;
    assert_eq!(set.status, 202, "{set:?}");
    assert_eq!(set.at("/keys/0/state"), "checking");
    assert_eq!(set.at("/keys/0/last_four"), "WXYZ");
    assert_eq!(set.at("/jobs_go"), "shared");
    api.world.worker.tick(Loop::Enroll).await?;
    let good = api.get("/v1/upstream").await?;
    assert_eq!(
        (good.at("/keys/0/state"), good.at("/jobs_go")),
        ("current".into(), "own".into())
    );
    assert!(
        good.at("/keys/0/workspace").starts_with("wrkspc_"),
        "{good:?}"
    );

    let sealed = "SELECT count(*) FROM offpeak.upstream_key
                   WHERE length(sealed) > 40 AND position('secret'::bytea IN sealed) = 0";
    assert_eq!(api.world.number(sealed).await?, 1);

    // What depends on it is said before it is removed.
    let job = api.post("/v1/jobs", raw_job("one")).await?.at("/id");
    api.world.pass(Duration::from_mins(2));
    api.world.worker.tick(Loop::Form).await?;
    while api.world.worker.tick(Loop::Submit).await?.done > 0 {}
    api.post("/v1/jobs", raw_job("two")).await?;
    let kept = delete(&api, "").await?;
    assert_eq!(kept.problem(), "409 upstream_in_use");
    for said in [
        "1 batches with 1 jobs",
        "1 jobs wait",
        "until you set another key",
    ] {
        assert!(kept.at("/detail").contains(said), "{kept:?}");
    }
    assert_eq!(
        api.get("/v1/upstream").await?.at("/keys/0/state"),
        "current"
    );
    let removed = delete(&api, "?confirm=true").await?;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(
        (removed.at("/keys/0/state"), removed.at("/jobs_go")),
        ("removed".into(), "nowhere".into())
    );
    api.world.worker.tick(Loop::Enroll).await?;
    let held = api.get("/v1/overview").await?;
    assert!(
        held.at("/pause/reason").contains("own key was removed"),
        "{held:?}"
    );
    // A job in the open batch ends by a cancel, as any other.
    let canceled = api.post(&format!("/v1/jobs/{job}/cancel"), "").await?;
    assert_eq!(canceled.at("/state"), "canceled");

    // Audited, without what it is; and it stands nowhere in the database.
    let log = api.get("/v1/audit").await?;
    let said: Vec<_> = [
        "/data/1/action",
        "/data/1/detail",
        "/data/2/action",
        "/data/2/detail",
    ]
    .map(|at| log.at(at))
    .to_vec();
    assert_eq!(said, ["upstream.remove", "…WXYZ", "upstream.set", "…WXYZ"]);
    let dump = "SELECT schema_to_xml('offpeak', true, false, '')::text";
    let dump = api.world.texts(dump).await?.concat();
    assert!(dump.contains("…WXYZ") && !dump.contains("quite-secret"));
    for answer in [&none, &set, &good, &kept, &removed, &held, &log] {
        assert!(!answer.text.contains("quite-secret"), "{answer:?}");
    }
    Ok(())
}

/// The operator's command, with this on its standard input.
pub(crate) async fn run(command: &mut Command, input: &str) -> Result<(Option<i32>, String)> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("its input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let ran = child.wait_with_output().await?;
    let text = [ran.stdout, ran.stderr].concat();
    Ok((ran.status.code(), String::from_utf8(text)?))
}

#[tokio::test]
async fn the_operator_does_the_same_by_commands_and_rotates_the_master_key() -> Result<()> {
    let api = Api::new().await?;
    let folder = tempfile::tempdir()?;
    let url = database_url(&api.world)?;
    let with = |keys: &str, arguments: &[&str]| {
        let mut command = offpeak(folder.path());
        command.env("DATABASE_URL", &url).args(arguments);
        if !keys.is_empty() {
            command.env("OFFPEAK_VAULT_KEYS", keys);
        }
        command
    };
    let (code, said) = run(&mut with("", &["upstream", "set", "acme"]), KEY).await?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("offpeak vault key"), "{said}");
    let (code, said) = run(&mut with(MASTER, &["upstream", "set", "acme"]), KEY).await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("…WXYZ") && !said.contains("quite-secret"),
        "{said}"
    );
    api.world.worker.tick(Loop::Enroll).await?;
    let (_, said) = run(&mut with("", &["upstream", "show", "acme"]), "").await?;
    assert!(said.contains("current") && said.contains("…WXYZ"), "{said}");

    // Without its master key nothing starts, and the error says what to do.
    for keys in ["", "test:AQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAgICAgI="] {
        let mut serve = with(keys, &["serve", "--listen", "127.0.0.1:0"]);
        serve.env("ANTHROPIC_API_KEY", "sk-ant-any");
        serve.env("ANTHROPIC_BASE_URL", &api.world.standin_url);
        let (code, said) = run(&mut serve, "").await?;
        assert_ne!(code, Some(0), "{said}");
        assert!(
            said.contains("\"test\"") && said.contains("[vault]"),
            "{said}"
        );
    }

    let (_, new) = run(&mut with("", &["vault", "key", "next", "--json"]), "").await?;
    let new: serde_json::Value = serde_json::from_str(&new)?;
    let new = new["key"].as_str().context("a key")?;
    let both = format!("{new},{MASTER}");
    let (code, said) = run(&mut with(&both, &["vault", "rotate", "--json"]), "").await?;
    assert_eq!(code, Some(0), "{said}");
    let said: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!(
        (&said["master"], &said["wrapped"], &said["left"]),
        (&json!("next"), &json!(1), &json!(0))
    );
    let (code, said) = run(&mut with(new, &["vault", "status"]), "").await?;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&mut with(MASTER, &["vault", "status"]), "").await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("missing in [vault]"), "{said}");

    let (code, said) = run(&mut with("", &["upstream", "remove", "acme"]), "").await?;
    assert_eq!(code, Some(0), "nothing depends on it: {said}");
    let (code, _) = run(
        &mut with("", &["upstream", "fallback", "acme", "allow"]),
        "",
    )
    .await?;
    assert_eq!(code, Some(0));
    assert_eq!(api.get("/v1/upstream").await?.at("/jobs_go"), "shared");
    Ok(())
}

#[tokio::test]
async fn what_is_said_of_when_goes_by_what_its_own_upstream_took() -> Result<()> {
    let mut api = Api::new().await?;
    let mine = api.key.clone();
    let (_, new) = api.tenant("initech").await?;
    let (_, without) = api.tenant("globex").await?;
    for (key, own) in [(&mine, KEY), (&new, THIRD_KEY)] {
        let body = json!({"key": own}).to_string();
        let set = api
            .send(Method::PUT, "/v1/upstream", key, &[], body)
            .await?;
        assert_eq!(set.status, 202, "{set:?}");
    }
    // The keys were set by the database's clock, which may be ahead of the worker's here.
    api.world.pass(Duration::from_mins(1));
    while api.world.worker.tick(Loop::Enroll).await?.done > 0 {}
    for key in [&mine, &new] {
        let shown = api.send(Method::GET, "/v1/upstream", key, &[], "").await?;
        assert_eq!(shown.at("/jobs_go"), "own", "{shown:?}");
    }
    // Batches take a minute at the deployment's upstream, and four hours and a half at one
    // of these two; at the other none was measured.
    api.world
        .meddle(
            "INSERT INTO offpeak.turnaround (upstream_id, lane, day, hour, size, bin, n)
             SELECT u.id, 'batch', (clock_timestamp() AT TIME ZONE 'UTC')::date, 0, 0,
                    CASE WHEN t.id IS NULL THEN 24 ELSE 56 END, 20
               FROM offpeak.upstream u
               LEFT JOIN offpeak.tenant t ON t.id = u.id
              WHERE t.name IS DISTINCT FROM 'initech'",
        )
        .await?;
    let hour = Duration::from_hours(1);
    for (key, lane, after) in [
        (&without, "batch", Some(Duration::ZERO..hour)),
        (&mine, "direct", Some(4 * hour..5 * hour)),
        (&new, "direct", None),
    ] {
        let job = async |within: Option<&str>| -> Result<serde_json::Value> {
            let mut body: serde_json::Value = serde_json::from_str(&raw_job("when"))?;
            if let Some(within) = within {
                body["deliver_within"] = json!(within);
            }
            let made = api
                .send(Method::POST, "/v1/jobs", key, &[], body.to_string())
                .await?;
            assert_eq!(made.status, 202, "{made:?}");
            Ok(made.json())
        };
        assert_eq!(job(Some("1h")).await?["lane"], lane);
        let patient = job(None).await?;
        let at = |name: &str| -> Option<OffsetDateTime> {
            OffsetDateTime::parse(patient[name].as_str()?, &Rfc3339).ok()
        };
        let made = at("created_at").context("a time")?;
        let expected = at("expected_by").map(|expected| Duration::try_from(expected - made));
        match (expected.transpose()?, after) {
            (Some(expected), Some(after)) => assert!(after.contains(&expected), "{patient}"),
            (expected, after) => assert_eq!((expected, after), (None, None), "{patient}"),
        }
    }
    Ok(())
}
