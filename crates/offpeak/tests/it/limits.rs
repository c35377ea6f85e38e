//! What one tenant may take: each limit refuses alone, says what it is, and touches no
//! neighbour.

use anyhow::Result;
use offpeak_domain::limits::{Limit, Limits};
use reqwest::Method;
use serde_json::json;

use crate::api::{Answer, Api, raw_job};
use crate::api_people::operator;

fn limits(own: &[(Limit, u64)]) -> Limits {
    Limits::default().with_all(own)
}

/// What a refusal says of the limit.
fn told(answer: &Answer) -> (String, String, String) {
    let seconds: u64 = answer.header("retry-after").parse().unwrap_or(0);
    assert!((1..=120).contains(&seconds), "{answer:?}");
    let (name, value) = (answer.at("/limit/name"), answer.at("/limit/value"));
    let name = name.trim_matches('"').to_owned();
    assert!(answer.at("/detail").contains(&name), "{answer:?}");
    (answer.problem(), name, value)
}

fn is(code: &str, limit: Limit, value: u64) -> (String, String, String) {
    (
        format!("429 {code}"),
        limit.as_str().to_owned(),
        value.to_string(),
    )
}

/// A neighbour is served as if nobody had reached anything.
async fn serves_a_neighbour(api: &mut Api) -> Result<()> {
    let (_, key) = api.tenant("neighbour").await?;
    for n in 0..2 {
        let taken = api
            .send(Method::POST, "/v1/jobs", &key, &[], raw_job("x"))
            .await?;
        assert_eq!(taken.status, 202, "{n}: {taken:?}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_beyond_the_rate_hear_which_limit_that_is() -> Result<()> {
    // An hour a request, more or less: none is added while the test runs.
    let few = limits(&[(Limit::RequestsPerSecond, 1), (Limit::RequestBurst, 3_600)]);
    let mut api = Api::with_limits(few.with(Limit::RequestBurst, 3)).await?;
    let mut refused = None;
    for _ in 0..60 {
        let answer = api.get("/v1/jobs").await?;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("sixty requests within a second and three");
    assert_eq!(
        told(&refused),
        is("too_many_requests", Limit::RequestsPerSecond, 1)
    );
    serves_a_neighbour(&mut api).await
}

#[tokio::test]
async fn a_remembered_key_that_was_revoked_hears_that_and_no_limit() -> Result<()> {
    let few = limits(&[(Limit::RequestsPerSecond, 1), (Limit::RequestBurst, 1)]);
    let mut api = Api::with_limits(few).await?;
    let key = api.another_key().await?;
    let submit = async |api: &Api| {
        api.send(Method::POST, "/v1/jobs", &key, &[], raw_job("a"))
            .await
    };
    assert_eq!(submit(&api).await?.status, 202);
    let revoke = "UPDATE offpeak.api_key SET revoked_at = clock_timestamp()";
    api.world.meddle(revoke).await?;
    for _ in 0..5 {
        assert_eq!(submit(&api).await?.problem(), "401 unauthenticated");
    }
    Ok(())
}

#[tokio::test]
async fn jobs_beyond_the_rate_are_refused_one_by_one_and_in_bulk() -> Result<()> {
    let few = limits(&[(Limit::JobsPerSecond, 1), (Limit::JobBurst, 100)]);
    let mut api = Api::with_limits(few).await?;
    let lines = |n: usize| (0..n).map(|_| raw_job("a") + "\n").collect::<String>();
    let first = api.post("/v1/jobs/bulk", lines(99)).await?;
    assert_eq!(first.status, 202, "{first:?}");
    let refused = api.post("/v1/jobs/bulk", lines(99)).await?;
    assert_eq!(told(&refused), is("too_many_jobs", Limit::JobsPerSecond, 1));
    assert_eq!(jobs(&api).await?, 99, "nothing of it was stored");
    let mut last = None;
    for n in 0..60 {
        let answer = api
            .post_with(
                "/v1/jobs",
                ("idempotency-key", &n.to_string()),
                raw_job("b"),
            )
            .await?;
        if answer.status == 429 {
            last = Some(answer);
            break;
        }
        // What is there already takes nothing of the rate.
        let again = api
            .post_with(
                "/v1/jobs",
                ("idempotency-key", &n.to_string()),
                raw_job("b"),
            )
            .await?;
        assert_eq!(again.status, 200, "{again:?}");
    }
    let last = last.expect("sixty jobs within a second and one");
    assert_eq!(told(&last), is("too_many_jobs", Limit::JobsPerSecond, 1));
    // A retry is a job as well, and reading none.
    let id = api.get("/v1/jobs").await?.at("/data/0/id");
    let id = id.trim_matches('"');
    for path in [format!("/v1/jobs/{id}/retry"), "/v1/jobs/retry".into()] {
        let retried = api.post(&path, json!({"ids": [id]}).to_string()).await?;
        let expected = is("too_many_jobs", Limit::JobsPerSecond, 1);
        assert_eq!(told(&retried), expected, "{path}");
    }
    serves_a_neighbour(&mut api).await
}

async fn jobs(api: &Api) -> Result<i64> {
    api.world.number("SELECT count(*) FROM offpeak.job").await
}

#[tokio::test]
async fn full_queues_and_too_many_keys_say_so_and_touch_nobody() -> Result<()> {
    let length = raw_job("a").len() as u64;
    for (limit, value, code) in [
        (Limit::QueuedJobs, 2, "too_many_queued_jobs"),
        (Limit::QueuedBytes, 2 * length, "too_many_queued_bytes"),
    ] {
        let mut api = Api::with_limits(limits(&[(limit, value)])).await?;
        let mut answer = api.post("/v1/jobs", raw_job("a")).await?;
        for _ in 0..4 {
            answer = api.post("/v1/jobs", raw_job("a")).await?;
        }
        assert_eq!(told(&answer), is(code, limit, value));
        serves_a_neighbour(&mut api).await?;
    }
    let mut api = Api::with_limits(limits(&[(Limit::KeysPerMinute, 1)])).await?;
    assert_eq!(api.post("/v1/keys", "{}").await?.status, 201);
    let refused = api.post("/v1/keys", "{}").await?;
    assert_eq!(
        told(&refused),
        is("too_many_requests", Limit::KeysPerMinute, 1)
    );
    serves_a_neighbour(&mut api).await
}

#[tokio::test]
async fn an_operator_gives_a_tenant_limits_of_its_own() -> Result<()> {
    let standard = limits(&[(Limit::QueuedJobs, 100), (Limit::KeysPerMinute, 7)]);
    let mut api = Api::with_limits(standard).await?;
    let operator = operator(&api).await?;
    let (tenant, key) = api.tenant("umbrella").await?;
    let path = format!("/v1/operator/tenants/{tenant}/limits");
    let page =
        async |api: &Api, method, body: &str| api.as_page(method, &path, &operator, body).await;
    let set = page(
        &api,
        Method::PUT,
        r#"{"queued_jobs": 1, "job_burst": null}"#,
    )
    .await?;
    assert_eq!(set.status, 200, "{set:?}");
    let row = |answer: &Answer, limit: Limit| {
        let rows = answer.json()["data"].clone();
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["name"] == limit.as_str())
            .unwrap_or_default()
    };
    // Its first request comes after that: it counts at once.
    for status in [202, 429] {
        let answer = api
            .send(Method::POST, "/v1/jobs", &key, &[], raw_job("a"))
            .await?;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    // Whoever has nothing of their own has the deployment's.
    for _ in 0..2 {
        assert_eq!(api.post("/v1/jobs", raw_job("a")).await?.status, 202);
    }
    let shown = api.send(Method::GET, "/v1/limits", &key, &[], "").await?;
    let queued = json!({"name": "queued_jobs", "value": 1, "default": 100, "own": true, "used": 1});
    assert_eq!(row(&shown, Limit::QueuedJobs), queued);
    let keys =
        json!({"name": "keys_per_minute", "value": 7, "default": 7, "own": false, "used": null});
    assert_eq!(row(&shown, Limit::KeysPerMinute), keys);
    let seen = page(&api, Method::GET, "").await?;
    assert_eq!(row(&seen, Limit::QueuedJobs), queued);
    for (body, fault) in [
        (r#"{"queued_jobs": -1}"#, r#""/queued_jobs" "wrong_type""#),
        (
            r#"{"queued_jobs": 9007199254740992}"#,
            r#""/queued_jobs" "invalid_value""#,
        ),
        (r#"{"queued_job": 1}"#, r#""/queued_job" "unknown_field""#),
    ] {
        let wrong = page(&api, Method::PUT, body).await?;
        assert_eq!(wrong.problem(), format!("422 invalid_input {fault}"));
    }
    // All are set at once: what is left out is the deployment's again.
    let back = page(&api, Method::PUT, "{}").await?;
    assert_eq!(row(&back, Limit::QueuedJobs)["value"], 100);
    let noted = "SELECT detail FROM offpeak.audit WHERE action = 'tenant.limits' ORDER BY seq";
    assert_eq!(
        api.world.texts(noted).await?,
        ["queued_jobs 1", "as the deployment has them"]
    );
    Ok(())
}
