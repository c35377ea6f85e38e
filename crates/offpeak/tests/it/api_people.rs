//! Who may do what: scopes of keys, and people.

use anyhow::Result;
use offpeak_domain::id::{Minter, PersonId, TenantId};
use offpeak_domain::scope::{Role, Scope};
use offpeak_domain::secret::LinkSecret;
use offpeak_store::person::{self, Link, New, OPERATORS, Standing};
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use crate::api::{Answer, Api, raw_job};
use crate::api_walls::operations;

/// A link for somebody, as the operator's command makes it.
pub(crate) async fn link(
    api: &Api,
    tenant: TenantId,
    name: &str,
    standing: Standing,
) -> Result<String> {
    let mut tx = api.world.system.begin().await?;
    let mut rng = StdRng::seed_from_u64(name.len() as u64);
    let secret = LinkSecret::generate(&mut rng);
    let mut minter = Minter::new(tx.now(), rng);
    let id: PersonId = minter.mint();
    let new = New { id, name, standing };
    let link = Link {
        id: minter.mint(),
        digest: &secret.digest(),
        lifetime: std::time::Duration::from_mins(5),
    };
    person::invite(&mut tx, tenant, &new, &link).await?;
    tx.commit().await?;
    Ok(secret.expose().to_owned())
}

/// Uses a link as the server's own page does.
pub(crate) async fn follow(api: &Api, link: &str) -> Result<Answer> {
    let body = json!({ "link": link }).to_string();
    let origin = [("origin", api.url.as_str())];
    api.send(Method::POST, "/v1/session/link", "", &origin, body)
        .await
}

pub(crate) fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    let set = answer.header("set-cookie");
    set.split(';').next().unwrap_or_default().to_owned()
}

/// A browser in which somebody of the world's tenant is signed in.
pub(crate) async fn browser(api: &Api, name: &str, role: Role) -> Result<String> {
    let link = link(api, api.world.tenant, name, Standing::Of(role)).await?;
    Ok(cookie(&follow(api, &link).await?))
}

pub(crate) async fn operator(api: &Api) -> Result<String> {
    let link = link(api, OPERATORS, "olga", Standing::Operator).await?;
    Ok(cookie(&follow(api, &link).await?))
}

/// A key that may do this and nothing else.
pub(crate) async fn key_for(api: &Api, scopes: &[&str]) -> Result<String> {
    let made = api
        .post("/v1/keys", json!({ "scopes": scopes }).to_string())
        .await?;
    assert_eq!(made.status, 201, "{made:?}");
    Ok(made.at("/key"))
}

/// What each operation takes. A new one has to be put here, which is where it is seen
/// what it opens.
pub(crate) fn needs(operation: &str) -> Option<Scope> {
    match operation {
        "GET /v1/me" | "GET /v1/session" | "POST /v1/session" | "DELETE /v1/session" => None,
        "GET /v1/jobs/{id}/result"
        | "GET /v1/jobs/{id}/request"
        | "GET /v1/groups/{id}/results"
        | "POST /v1/live/tickets" => Some(Scope::ResultsRead),
        "POST /v1/estimate" => Some(Scope::JobsRead),
        "POST /v1/job-types"
        | "PUT /v1/live/origins"
        | "GET /v1/upstream"
        | "PUT /v1/upstream"
        | "DELETE /v1/upstream"
        | "POST /v1/budgets"
        | "PUT /v1/budgets"
        | "PUT /v1/retention"
        | "GET /v1/export"
        | "DELETE /v1/budgets/{id}" => Some(Scope::SettingsManage),
        one if ["keys", "people", "audit"]
            .iter()
            .any(|of| one.contains(&format!(" /v1/{of}"))) =>
        {
            Some(Scope::KeysManage)
        }
        one if one.starts_with("GET ") => Some(Scope::JobsRead),
        _ => Some(Scope::JobsWrite),
    }
}

#[tokio::test]
async fn each_operation_takes_its_scope_and_no_other() -> Result<()> {
    let api = Api::new().await?;
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        keys.push((*scope, key_for(&api, &[scope.as_str()]).await?));
    }
    for operation in operations().iter().filter(|one| one.is_of_tenants()) {
        let name = format!("{} {}", operation.method, operation.path);
        let wanted = needs(&name);
        for (scope, key) in &keys {
            let path = operation.anywhere();
            let answer = api
                .send(operation.method.clone(), &path, key, &[], "{}")
                .await?;
            let refused = answer.status == 403 && answer.problem() == "403 missing_scope";
            // An export takes all scopes that read.
            let may = wanted.is_none_or(|wanted| wanted == *scope) && name != "GET /v1/export";
            assert_eq!(!refused, may, "{name} with {scope}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() -> Result<()> {
    let api = Api::new().await?;
    let narrow = key_for(&api, &["keys:manage", "jobs:read"]).await?;
    let send = async |path: &str, body: serde_json::Value| {
        api.send(Method::POST, path, &narrow, &[], body.to_string())
            .await
    };
    let beyond = r#"422 invalid_input "/scopes" "beyond_own_scopes""#;
    let more = send("/v1/keys", json!({"scopes": ["jobs:write"]})).await?;
    assert_eq!(more.problem(), beyond);
    let none = send("/v1/keys", json!({"scopes": []})).await?;
    assert_eq!(
        none.problem(),
        r#"422 invalid_input "/scopes" "invalid_value""#
    );
    let same = send("/v1/keys", json!({"name": "child"})).await?;
    assert_eq!(same.at("/scopes"), r#"["jobs:read","keys:manage"]"#);
    let person = send("/v1/people", json!({"name": "eve", "role": "viewer"})).await?;
    assert_eq!(
        person.problem(),
        r#"422 invalid_input "/role" "beyond_own_scopes""#
    );
    // Rotated, the wide key's secret would be told to the narrow one.
    let wide = api.get("/v1/keys").await?.json();
    let wide = wide["data"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| key["is_yours"] == true)
        .and_then(|key| key["id"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let rotated = send(&format!("/v1/keys/{wide}/rotate"), json!({})).await?;
    assert_eq!(rotated.status, 422, "{rotated:?}");
    assert_eq!(api.get("/v1/me").await?.status, 200);
    let ends = "SELECT count(*) FROM offpeak.api_key WHERE expires_at IS NOT NULL";
    assert_eq!(api.world.number(ends).await?, 0, "nothing was done");
    Ok(())
}

#[tokio::test]
async fn a_rotated_key_ends_after_its_overlap_also_where_it_is_remembered() -> Result<()> {
    let api = Api::new().await?;
    let made = api
        .post(
            "/v1/keys",
            r#"{"name":"app","scopes":["jobs:write","jobs:read"]}"#,
        )
        .await?;
    let (id, old) = (made.at("/id"), made.at("/key"));
    let path = format!("/v1/keys/{id}/rotate");
    let wrong = api.post(&path, r#"{"overlap":5}"#).await?;
    assert_eq!(
        wrong.problem(),
        r#"422 invalid_input "/overlap" "invalid_value""#
    );
    let rotated = api.post(&path, r#"{"overlap":60}"#).await?;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    assert_eq!(rotated.at("/name"), "app");
    assert_eq!(rotated.at("/scopes"), r#"["jobs:read","jobs:write"]"#);
    assert_eq!(api.post(&path, "{}").await?.problem(), "404 not_found");

    let submit = async |key: &str| {
        api.send(Method::POST, "/v1/jobs", key, &[], raw_job("a"))
            .await
    };
    for key in [&old, &rotated.at("/key"), &old] {
        assert_eq!(submit(key).await?.status, 202);
    }
    api.world
        .meddle("UPDATE offpeak.api_key SET expires_at = now() WHERE rotated_to IS NOT NULL")
        .await?;
    assert_eq!(submit(&old).await?.problem(), "401 unauthenticated");
    let me = api.send(Method::GET, "/v1/me", &old, &[], "").await?;
    assert_eq!(me.problem(), "401 unauthenticated");
    assert_eq!(submit(&rotated.at("/key")).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn a_link_signs_in_once() -> Result<()> {
    let api = Api::new().await?;
    let made = api
        .post("/v1/people", r#"{"name":"Ada","role":"member"}"#)
        .await?;
    assert_eq!(made.status, 201, "{made:?}");
    let link = made.at("/link");
    let secret = link.strip_prefix("/sign-in#").unwrap_or("?").to_owned();
    // Not from another page, which could sign somebody in as somebody else.
    let body = json!({ "link": secret }).to_string();
    let evil = [("origin", "https://evil.example")];
    let refused = api
        .send(Method::POST, "/v1/session/link", "", &evil, body.clone())
        .await?;
    assert_eq!(refused.problem(), "403 origin_not_allowed");
    let refused = api
        .send(Method::POST, "/v1/session/link", "", &[], body)
        .await?;
    assert_eq!(refused.problem(), "403 origin_not_allowed");

    let signed = follow(&api, &secret).await?;
    assert_eq!(signed.at("/operator"), "false");
    let ada = cookie(&signed);
    assert_eq!(
        follow(&api, &secret).await?.problem(),
        "401 unauthenticated"
    );

    let me = api.as_page(Method::GET, "/v1/me", &ada, "").await?.json();
    assert_eq!(
        (&me["person"], &me["role"], &me["key"]),
        (&json!("Ada"), &json!("member"), &json!(null))
    );
    let job = api
        .as_page(Method::POST, "/v1/jobs", &ada, &raw_job("a"))
        .await?;
    assert_eq!(job.status, 202, "{job:?}");
    let keys = api.as_page(Method::GET, "/v1/keys", &ada, "").await?;
    assert_eq!(keys.problem(), "403 missing_scope");
    let ticket = api
        .as_page(Method::POST, "/v1/live/tickets", &ada, r#"{"user":"u"}"#)
        .await?;
    assert_eq!(ticket.problem(), "403 missing_scope");

    // Another invitation gives another role, to the same person, at once.
    let again = api
        .post("/v1/people", r#"{"name":"ada","role":"viewer"}"#)
        .await?;
    assert_eq!(again.at("/id"), made.at("/id"));
    let job = api
        .as_page(Method::POST, "/v1/jobs", &ada, &raw_job("b"))
        .await?;
    assert_eq!(job.problem(), "403 missing_scope");
    let list = api.get("/v1/people").await?;
    assert_eq!(
        (list.at("/data/0/name"), list.at("/data/0/role")),
        ("Ada".into(), "viewer".into())
    );

    let removed = api
        .send(
            Method::DELETE,
            &format!("/v1/people/{}", made.at("/id")),
            &api.key,
            &[],
            "",
        )
        .await?;
    assert_eq!(removed.status, 204);
    let me = api.as_page(Method::GET, "/v1/me", &ada, "").await?;
    assert_eq!(me.problem(), "401 unauthenticated");
    let unused = again.at("/link").replace("/sign-in#", "");
    assert_eq!(
        follow(&api, &unused).await?.problem(),
        "401 unauthenticated"
    );
    let secrets = "SELECT count(*) FROM offpeak.signin_link WHERE position('ofp_' IN encode(digest, 'escape')) > 0";
    assert_eq!(api.world.number(secrets).await?, 0);
    Ok(())
}

#[tokio::test]
async fn sign_out_everywhere_ends_a_persons_sessions_and_no_others() -> Result<()> {
    let api = Api::new().await?;
    let (ada, bob) = (
        browser(&api, "ada", Role::Viewer).await?,
        browser(&api, "bobby", Role::Viewer).await?,
    );
    let out = api
        .as_page(Method::DELETE, "/v1/session?everywhere=true", &ada, "")
        .await?;
    assert_eq!(out.status, 204);
    let me = api.as_page(Method::GET, "/v1/me", &ada, "").await?;
    assert_eq!(me.problem(), "401 unauthenticated");
    assert_eq!(
        api.as_page(Method::GET, "/v1/me", &bob, "").await?.status,
        200
    );
    Ok(())
}
