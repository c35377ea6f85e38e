//! Sessions: what a browser may do with a key that it does not keep.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use crate::api::{Answer, Api, raw_job};
use crate::api_walls::operations;

const HOURS_12: &str = "; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200";

/// Signs in and gives back the cookie.
pub(crate) async fn sign_in(api: &Api, key: &str) -> Result<String> {
    let begun = api.send(Method::POST, "/v1/session", key, &[], "").await?;
    assert_eq!(begun.status, 201, "{begun:?}");
    Ok(cookie_of(&begun))
}

fn cookie_of(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    set.split(';').next().unwrap_or_default().to_owned()
}

impl Api {
    /// With the cookie, as a page of the server's own would send it.
    pub(crate) async fn as_page(
        &self,
        method: Method,
        path: &str,
        cookie: &str,
        body: &str,
    ) -> Result<Answer> {
        let headers = [("cookie", cookie), ("origin", self.url.as_str())];
        self.send(method, path, "", &headers, body.to_owned()).await
    }
}

#[tokio::test]
async fn a_session_is_a_cookie_that_scripts_cannot_read() -> Result<()> {
    let api = Api::new().await?;
    let begun = api.post("/v1/session", "").await?;
    assert_eq!(begun.status, 201);
    let me = api.get("/v1/me").await?.json();
    let mut shown = begun.json();
    assert!(
        shown
            .as_object_mut()
            .and_then(|all| all.remove("expires_at"))
            .is_some(),
        "{begun:?}"
    );
    assert_eq!(shown, me);
    let cookie = cookie_of(&begun);
    assert!(
        cookie.starts_with("offpeak_session=ofp_session_"),
        "{cookie}"
    );
    assert_eq!(begun.header("set-cookie"), format!("{cookie}{HOURS_12}"));
    assert!(!begun.text.contains("ofp_session_"), "not in the body");
    let lasts = api
        .world
        .number("SELECT extract(epoch FROM expires_at - created_at)::bigint FROM offpeak.session")
        .await?;
    assert_eq!(lasts, 12 * 3600);

    // Behind TLS it never leaves on a way without.
    let proxied = api
        .post_with("/v1/session", ("x-forwarded-proto", "https"), "")
        .await?;
    let set = proxied.header("set-cookie");
    assert!(set.ends_with("Max-Age=43200; Secure"), "{set}");

    let seen = api
        .send(Method::GET, "/v1/session", "", &[("cookie", &cookie)], "")
        .await?;
    assert_eq!(seen.json(), begun.json());
    let seen = api
        .send(Method::GET, "/v1/me", "", &[("cookie", &cookie)], "")
        .await?;
    assert_eq!(seen.json(), me);
    Ok(())
}

#[tokio::test]
async fn a_cookie_counts_on_own_pages_alone() -> Result<()> {
    let api = Api::new().await?;
    let cookie = sign_in(&api, &api.key).await?;
    let other_port = api.url.replace("http://127.0.0.1:", "http://127.0.0.1:1");
    let path = format!("{}/", api.url);
    let foreign = ["https://evil.example", "null", other_port.as_str(), &path];
    for origin in foreign {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        for operation in operations() {
            if !operation.is_of_tenants() {
                continue;
            }
            let answer = api
                .send(
                    operation.method.clone(),
                    &operation.anywhere(),
                    "",
                    &headers,
                    "{}",
                )
                .await?;
            assert_eq!(
                answer.problem(),
                "403 origin_not_allowed",
                "{operation:?} {origin}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    let cookie_alone = [("cookie", cookie.as_str())];
    for operation in operations() {
        if operation.method == Method::GET || !operation.is_of_tenants() {
            continue;
        }
        let answer = api
            .send(
                operation.method.clone(),
                &operation.anywhere(),
                "",
                &cookie_alone,
                "{}",
            )
            .await?;
        assert_eq!(answer.problem(), "403 origin_not_allowed", "{operation:?}");
    }
    let jobs = "SELECT count(*) FROM offpeak.job";
    assert_eq!(api.world.number(jobs).await?, 0);

    let own = api
        .as_page(Method::POST, "/v1/jobs", &cookie, &raw_job("a"))
        .await?;
    assert_eq!(own.status, 202, "{own:?}");
    // The other scheme is another origin, unless a proxy says that it is ours.
    let https = api.url.replace("http://", "https://");
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", https.as_str()),
        ("x-forwarded-proto", "https"),
    ];
    let other = api
        .send(Method::POST, "/v1/jobs", "", &headers[..2], raw_job("b"))
        .await?;
    assert_eq!(other.problem(), "403 origin_not_allowed");
    let own = api
        .send(Method::POST, "/v1/jobs", "", &headers, raw_job("b"))
        .await?;
    assert_eq!(own.status, 202, "{own:?}");
    // Browsers leave the origin out where a page reads from its own server.
    let read = api
        .send(Method::GET, "/v1/jobs", "", &cookie_alone, "")
        .await?;
    assert_eq!(read.json()["data"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_key_goes_before_a_cookie() -> Result<()> {
    let mut api = Api::new().await?;
    let (other, key) = api.tenant("other").await?;
    let cookie = sign_in(&api, &api.key).await?;
    // Whoever sends a key need not be a page of ours.
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
    ];
    let me = api.send(Method::GET, "/v1/me", &key, &headers, "").await?;
    assert_eq!(me.at("/tenant"), other.to_string());
    assert_eq!(me.header("access-control-allow-origin"), "");
    let me = api.send(Method::GET, "/v1/me", "x", &headers, "").await?;
    assert_eq!(me.problem(), "401 unauthenticated");
    // A session does not begin with a session, and a key has none.
    let begun = api
        .as_page(Method::POST, "/v1/session", &cookie, "")
        .await?;
    assert_eq!(begun.problem(), "401 unauthenticated");
    let seen = api.get("/v1/session").await?;
    assert_eq!(seen.problem(), "401 unauthenticated");
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_one_session_or_all() -> Result<()> {
    let mut api = Api::new().await?;
    let second = api.another_key().await?;
    let [first, same, other] = [
        sign_in(&api, &api.key).await?,
        sign_in(&api, &api.key).await?,
        sign_in(&api, &second).await?,
    ];
    let status = async |cookie: &str| -> Result<u16> {
        Ok(api.as_page(Method::GET, "/v1/me", cookie, "").await?.status)
    };
    let ended = api
        .as_page(Method::DELETE, "/v1/session", &first, "")
        .await?;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    let cleared = "offpeak_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
    assert_eq!(ended.header("set-cookie"), cleared);
    assert_eq!(status(&first).await?, 401);
    assert_eq!(status(&same).await?, 200);
    let again = api
        .as_page(Method::DELETE, "/v1/session", &first, "")
        .await?;
    assert_eq!(again.problem(), "401 unauthenticated");

    let third = sign_in(&api, &api.key).await?;
    let everywhere = "/v1/session?everywhere=true";
    let ended = api.as_page(Method::DELETE, everywhere, &third, "").await?;
    assert_eq!(ended.status, 204);
    for gone in [&same, &third] {
        assert_eq!(status(gone).await?, 401);
    }
    assert_eq!(status(&other).await?, 200, "of another key");
    // Also with the key, from where there is no session.
    let ended = api
        .send(Method::DELETE, everywhere, &second, &[], "")
        .await?;
    assert_eq!(ended.status, 204);
    assert_eq!(status(&other).await?, 401);
    Ok(())
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_with_its_key() -> Result<()> {
    let mut api = Api::new().await?;
    let late = sign_in(&api, &api.key).await?;
    api.world
        .meddle("UPDATE offpeak.session SET expires_at = clock_timestamp()")
        .await?;
    let second = api.another_key().await?;
    let of_second = sign_in(&api, &second).await?;
    let of_first = sign_in(&api, &api.key).await?;
    assert_eq!(
        api.as_page(Method::POST, "/v1/jobs", &of_second, &raw_job("a"))
            .await?
            .status,
        202
    );
    api.world
        .meddle(
            "UPDATE offpeak.api_key SET revoked_at = now()
              WHERE id = (SELECT max(id::text)::uuid FROM offpeak.api_key)",
        )
        .await?;
    for cookie in [&late, &of_second] {
        for (method, path) in [
            (Method::GET, "/v1/me"),
            (Method::GET, "/v1/session"),
            (Method::POST, "/v1/jobs"),
            (Method::DELETE, "/v1/session?everywhere=true"),
        ] {
            let answer = api.as_page(method, path, cookie, &raw_job("b")).await?;
            assert_eq!(answer.problem(), "401 unauthenticated", "{path}");
        }
    }
    let me = api.as_page(Method::GET, "/v1/me", &of_first, "").await?;
    assert_eq!(me.status, 200, "of the key that was not revoked");
    Ok(())
}

#[tokio::test]
async fn two_cookies_are_none() -> Result<()> {
    let api = Api::new().await?;
    let cookie = sign_in(&api, &api.key).await?;
    let twice = format!("{cookie}; a=b; {cookie}");
    let (start, last) = cookie.split_at(cookie.len() - 1);
    let mistyped = format!("{start}{}", if last == "x" { "y" } else { "x" });
    for bad in [twice.as_str(), &mistyped, "offpeak_session=", "a=b"] {
        let answer = api.as_page(Method::GET, "/v1/me", bad, "").await?;
        assert_eq!(answer.problem(), "401 unauthenticated", "{bad}");
    }
    let among = format!("a=b; {cookie}; c");
    let answer = api.as_page(Method::GET, "/v1/me", &among, "").await?;
    assert_eq!(answer.status, 200);
    // What it makes stands for its key, like what the key itself makes.
    let ticket = api
        .as_page(
            Method::POST,
            "/v1/live/tickets",
            &cookie,
            &json!({"user": "u_42"}).to_string(),
        )
        .await?;
    assert_eq!(ticket.status, 201, "{ticket:?}");
    Ok(())
}
