//! The audit log: what is noted, and what shows that somebody changed it.

use anyhow::Result;
use offpeak_store::audit::{Chain, hash_at, verify};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, raw_job};
use crate::api_people::{cookie, follow, operator};

async fn log(api: &Api) -> Result<Vec<Value>> {
    let page = api.get("/v1/audit?limit=200").await?.json();
    Ok(page["data"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn what_is_done_is_noted_with_who_did_it() -> Result<()> {
    let api = Api::new().await?;
    let send = async |method: Method, path: String, body: &str| {
        let id = [("x-request-id", "known")];
        let answer = api
            .send(method, &path, &api.key, &id, body.to_owned())
            .await?;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        anyhow::Ok(answer)
    };
    let post = async |path: &str, body: &str| send(Method::POST, path.to_owned(), body).await;
    let delete = async |path: String| send(Method::DELETE, path, "").await;

    let key = post("/v1/keys", r#"{"scopes":["jobs:read"]}"#)
        .await?
        .at("/id");
    post(&format!("/v1/keys/{key}/rotate"), "{}").await?;
    delete(format!("/v1/keys/{key}")).await?;
    let ada = post("/v1/people", r#"{"name":"ada","role":"viewer"}"#).await?;
    let signed = follow(&api, &ada.at("/link").replace("/sign-in#", "")).await?;
    assert_eq!(signed.status, 201);
    delete(format!("/v1/people/{}", ada.at("/id"))).await?;
    let budget = json!({"scope": "tenant", "period": "day", "limit": "5", "hard": true});
    let budget = send(Method::PUT, "/v1/budgets".into(), &budget.to_string()).await?;
    delete(format!("/v1/budgets/{}", budget.at("/id"))).await?;
    send(
        Method::PUT,
        "/v1/live/origins".into(),
        r#"{"origins":["https://a.example"]}"#,
    )
    .await?;
    let job = post("/v1/jobs", &raw_job("one")).await?.at("/id");
    post(&format!("/v1/jobs/{job}/cancel"), "").await?;
    let jobs = [
        post("/v1/jobs", &raw_job("two")).await?.at("/id"),
        job.clone(),
    ];
    post("/v1/jobs/cancel", &json!({ "ids": jobs }).to_string()).await?;
    let group = post("/v1/jobs/bulk", &raw_job("three")).await?.at("/group");
    post(&format!("/v1/groups/{group}/cancel"), "").await?;
    // A second time there is nothing left to cancel, and nothing to note.
    post("/v1/jobs/cancel", &json!({ "ids": jobs }).to_string()).await?;

    let mut log = log(&api).await?;
    log.reverse();
    let said: Vec<String> = log
        .iter()
        .map(|one| {
            let text = |field: &str| one[field].as_str().unwrap_or("?").to_owned();
            assert_eq!(one["address"], "127.0.0.1");
            assert!(
                text("request_id") == "known" || text("action") == "person.sign_in",
                "{one}"
            );
            format!("{} {} {}", one["seq"], text("actor"), text("action"))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    1 key key.create
    2 key key.rotate
    3 key key.revoke
    4 key person.invite
    5 person person.sign_in
    6 key person.remove
    7 key budget.set
    8 key budget.remove
    9 key origins.replace
    10 key jobs.cancel
    11 key jobs.cancel
    12 key group.cancel
    ");
    assert_eq!(log[0]["target"], json!(key));
    assert_eq!(log[0]["detail"], "jobs:read");
    let text = serde_json::to_string(&log)?;
    for secret in [api.key.as_str(), "ofp_link_", "one", "two", "three"] {
        assert!(!text.contains(&format!("{secret}\"")), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn an_operators_look_stands_in_the_tenants_own_log() -> Result<()> {
    let api = Api::new().await?;
    let operator = operator(&api).await?;
    let path = format!("/v1/operator/tenants/{}/look", api.world.tenant);
    let look = api
        .as_page(Method::POST, &path, &operator, r#"{"reason":"ticket 7"}"#)
        .await?;
    cookie(&look);
    let seen = &log(&api).await?[0];
    assert_eq!(
        json!([
            seen["actor"],
            seen["actor_name"],
            seen["action"],
            seen["detail"]
        ]),
        json!(["operator", "olga", "operator.look", "ticket 7"])
    );
    let weight = format!("/v1/operator/tenants/{}", api.world.tenant);
    api.as_page(Method::PATCH, &weight, &operator, r#"{"weight":7}"#)
        .await?;
    let own = api
        .as_page(Method::GET, "/v1/operator/audit", &operator, "")
        .await?;
    assert_eq!(
        (own.at("/data/0/action"), own.at("/data/1/action")),
        ("tenant.weight".into(), "person.sign_in".into())
    );
    Ok(())
}

#[tokio::test]
async fn whoever_changes_an_entry_breaks_the_chain_there() -> Result<()> {
    let api = Api::new().await?;
    // At once, so that two of them want the same number.
    let made = (0..20).map(|n| {
        let api = &api;
        async move { api.post("/v1/keys", format!(r#"{{"name":"{n}"}}"#)).await }
    });
    for made in futures_util::future::join_all(made).await {
        assert_eq!(made?.status, 201);
    }
    let (system, tenant) = (&api.world.system, api.world.tenant);
    let Chain::Whole { entries, hash } = verify(system, tenant).await? else {
        anyhow::bail!("broken before anybody touched it");
    };
    assert_eq!(entries, 20);
    assert_eq!(hash_at(system, tenant, 20).await?, Some(hash));
    let page = api.get("/v1/audit?limit=15").await?;
    let rest = format!("/v1/audit?cursor={}", page.at("/next_cursor"));
    let rest = api.get(&rest).await?;
    assert_eq!(
        (page.at("/data/14/seq"), rest.at("/data/0/seq")),
        ("6".into(), "5".into())
    );
    assert_eq!(rest.at("/next_cursor"), "null");

    for (meddle, broken) in [
        (
            "UPDATE offpeak.audit SET actor_name = 'me' WHERE seq = 9",
            9,
        ),
        ("DELETE FROM offpeak.audit WHERE seq = 5", 5),
        ("UPDATE offpeak.audit SET seq = 5 WHERE seq = 4", 4),
    ] {
        api.world.meddle(meddle).await?;
        assert_eq!(verify(system, tenant).await?, Chain::Broken { at: broken });
    }
    Ok(())
}

#[tokio::test]
async fn what_is_cut_off_shows_to_whoever_wrote_the_last_hash_down() -> Result<()> {
    let api = Api::new().await?;
    for _ in 0..3 {
        assert_eq!(api.post("/v1/keys", "{}").await?.status, 201);
    }
    let (system, tenant) = (&api.world.system, api.world.tenant);
    let written = hash_at(system, tenant, 3).await?;
    api.world
        .meddle("DELETE FROM offpeak.audit WHERE seq = 3")
        .await?;
    assert!(matches!(
        verify(system, tenant).await?,
        Chain::Whole { entries: 2, .. }
    ));
    assert_eq!(hash_at(system, tenant, 3).await?, None);
    assert_eq!(api.post("/v1/keys", "{}").await?.status, 201);
    assert_ne!(hash_at(system, tenant, 3).await?, written);
    Ok(())
}

#[tokio::test]
async fn no_role_at_run_time_changes_an_entry() -> Result<()> {
    let api = Api::new().await?;
    let may = "SELECT role || ' ' || what
                 FROM unnest(ARRAY['offpeak_api', 'offpeak_worker', 'offpeak_operator']) AS role
                CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS what
                WHERE has_table_privilege(role, 'offpeak.audit', what)
                   OR what = 'UPDATE' AND has_any_column_privilege(role, 'offpeak.audit', what)";
    assert_eq!(api.world.texts(may).await?, ["offpeak_worker DELETE"]);
    // That is for the erasure of a tenant: of others it takes nothing.
    assert_eq!(api.post("/v1/keys", "{}").await?.status, 201);
    let entries = "SELECT count(*) FROM offpeak.audit";
    let before = api.world.number(entries).await?;
    let delete = "SET LOCAL ROLE offpeak_worker; DELETE FROM offpeak.audit";
    api.world.hold(delete).await?.commit().await?;
    assert_eq!(api.world.number(entries).await?, before);
    assert!(before > 0);
    Ok(())
}
