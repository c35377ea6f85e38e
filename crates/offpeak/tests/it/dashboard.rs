//! Where the dashboard begins, and where the API does; whether or not one is embedded.

use anyhow::Result;
use offpeak_api::Embedded;
use reqwest::Method;

use crate::api::Api;

const BROWSER: [(&str, &str); 1] = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

#[tokio::test]
async fn a_browser_gets_the_page_wherever_the_api_has_nothing() -> Result<()> {
    let api = Api::new().await?;
    for path in ["/", "/jobs", "/jobs/job_00000000000000000000000000?tab=raw"] {
        let page = api.send(Method::GET, path, "", &BROWSER, "").await?;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        if Embedded::here() == Embedded::Nothing {
            assert!(page.text.contains("make dashboard"), "{path}");
        }
    }
    let head = api.send(Method::HEAD, "/jobs", "", &BROWSER, "").await?;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    Ok(())
}

#[tokio::test]
async fn the_api_never_answers_with_a_page() -> Result<()> {
    let api = Api::new().await?;
    for path in ["/v1", "/v1/nothing", "/v1/jobs/x/nothing", "/robots.txt"] {
        let answer = api.send(Method::GET, path, &api.key, &BROWSER, "").await?;
        assert_eq!(answer.problem(), "404 no_route", "{path}");
    }
    // A program that mistypes a path.
    let answer = api.get("/jobs").await?;
    assert_eq!(answer.problem(), "404 no_route");
    let asset = "/assets/nothing-0a1b2c3d.js";
    let answer = api.send(Method::GET, asset, "", &BROWSER, "").await?;
    assert_eq!(answer.problem(), "404 no_route");
    assert_eq!(answer.header("cache-control"), "no-store");
    Ok(())
}
