//! `Prefer: wait=N`: the answer is the result, if it comes in time.

use anyhow::Result;
use tokio::time::timeout;

use crate::api::{Api, raw_job};
use crate::live::{SOON, relay};

/// Whether so many submits wait.
async fn waiting(api: &Api, so_many: u32) -> Result<()> {
    let gauge = format!("offpeak_live_connections{{kind=\"wait\"}} {so_many}\n");
    timeout(SOON, async {
        while !api.metrics().await?.contains(&gauge) {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await?
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_gets_the_ended_job() -> Result<()> {
    let mut api = Api::new().await?;
    let wait = |wait: &'static str| {
        let request = api.http().post(format!("{}/v1/jobs", api.url));
        let request = request.bearer_auth(&api.key).header("prefer", wait);
        request.header("idempotency-key", "one").body(raw_job("x"))
    };
    let first = tokio::spawn(wait("respond-async, wait=60").send());
    waiting(&api, 1).await?;
    let again = wait("wait=600");
    api.world.run_out().await?;
    relay(&api).await?;
    let answer = timeout(SOON, first).await???;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["preference-applied"], "wait=60");
    let job: offpeak_wire::Job = serde_json::from_slice(&answer.bytes().await?)?;
    assert_eq!(job.state, offpeak_wire::JobState::Completed);
    assert!(job.cost.is_some() && !job.replayed);
    // What has ended is there at once.
    let answer = timeout(SOON, again.send()).await??;
    assert_eq!(answer.headers()["preference-applied"], "wait=100");
    let job: offpeak_wire::Job = serde_json::from_slice(&answer.bytes().await?)?;
    assert!(job.replayed);
    waiting(&api, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_over_the_answer_is_the_usual_one() -> Result<()> {
    let mut api = Api::new().await?;
    let wait = ("prefer", "wait=1");
    let answer = timeout(SOON, api.post_with("/v1/jobs", wait, raw_job("x"))).await??;
    assert_eq!(
        (answer.status, answer.header("preference-applied")),
        (202, "")
    );
    assert_eq!(answer.at("/state"), "queued");
    let wrong = api.post_with("/v1/jobs", ("prefer", "wait=soon"), raw_job("x"));
    assert_eq!(
        wrong.await?.problem(),
        "400 invalid_header \"prefer\" \"invalid_value\""
    );
    api.world.run_out().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_waits_no_longer() -> Result<()> {
    let mut api = Api::new().await?;
    let request = api.http().post(format!("{}/v1/jobs", api.url));
    let request = request.bearer_auth(&api.key).header("prefer", "wait=100");
    let gone = tokio::spawn(request.body(raw_job("x")).send());
    waiting(&api, 1).await?;
    gone.abort();
    waiting(&api, 0).await?;
    // So does a server that stops.
    let request = api.http().post(format!("{}/v1/jobs", api.url));
    let request = request.bearer_auth(&api.key).header("prefer", "wait=100");
    let stays = tokio::spawn(request.body(raw_job("y")).send());
    waiting(&api, 1).await?;
    api.stop();
    assert_eq!(timeout(SOON, stays).await???.status(), 202);
    api.world.run_out().await
}
