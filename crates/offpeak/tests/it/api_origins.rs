//! From which pages a ticket may be used, as browsers ask and hear it.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::api_tickets::{PAGE, granted, job_of};

#[tokio::test]
async fn only_listed_pages_may_use_a_ticket() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    let id = api.submit(&api.key, job_of("ann", "One.")).await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let theirs = "https://theirs.example";
    api.allow(&other, json!([theirs])).await?;
    let listed = api.get("/v1/live/origins").await?;
    assert_eq!(listed.json(), json!({"origins": []}));
    let put = api
        .allow(&api.key, json!(["http://localhost:3000", PAGE, PAGE]))
        .await?;
    assert_eq!(
        put.json(),
        json!({"origins": ["http://localhost:3000", PAGE]})
    );
    assert_eq!(api.get("/v1/live/origins").await?.json(), put.json());

    let paths = [
        "/v1/jobs".to_owned(),
        format!("/v1/jobs/{id}"),
        format!("/v1/jobs/{id}/result"),
        "/v1/jobs/x".to_owned(),
        "/v1/jobs?limit=x".to_owned(),
        // Refused for what they lack, once it is known who asks.
        "/v1/live".to_owned(),
        "/v1/events?mode=view".to_owned(),
    ];
    for path in &paths {
        // A problem has to be seen too.
        let answer = api.read(&ticket, path, Some(PAGE)).await?;
        assert_eq!(granted(&answer), PAGE, "{path}");
        assert_eq!(answer.header("vary"), "origin");
        assert_eq!(
            answer.header("access-control-expose-headers"),
            "offpeak-cursor, x-request-id"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let by_query = format!(
            "{path}{}ticket={ticket}",
            if path.contains('?') { "&" } else { "?" }
        );
        let same = api.read("", &by_query, Some(PAGE)).await?;
        assert_eq!(
            (same.status, granted(&same)),
            (answer.status, PAGE),
            "{path}"
        );

        for page in [
            theirs,
            "https://app.example.com:8443",
            "http://app.example.com",
            "null",
        ] {
            let refused = api.read(&ticket, path, Some(page)).await?;
            assert_eq!(refused.problem(), "403 origin_not_allowed", "{path} {page}");
            assert_eq!(granted(&refused), "");
        }
        // A key is no ticket: a page that has one is not helped.
        let keyed = api.read(&api.key, path, Some(PAGE)).await?;
        assert_eq!((keyed.status, granted(&keyed)), (answer.status, ""));
        // And who is no page has no origin.
        let plain = api.read(&ticket, path, None).await?;
        assert_eq!((plain.status, granted(&plain)), (answer.status, ""));
    }

    api.allow(&api.key, json!(["http://localhost:3000"]))
        .await?;
    let refused = api.read(&ticket, "/v1/jobs", Some(PAGE)).await?;
    assert_eq!(refused.problem(), "403 origin_not_allowed");
    let listed = api
        .send(Method::GET, "/v1/live/origins", &other, &[], "")
        .await?;
    assert_eq!(listed.json(), json!({"origins": [theirs]}), "untouched");
    Ok(())
}

#[tokio::test]
async fn a_browser_may_ask_before_and_gets_nothing_by_it() -> Result<()> {
    let api = Api::new().await?;
    let asks = [
        ("origin", "https://anybody.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    for path in [
        "/v1/jobs",
        "/v1/jobs/x",
        "/v1/jobs/x/result",
        "/v1/live",
        "/v1/events",
    ] {
        let may = api.send(Method::OPTIONS, path, "", &asks, "").await?;
        assert_eq!((may.status, may.text.as_str()), (204, ""));
        for (name, value) in [
            ("access-control-allow-origin", "https://anybody.example"),
            ("access-control-allow-methods", "GET"),
            (
                "access-control-allow-headers",
                "authorization, last-event-id",
            ),
            ("access-control-max-age", "600"),
            ("access-control-allow-credentials", ""),
            ("vary", "origin"),
        ] {
            assert_eq!(may.header(name), value, "{path} {name}");
        }
    }
    // Elsewhere, or without the question, it is a method as any other.
    for (path, headers) in [
        ("/v1/me", &asks[..]),
        ("/v1/usage", &asks),
        ("/v1/live/tickets", &asks),
        ("/v1/session", &asks),
        ("/v1/jobs/x/cancel", &asks),
        ("/v1/jobs", &asks[..1]),
        ("/v1/jobs", &asks[1..]),
    ] {
        let refused = api.send(Method::OPTIONS, path, "", headers, "").await?;
        assert_eq!(refused.problem(), "405 method_not_allowed", "{path}");
        assert_eq!(granted(&refused), "");
    }
    Ok(())
}
