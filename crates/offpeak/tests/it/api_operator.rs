//! The operator: sees counts of every tenant, and the content of none.

use anyhow::Result;
use offpeak_domain::scope::Role;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::json;

use crate::api::{Api, raw_job};
use crate::api_people::{browser, cookie, follow, operator};
use crate::api_walls::operations;

#[tokio::test]
async fn what_is_the_operators_opens_for_nobody_else() -> Result<()> {
    let api = Api::new().await?;
    let operator = operator(&api).await?;
    let secret = operator.strip_prefix("offpeak_operator=").unwrap_or("?");
    let admin = browser(&api, "ada", Role::Admin).await?;
    let as_operator = admin.replace("offpeak_session=", "offpeak_operator=");
    let evil = [
        ("cookie", operator.as_str()),
        ("origin", "https://evil.example"),
    ];
    for operation in operations() {
        if !operation.path.starts_with("/v1/operator/") {
            continue;
        }
        let path = operation.anywhere();
        let method = || operation.method.clone();
        for refused in [
            api.send(method(), &path, "", &[], "{}").await?,
            api.send(method(), &path, &api.key, &[], "{}").await?,
            api.as_page(method(), &path, &admin, "{}").await?,
            api.as_page(method(), &path, &as_operator, "{}").await?,
        ] {
            assert_eq!(refused.problem(), "401 unauthenticated", "{operation:?}");
        }
        let foreign = api.send(method(), &path, "", &evil, "{}").await?;
        assert_eq!(foreign.problem(), "403 origin_not_allowed", "{operation:?}");
    }
    // Nor does an operator open what is a tenant's, whatever the cookie is called.
    let as_tenant = format!("offpeak_session={secret}");
    for operation in operations().iter().filter(|one| one.is_of_tenants()) {
        let path = operation.anywhere();
        let refused = api
            .as_page(operation.method.clone(), &path, &as_tenant, "{}")
            .await?;
        assert_eq!(refused.problem(), "401 unauthenticated", "{operation:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_every_tenant_and_makes_one() -> Result<()> {
    let mut api = Api::new().await?;
    let (busy, key) = api.tenant("busy").await?;
    for _ in 0..3 {
        let sent = api
            .send(Method::POST, "/v1/jobs", &key, &[], raw_job("a"))
            .await?;
        assert_eq!(sent.status, 202);
    }
    api.post("/v1/jobs", raw_job("b")).await?;
    api.world.worker.tick(Loop::Fold).await?;
    let operator = operator(&api).await?;
    let page = async |api: &Api, method: Method, path: &str, body: &str| {
        api.as_page(method, path, &operator, body).await
    };
    let heavier = page(
        &api,
        Method::PATCH,
        &format!("/v1/operator/tenants/{busy}"),
        r#"{"weight":300}"#,
    )
    .await?;
    assert_eq!(heavier.status, 204, "{heavier:?}");
    let rows = page(&api, Method::GET, "/v1/operator/tenants", "")
        .await?
        .json();
    let row = |n: usize| {
        let row = &rows["data"][n];
        json!([
            row["name"],
            row["weight"],
            row["queued"],
            row["sent"],
            row["share"],
            row["fair_share"]
        ])
    };
    assert_eq!(row(0), json!(["busy", 300, 3, 0, null, 0.75]));
    assert_eq!(row(1), json!(["acme", 100, 1, 0, null, 0.25]));
    assert_eq!(
        json!([rows["tenants"], rows["waiting"], rows["sent"]]),
        json!([2, 2, 0])
    );
    assert!(rows["data"][0]["waiting_since"].is_string(), "{rows}");

    api.world.run_out().await?;
    let rows = page(&api, Method::GET, "/v1/operator/tenants?q=BUS&limit=1", "")
        .await?
        .json();
    let row = &rows["data"][0];
    assert_eq!(
        json!([
            row["name"],
            row["queued"],
            row["fair_share"],
            rows["data"][1]
        ]),
        json!(["busy", 0, null, null])
    );
    let spent = page(
        &api,
        Method::GET,
        &format!("/v1/operator/tenants/{busy}/spend"),
        "",
    )
    .await?;
    assert_ne!(spent.at("/data/0/cost"), "0");

    let status = page(&api, Method::GET, "/v1/operator/overview", "")
        .await?
        .json();
    assert_eq!(status["upstreams"][0]["max_queued_items"], 200_000);
    assert_eq!(status["open_incidents"], 0);
    api.world
        .meddle(
            "INSERT INTO offpeak.incident (kind, at, detail) VALUES ('batch_overdue', now(), 'd')",
        )
        .await?;
    let status = page(&api, Method::GET, "/v1/operator/overview", "").await?;
    let path = format!(
        "/v1/operator/incidents/{}/resolve",
        status.at("/incidents/0/id")
    );
    assert_eq!(page(&api, Method::POST, &path, "").await?.status, 204);
    assert_eq!(
        page(&api, Method::POST, &path, "").await?.problem(),
        "404 not_found"
    );

    let made = page(
        &api,
        Method::POST,
        "/v1/operator/tenants",
        r#"{"name":"fresh"}"#,
    )
    .await?;
    assert_eq!(made.status, 201, "{made:?}");
    let taken = page(
        &api,
        Method::POST,
        "/v1/operator/tenants",
        r#"{"name":"fresh"}"#,
    )
    .await?;
    assert_eq!(taken.problem(), "409 name_taken");
    let people = format!("/v1/operator/tenants/{}/people", made.at("/id"));
    let invited = page(
        &api,
        Method::POST,
        &people,
        r#"{"name":"first","role":"admin"}"#,
    )
    .await?;
    let first = follow(&api, &invited.at("/link").replace("/sign-in#", "")).await?;
    let me = api
        .as_page(Method::GET, "/v1/me", &cookie(&first), "")
        .await?;
    assert_eq!(
        (me.at("/name"), me.at("/role")),
        ("fresh".into(), "admin".into())
    );
    Ok(())
}

#[tokio::test]
async fn an_operator_reads_a_tenants_content_only_by_a_look() -> Result<()> {
    let api = Api::new().await?;
    let job = api.post("/v1/jobs", raw_job("Private.")).await?.at("/id");
    let operator = operator(&api).await?;
    let path = format!("/v1/operator/tenants/{}/look", api.world.tenant);
    let unsaid = api
        .as_page(Method::POST, &path, &operator, r#"{"reason":""}"#)
        .await?;
    assert_eq!(unsaid.problem(), r#"422 invalid_input "/reason" "empty""#);
    let look = api
        .as_page(
            Method::POST,
            &path,
            &operator,
            r#"{"reason":"a ticket of theirs"}"#,
        )
        .await?;
    let look = cookie(&look);
    let me = api.as_page(Method::GET, "/v1/me", &look, "").await?.json();
    assert_eq!(
        (&me["operator"], &me["person"]),
        (&json!(true), &json!("olga"))
    );
    let request = format!("/v1/jobs/{job}/request");
    assert_eq!(
        api.as_page(Method::GET, &request, &look, "").await?.status,
        200
    );
    let cancel = format!("/v1/jobs/{job}/cancel");
    let refused = api.as_page(Method::POST, &cancel, &look, "").await?;
    assert_eq!(refused.problem(), "403 missing_scope");
    api.world
        .meddle("UPDATE offpeak.person SET removed_at = now() WHERE role = 'operator'")
        .await?;
    let me = api.as_page(Method::GET, "/v1/me", &look, "").await?;
    assert_eq!(me.problem(), "401 unauthenticated");
    Ok(())
}

/// Whatever an operator's handler asks for: the database shows it no content.
#[tokio::test]
async fn the_operators_role_reads_no_content() -> Result<()> {
    let api = Api::new().await?;
    let may = "SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a
                 JOIN pg_class c ON c.oid = a.attrelid
                WHERE c.relnamespace = 'offpeak'::regnamespace AND a.attnum > 0
                  AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
                  AND (c.relname IN ('payload', 'output', 'context', 'job', 'attempt', 'result',
                                     'api_key', 'session', 'ticket', 'signin_link', 'event',
                                     'job_type', 'prefix', 'quarantine', 'inflight')
                       OR a.attname IN ('digest', 'metadata', 'params', 'line', 'user_label'))
                  AND has_column_privilege('offpeak_operator', a.attrelid, a.attnum, 'SELECT')";
    assert_eq!(api.world.texts(may).await?, [""; 0]);
    let writes = "SELECT c.relname::text FROM pg_class c
                   WHERE c.relnamespace = 'offpeak'::regnamespace AND c.relkind IN ('r', 'p')
                     AND (has_table_privilege('offpeak_operator', c.oid, 'DELETE')
                          OR (c.relname NOT IN ('tenant', 'tenant_limit', 'incident', 'erasure')
                              AND (has_any_column_privilege('offpeak_operator', c.oid, 'INSERT')
                                   OR has_any_column_privilege('offpeak_operator', c.oid, 'UPDATE'))))";
    assert_eq!(api.world.texts(writes).await?, [""; 0]);
    Ok(())
}
