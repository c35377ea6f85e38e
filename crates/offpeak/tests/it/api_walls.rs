//! The walls over HTTP: who comes in, and with what. What another tenant's key finds is
//! in `walls_matrix`.

#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use anyhow::Result;
use offpeak_domain::api_key::ApiKey;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::Value;

use crate::api::{Answer, Api, raw_job};

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

/// Below `/v1` and without any credential: what signs somebody in.
pub(crate) const SIGN_IN: [&str; 5] = [
    "/v1/session/link",
    "/v1/session/ways",
    "/v1/session/oidc",
    "/v1/session/oidc/callback",
    "/v1/session/oidc/tenant",
];

impl Operation {
    /// Whether it is a tenant's: asks for a key, a session or a ticket.
    pub(crate) fn is_of_tenants(&self) -> bool {
        self.path.starts_with("/v1/")
            && !self.path.starts_with("/v1/operator/")
            && !SIGN_IN.contains(&self.path.as_str())
    }
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
        if !operation.is_of_tenants() {
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
