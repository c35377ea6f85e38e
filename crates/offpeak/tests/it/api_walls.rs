//! The walls over HTTP: with another tenant's key, what is there answers as
//! what never was, and nothing changes.

#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;

use anyhow::Result;
use offpeak_domain::api_key::ApiKey;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, raw_job};
use crate::budgets;

/// An operation of the OpenAPI document.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
}

impl Operation {
    /// Its path, with ids that nothing has.
    pub(crate) fn anywhere(&self) -> String {
        self.path.replace("{id}", "x").replace("{name}", "x")
    }
}

pub(crate) fn operations() -> Vec<Operation> {
    let document: Value = serde_json::to_value(offpeak_api::openapi()).expect("a document");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let method = method.to_uppercase().parse().expect("a method");
            all.push(Operation {
                method,
                path: path.clone(),
            });
        }
    }
    assert!(all.len() > 20, "the document names the operations");
    all
}

#[tokio::test]
async fn every_documented_operation_is_there_and_asks_for_a_key() -> Result<()> {
    let api = Api::new().await?;
    let stranger = ApiKey::generate(StdRng::seed_from_u64(5));
    let mut mistyped = api.key.clone();
    mistyped.replace_range(12..13, if &api.key[12..13] == "a" { "b" } else { "a" });
    for operation in operations() {
        let path = operation.anywhere();
        let with = |key: &'static str| (operation.method.clone(), path.clone(), key);
        let answer = api
            .send(operation.method.clone(), &path, &api.key, &[], "")
            .await?;
        assert!(
            !["no_route", "method_not_allowed"].contains(&answer.json_code().as_str()),
            "{operation:?}: {answer:?}"
        );
        if !operation.path.starts_with("/v1/") {
            continue;
        }
        for key in ["", "x", stranger.expose(), &mistyped] {
            let (method, path, _) = with("");
            let refused = api.send(method, &path, key, &[], "{}").await?;
            assert_eq!(
                refused.problem(),
                "401 unauthenticated",
                "{operation:?} {key}"
            );
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
    }
    Ok(())
}

impl Answer {
    /// The code, where the answer is a problem.
    fn json_code(&self) -> String {
        let json: Value = serde_json::from_str(&self.text).unwrap_or_default();
        json["code"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() -> Result<()> {
    let api = Api::new().await?;
    assert_eq!(api.get("/v1/me").await?.status, 200);
    api.world
        .meddle("UPDATE offpeak.api_key SET revoked_at = now()")
        .await?;
    assert_eq!(api.get("/v1/me").await?.problem(), "401 unauthenticated");
    Ok(())
}

/// A submit does not look its key up when it was seen a moment ago.
#[tokio::test]
async fn a_revoked_key_submits_nothing() -> Result<()> {
    let api = Api::new().await?;
    assert_eq!(api.post("/v1/jobs", raw_job("a")).await?.status, 202);
    assert_eq!(api.post("/v1/jobs", raw_job("b")).await?.status, 202);
    api.world
        .meddle("UPDATE offpeak.api_key SET revoked_at = now()")
        .await?;
    // Whatever else is wrong with a request is no longer this caller's to know.
    for body in [raw_job("c"), "{}".to_owned(), raw_job("d")] {
        let refused = api.post("/v1/jobs", body).await?;
        assert_eq!(refused.problem(), "401 unauthenticated");
    }
    let text = api
        .post_with("/v1/jobs", ("content-type", "text/plain"), "no JSON")
        .await?;
    assert_eq!(text.problem(), "401 unauthenticated");
    let query = api.post("/v1/jobs?a=b&a=%FF", raw_job("e")).await?;
    assert_eq!(query.problem(), "401 unauthenticated");
    assert_eq!(
        api.world.number("SELECT count(*) FROM offpeak.job").await?,
        2
    );
    Ok(())
}

/// Everything that stands in the tenants' tables, as one hash a table.
async fn fingerprint(api: &Api) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for sql in [
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.job t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.ready t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.result t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.inflight t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.attempt t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.batch t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.job_group t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.job_type t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.delta t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.idempotency t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.context t",
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM offpeak.budget t",
    ] {
        all.extend(api.world.texts(sql).await?);
    }
    Ok(all)
}

#[tokio::test]
async fn another_tenants_things_are_not_there() -> Result<()> {
    let mut api = Api::new().await?;
    let ended = api
        .post("/v1/jobs/bulk", raw_job("One.") + "\n" + &raw_job("Two."))
        .await?;
    api.world.run_out().await?;
    let queued = api.post("/v1/jobs", raw_job("Three.")).await?.at("/id");
    let own_type = json!({"name": "secret", "model": "claude-haiku-5-5", "max_tokens": 9,
        "template": "x", "input_schema": {"type": "object"}});
    assert_eq!(
        api.post("/v1/job-types", own_type.to_string())
            .await?
            .status,
        201
    );
    let batch = api.get("/v1/batches").await?.at("/data/0/id");
    let context = json!({"text": "Nobody else's."}).to_string();
    let context = api.post("/v1/contexts", context).await?.at("/id");
    let all = json!({"scope": "tenant", "period": "month"});
    let budget = budgets::set(&api, all, 1_000_000_000_000).await?.at("/id");
    let key = api.get("/v1/keys").await?.at("/data/0/id");
    let (_, spy) = api.tenant("spy").await?;
    // The key's own use is noted at its first request.
    api.send(Method::GET, "/v1/me", &spy, &[], "").await?;
    let before = fingerprint(&api).await?;

    let id = [("x-request-id", "same")];
    let mut tried = BTreeSet::new();
    for operation in operations() {
        let (real, none) = match operation.path.as_str() {
            path if path.starts_with("/v1/jobs/{") => {
                (queued.clone(), "job_00000000000000000000000000")
            }
            path if path.starts_with("/v1/groups/{") => {
                (ended.at("/group"), "grp_00000000000000000000000000")
            }
            path if path.starts_with("/v1/batches/{") => {
                (batch.clone(), "bat_00000000000000000000000000")
            }
            path if path.starts_with("/v1/job-types/{") => ("secret".into(), "nothing"),
            path if path.starts_with("/v1/contexts/{") => {
                (context.clone(), "ctx_00000000000000000000000000")
            }
            path if path.starts_with("/v1/keys/{") => {
                (key.clone(), "key_00000000000000000000000000")
            }
            path if path.starts_with("/v1/budgets/{") => {
                (budget.clone(), "bgt_00000000000000000000000000")
            }
            path => {
                assert!(
                    !path.contains('{'),
                    "{path} has an id that this test does not know"
                );
                continue;
            }
        };
        let at = |id: &str| operation.path.replace("{id}", id).replace("{name}", id);
        let theirs = api
            .send(operation.method.clone(), &at(&real), &spy, &id, "")
            .await?;
        let nobody = api
            .send(operation.method.clone(), &at(none), &spy, &id, "")
            .await?;
        assert_eq!(theirs.problem(), "404 not_found", "{operation:?}");
        assert_eq!(
            (theirs.status, &theirs.text),
            (nobody.status, &nobody.text),
            "{operation:?}"
        );
        tried.insert(operation.path.clone());
    }
    assert!(tried.len() >= 9, "{tried:?}");
    assert_eq!(fingerprint(&api).await?, before, "nothing changed");

    for list in ["/v1/jobs", "/v1/groups", "/v1/batches"] {
        // Also with a cursor that the other tenant was given.
        let page = api.get(&format!("{list}?limit=1")).await?.json();
        let cursor = page["next_cursor"].as_str().unwrap_or("").to_owned();
        for path in [list.to_owned(), format!("{list}?limit=1&cursor={cursor}")] {
            let seen = api.send(Method::GET, &path, &spy, &[], "").await?;
            assert_eq!(seen.json()["data"], json!([]), "{path}");
        }
    }
    let filtered = format!("/v1/jobs?group={}", ended.at("/group"));
    let seen = api.send(Method::GET, &filtered, &spy, &[], "").await?;
    assert_eq!(seen.json()["data"], json!([]));
    let usage = api.send(Method::GET, "/v1/usage", &spy, &[], "").await?;
    assert_eq!(
        (usage.at("/total/attempts"), usage.at("/total/cost")),
        ("0".into(), "0".into())
    );
    let typed = r#"{"type":"secret","input":{}}"#;
    let refused = api.send(Method::POST, "/v1/jobs", &spy, &[], typed).await?;
    assert_eq!(
        refused.problem(),
        r#"422 unknown_job_type "/type" "unknown_job_type""#
    );
    Ok(())
}

#[tokio::test]
async fn a_key_of_another_tenant_is_another_key() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    let key = [("idempotency-key", "same")];
    let mine = api
        .send(Method::POST, "/v1/jobs", &api.key, &key, raw_job("a"))
        .await?;
    let theirs = api
        .send(Method::POST, "/v1/jobs", &other, &key, raw_job("b"))
        .await?;
    assert_eq!((mine.status, theirs.status), (202, 202));
    let key = [("idempotency-key", "bulk")];
    let mine = api
        .send(Method::POST, "/v1/jobs/bulk", &api.key, &key, raw_job("a"))
        .await?;
    let theirs = api
        .send(Method::POST, "/v1/jobs/bulk", &other, &key, raw_job("b"))
        .await?;
    assert_eq!((mine.status, theirs.status), (202, 202));
    assert_ne!(mine.at("/group"), theirs.at("/group"));
    Ok(())
}
