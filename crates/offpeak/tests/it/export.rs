//! An export holds all that a tenant has put in, and nothing of another's.

use anyhow::{Context as _, Result};
use offpeak_domain::scope::Scope;
use offpeak_testkit::world::SECOND_KEY;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api_people::key_for;
use crate::erasure::{Canaries, fill};

/// Places of a tenant's text that serve offpeak alone.
const LEFT_OUT: [&str; 5] = [
    "idempotency key",
    "batch error",
    "ticket user",
    "type in counts",
    "type in estimates",
];

#[tokio::test]
async fn all_that_a_tenant_has_put_in_is_in_its_export() -> Result<()> {
    let mut api = Api::plain().await?;
    let (mine, key) = (api.world.tenant, api.key.clone());
    let (other, other_key) = api.tenant("globex").await?;
    let (mut own, mut theirs) = (Canaries::new("aa"), Canaries::new("bb"));
    fill(&mut api, other, &other_key, &mut theirs).await?;
    fill(&mut api, mine, &key, &mut own).await?;
    let set = json!({"key": SECOND_KEY, "creates_per_minute": 7}).to_string();
    let set = api
        .send(Method::PUT, "/v1/upstream", &key, &[], set)
        .await?;
    assert_eq!(set.status, 202, "{set:?}");
    // What Anthropic said of it stands there by our hand.
    let said = "UPDATE offpeak.upstream_key SET said = $2 WHERE tenant_id = $1";
    let text = own.at("said of an upstream key");
    api.world.put(said, mine, &text).await?;

    let answer = api.get("/v1/export").await?;
    assert_eq!(answer.status, 200);
    let text = &answer.text;
    let missing: Vec<&str> = own
        .1
        .iter()
        .copied()
        .filter(|place| !text.contains(&own.text(place)))
        .collect();
    let mut left_out = LEFT_OUT.to_vec();
    left_out.sort_by_key(|place| own.1.iter().position(|one| one == place));
    assert_eq!(missing, left_out);
    for place in &theirs.1 {
        assert!(!text.contains(&theirs.text(place)), "{place} of another");
    }
    assert!(!text.contains(&key), "a key's secret");
    assert!(!text.contains(SECOND_KEY), "the secret of an upstream key");

    // Every line is whole, the last one says how many there are, and each job is there once.
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).context("a line"))
        .collect::<Result<_>>()?;
    let end = lines.last().context("the end")?;
    assert_eq!(end["kind"], "end");
    assert_eq!(end["data"]["lines"], lines.len() - 1);
    let jobs: Vec<&Value> = lines
        .iter()
        .filter(|line| line["kind"] == "job")
        .map(|line| &line["data"])
        .collect();
    assert_eq!(jobs.len(), 4);
    assert!(jobs.iter().all(|job| job["request"].is_object()));
    let ended = jobs.iter().filter(|job| job["result"].is_object()).count();
    assert_eq!(ended, 2);
    let shown = lines.iter().find(|line| line["kind"] == "upstream");
    let upstream = &shown.context("the upstream")?["data"];
    assert_eq!(upstream, &api.get("/v1/upstream").await?.json());
    let one = &upstream["keys"][0];
    assert_eq!(one["state"], "checking");
    assert_eq!(
        (&one["last_four"], &one["creates_per_minute"]),
        (&json!("-key"), &json!(7))
    );
    let audited = api.get("/v1/audit").await?;
    assert_eq!(audited.at("/data/0/action"), "tenant.export");
    Ok(())
}

#[tokio::test]
async fn an_export_ends_when_its_key_is_revoked() -> Result<()> {
    let api = Api::new().await?;
    // More than what may be on its way to a client that reads slowly.
    let contexts = 36;
    for n in 0..contexts {
        let text = format!("{n} {}", "word ".repeat(180_000));
        let made = api.post("/v1/contexts", json!({ "text": text }).to_string());
        assert_eq!(made.await?.status, 201);
    }
    let scopes = [
        "settings:manage",
        "jobs:read",
        "results:read",
        "keys:manage",
    ];
    let made = api
        .post("/v1/keys", json!({ "scopes": scopes }).to_string())
        .await?;
    let mut answer = reqwest::Client::new()
        .get(format!("{}/v1/export", api.url))
        .bearer_auth(made.at("/key"))
        .send()
        .await?;
    let mut text = answer.chunk().await?.context("a beginning")?.to_vec();
    let path = format!("/v1/keys/{}", made.at("/id"));
    let own = api.key.clone();
    let revoked = api.send(Method::DELETE, &path, &own, &[], "").await?;
    assert_eq!(revoked.status, 204);
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(more)) => text.extend(more),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(
        broken,
        "it came to an end that nobody can tell from a whole one"
    );
    let text = String::from_utf8_lossy(&text);
    let read = text.matches(r#"{"kind":"context""#).count();
    assert!(read < contexts, "{read} contexts");
    assert!(!text.contains(r#"{"kind":"end""#));
    Ok(())
}

#[tokio::test]
async fn an_export_takes_every_scope_that_reads() -> Result<()> {
    let api = Api::new().await?;
    let all = [
        Scope::SettingsManage,
        Scope::JobsRead,
        Scope::ResultsRead,
        Scope::KeysManage,
    ];
    let with = async |scopes: &[Scope]| {
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let key = key_for(&api, &words).await?;
        api.send(Method::GET, "/v1/export", &key, &[], "").await
    };
    assert_eq!(with(&all).await?.status, 200);
    for without in all {
        let rest: Vec<Scope> = all.into_iter().filter(|one| *one != without).collect();
        let refused = with(&rest).await?;
        assert_eq!(refused.problem(), "403 missing_scope", "without {without}");
    }
    Ok(())
}
