//! Live connections whose hints are lost, or whose database is: what happened comes
//! with the next look, or the connection ends and its client goes on elsewhere.

use std::time::Duration;

use anyhow::Result;
use offpeak_api::LiveOptions;
use offpeak_store::{Tenants, event};
use offpeak_testkit::proxy::Proxy;
use offpeak_wire::live::Bye;
use serde_json::json;

use crate::api::{Api, raw_job};
use crate::live::{Live, hasty, relay};

/// Under which nothing is looked at unless somebody says so.
fn by_hints_alone() -> LiveOptions {
    let never = Duration::from_hours(1);
    LiveOptions {
        look_every: never,
        ask_every: never,
        lost_after: never,
        ..LiveOptions::default()
    }
}

/// A way to the world's database on which a silence is short.
fn way(api: &Api) -> Result<(Proxy, Tenants)> {
    let (proxy, through) = Proxy::before(&api.world.connect)?;
    let mut options = api.world.options(through);
    options.acquire_timeout = Duration::from_secs(2);
    options.tenant_statement_timeout = Duration::from_secs(1);
    options.answer_timeout = Duration::from_millis(300);
    Ok((proxy, Tenants::new(&options)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_hint_costs_a_moment() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    let mut live = Live::events(&api, &["jobs"], None).await?;
    // Numbered, and nobody says so.
    api.post("/v1/jobs", raw_job("unheard")).await?;
    assert_eq!(event::number(&api.world.system, 1_000).await?.taken, 1);
    live.until(|event| event.n == 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_is_heard_and_so_is_that_some_were_lost() -> Result<()> {
    let api = Api::with_live(by_hints_alone()).await?;
    let mut live = Live::events(&api, &["jobs"], None).await?;
    api.post("/v1/jobs", raw_job("heard")).await?;
    relay(&api).await?;
    live.until(|event| event.n == 1).await?;
    // Said while nobody can hear: whoever hears again looks.
    api.world
        .meddle(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        )
        .await?;
    api.post("/v1/jobs", raw_job("unheard")).await?;
    relay(&api).await?;
    live.until(|event| event.n == 2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_silently_dead_is_replaced() -> Result<()> {
    let mut api = Api::new().await?;
    let (proxy, way) = way(&api)?;
    api.live_through(way, by_hints_alone()).await?;
    let mut live = Live::events(&api, &["jobs"], None).await?;
    api.post("/v1/jobs", raw_job("heard")).await?;
    relay(&api).await?;
    live.until(|event| event.n == 1).await?;
    // Its connection is there, and nothing comes on it any more.
    proxy.half_open();
    api.post("/v1/jobs", raw_job("unheard")).await?;
    relay(&api).await?;
    proxy.heal();
    live.until(|event| event.n == 2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_anything_is_sent_elsewhere() -> Result<()> {
    let mut api = Api::new().await?;
    let (proxy, way) = way(&api)?;
    let options = LiveOptions {
        lost_after: Duration::from_secs(1),
        ..hasty()
    };
    api.live_through(way, options).await?;
    let hello = json!({"t": "hello", "topics": ["jobs"]});
    let (mut live, cursor) = Live::open(&api, hello).await?;
    proxy.cut();
    assert_eq!(
        live.end().await?,
        (Bye::Restarting, 1012, Some(cursor.clone()))
    );
    api.post("/v1/jobs", raw_job("meanwhile")).await?;
    relay(&api).await?;
    proxy.heal();
    let mut again = Live::events(&api, &["jobs"], Some(&cursor)).await?;
    again.until(|event| event.n == 1).await?;
    Ok(())
}
