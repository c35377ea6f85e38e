//! API keys over HTTP: shown once, listed without their secret, revoked for good.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;

/// What stands at `field` of each key, newest first.
async fn keys(api: &Api, key: &str, field: &str) -> Result<Vec<Value>> {
    let list = api
        .send(Method::GET, "/v1/keys", key, &[], "")
        .await?
        .json();
    let rows = list["data"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().map(|row| row[field].clone()).collect())
}

#[tokio::test]
async fn a_key_is_made_used_and_revoked() -> Result<()> {
    let api = Api::new().await?;
    let made = api
        .post("/v1/keys", json!({"name": "the laptop"}).to_string())
        .await?;
    assert_eq!((made.status, made.at("/name")), (201, "the laptop".into()));
    assert_eq!(made.header("cache-control"), "no-store");
    let (id, secret) = (made.at("/id"), made.at("/key"));
    assert_eq!(made.at("/last_used_at"), "null");
    let whoever = api.send(Method::GET, "/v1/me", &secret, &[], "").await?;
    assert_eq!(
        (whoever.status, whoever.at("/key")),
        (200, made.at("/hint"))
    );

    assert_eq!(
        keys(&api, &secret, "is_yours").await?,
        [json!(true), json!(false)]
    );
    let names = keys(&api, &api.key, "name").await?;
    assert_eq!(names[0], "the laptop");
    let list = api.get("/v1/keys").await?;
    assert!(!list.text.contains(&secret), "{list:?}");
    assert_ne!(list.at("/data/0/last_used_at"), "null");

    let path = format!("/v1/keys/{id}");
    let gone = api.send(Method::DELETE, &path, &api.key, &[], "").await?;
    assert_eq!(gone.status, 204);
    let shut = api.send(Method::GET, "/v1/me", &secret, &[], "").await?;
    assert_eq!(shut.problem(), "401 unauthenticated");
    assert_ne!(keys(&api, &api.key, "revoked_at").await?[0], Value::Null);
    let again = api.send(Method::DELETE, &path, &api.key, &[], "").await?;
    assert_eq!(again.problem(), "404 not_found");

    let own = keys(&api, &api.key, "id").await?[1].clone();
    let path = format!("/v1/keys/{}", own.as_str().unwrap_or_default());
    let kept = api.send(Method::DELETE, &path, &api.key, &[], "").await?;
    assert_eq!(kept.problem(), "409 last_key");
    assert_eq!(api.get("/v1/me").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn keys_are_the_tenants_own() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, spy) = api.tenant("spy").await?;
    api.post("/v1/keys", "{}").await?;
    let mine = keys(&api, &api.key, "id").await?;
    assert_eq!((mine.len(), keys(&api, &spy, "id").await?.len()), (2, 1));
    for id in mine {
        let path = format!("/v1/keys/{}", id.as_str().unwrap_or_default());
        let theirs = api.send(Method::DELETE, &path, &spy, &[], "").await?;
        assert_eq!(theirs.problem(), "404 not_found");
    }
    assert_eq!(
        keys(&api, &api.key, "revoked_at").await?,
        [Value::Null, Value::Null]
    );
    let long = json!({"name": "x".repeat(257)}).to_string();
    let refused = api.post("/v1/keys", long).await?;
    assert_eq!(refused.problem(), r#"422 invalid_input "/name" "too_long""#);
    Ok(())
}
