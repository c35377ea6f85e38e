//! How live connections end that would rather not: their credential is over, or
//! their client takes nothing. And who may not have one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak_api::LiveOptions;
use offpeak_wire::live::{Bye, Frame};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::api::{Api, raw_job};
use crate::api_sessions::sign_in;
use crate::api_tickets::PAGE;
use crate::live::{Live, SOON, hasty, relay};
use crate::live_resume::{begin, invent};

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "offpeak.live.v1");

/// Asks for everything after a cursor, as server-sent events, and reads nothing.
async fn deaf(api: &Api, cursor: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16_000)?;
    let host = api.url.trim_start_matches("http://");
    let mut stream = socket.connect(host.parse()?).await?;
    let key = &api.key;
    let request = format!(
        "GET /v1/events?topics=jobs&cursor={cursor} HTTP/1.1\r\nhost: {host}\r\n\
         authorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Waits until so many connections of a kind are open.
async fn open(api: &Api, kind: &str, count: u32) -> Result<()> {
    let line = format!("offpeak_live_connections{{kind=\"{kind}\"}} {count}");
    while !api.measures(&line).await? {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Waits until nobody is sent anything more.
async fn quiet(api: &Api) -> Result<()> {
    let (mut before, mut same) = (String::new(), 0);
    while same < 30 {
        let shown = api.metrics().await?;
        let sent = |line: &&str| line.starts_with("offpeak_live_frames_total{frame=\"events\"}");
        let now = shown.lines().find(sent).unwrap_or_default().to_owned();
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_cut_off() -> Result<()> {
    let api = Api::with_live(LiveOptions {
        send_within: Duration::from_millis(500),
        ..LiveOptions::default()
    })
    .await?;
    let begin = begin(&api).await?;
    invent(&api).await?;
    let mut stream = deaf(&api, &begin).await?;
    timeout(SOON, open(&api, "sse", 1)).await??;
    // Its kernel confirms what comes, and that is all.
    timeout(SOON, open(&api, "sse", 0)).await??;
    ensure!(api.measures("offpeak_live_too_slow_total 1").await?);
    let mut read = Vec::new();
    let end = timeout(SOON, stream.read_to_end(&mut read)).await?;
    ensure!(
        end.is_err(),
        "the rest was to come, too: {} bytes",
        read.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_closes_everything_within_five_seconds() -> Result<()> {
    // As it is by default, and whatever each of them does.
    let api = Api::new().await?;
    let begin = begin(&api).await?;
    let _idle = Live::events(&api, &["jobs"], None).await?;
    let _says_nothing = Live::with_key(&api, &api.key).await?;
    let request = api.http().get(format!("{}/v1/events?topics=jobs", api.url));
    let mut idle = request.bearer_auth(&api.key).send().await?;
    invent(&api).await?;
    let _reads_nothing = Live::events(&api, &["jobs"], Some(&begin)).await?;
    let _neither = deaf(&api, &begin).await?;
    let reads = tokio::spawn(async move { while let Ok(Some(_)) = idle.chunk().await {} });
    let ends = async {
        open(&api, "websocket", 3).await?;
        open(&api, "sse", 2).await?;
        quiet(&api).await
    };
    timeout(SOON, ends).await??;
    api.world
        .meddle("UPDATE offpeak.api_key SET revoked_at = now()")
        .await?;
    let ends = async {
        open(&api, "websocket", 0).await?;
        open(&api, "sse", 0).await
    };
    let ended = timeout(Duration::from_secs(5), ends).await;
    let shown = api.metrics().await?;
    let left: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("live_"))
        .collect();
    ended.with_context(|| format!("five seconds later some were open: {left:#?}"))??;
    timeout(SOON, reads).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_opens_sockets_of_own_pages_until_it_ends() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    let cookie = sign_in(&api, &api.key).await?;
    let https = api.url.replace("http://", "https://");
    for origin in [None, Some(https.as_str()), Some("https://evil.example")] {
        let mut headers = vec![PROTOCOL, ("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let refused = Live::connect(&api, &headers).await.err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("403"), "{origin:?}: {refused:?}");
    }
    let own = [PROTOCOL, ("cookie", &cookie), ("origin", &api.url)];
    let mut live = Live::connect(&api, &own).await?;
    live.say(json!({"t": "hello", "topics": ["jobs"]})).await?;
    assert!(matches!(live.frame().await?, Frame::Hello { .. }));
    let ended = api.as_page(Method::DELETE, "/v1/session", &cookie, "");
    assert_eq!(ended.await?.status, 204);
    let (why, code, _) = live.end().await?;
    assert_eq!((why, code), (Bye::Unauthenticated, 4401));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_sockets_from_listed_pages_until_it_is_over() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    api.allow(&api.key, json!([PAGE])).await?;
    let ticket = api.ticket(&api.key, json!({"user": "ada"})).await?;
    let protocols = format!("offpeak.live.v1, offpeak.ticket.{ticket}");
    let from = |page| {
        [
            ("sec-websocket-protocol", protocols.as_str()),
            ("origin", page),
        ]
    };
    let refused = Live::connect(&api, &from("https://evil.example"))
        .await
        .err();
    let refused = refused.map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("403"), "{refused:?}");
    let mut live = Live::connect(&api, &from(PAGE)).await?;
    live.say(json!({"t": "hello", "topics": ["jobs"]})).await?;
    assert!(matches!(live.frame().await?, Frame::Hello { .. }));
    api.world
        .meddle("UPDATE offpeak.ticket SET expires_at = clock_timestamp()")
        .await?;
    let (why, code, _) = live.end().await?;
    assert_eq!((why, code), (Bye::Unauthenticated, 4401));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_few_places_however_many_tickets() -> Result<()> {
    let api = Api::with_live(LiveOptions {
        max_connections_per_ticket: 2,
        max_connections_per_session: 1,
        max_connections_per_key: 1,
        ..LiveOptions::default()
    })
    .await?;
    let connect = async |user: &str| -> Result<Live> {
        let ticket = api.ticket(&api.key, json!({"user": user})).await?;
        let protocols = format!("offpeak.live.v1, offpeak.ticket.{ticket}");
        Live::connect(&api, &[("sec-websocket-protocol", &protocols)]).await
    };
    let full = (Bye::TooMany, 4429, None);
    let _ada = [connect("ada").await?, connect("ada").await?];
    assert_eq!(connect("ada").await?.end().await?, full);
    let mut bob = connect("bob").await?;
    bob.say(json!({"t": "hello", "topics": ["jobs"]})).await?;
    assert!(matches!(bob.frame().await?, Frame::Hello { .. }));
    let _program = Live::events(&api, &["jobs"], None).await?;
    assert_eq!(Live::with_key(&api, &api.key).await?.end().await?, full);
    let cookie = sign_in(&api, &api.key).await?;
    let own = [PROTOCOL, ("cookie", &cookie), ("origin", &api.url)];
    let _page = Live::connect(&api, &own).await?;
    assert_eq!(Live::connect(&api, &own).await?.end().await?, full);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_group_and_jobs_are_nobodys() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    let body = format!("{}\n", raw_job("theirs"));
    let group = api.post("/v1/jobs/bulk", body).await?.at("/group");
    let theirs = api.post("/v1/jobs", raw_job("theirs")).await?.at("/id");
    relay(&api).await?;
    let topic = format!("group:{group}");
    let mut events = Live::with_key(&api, &other).await?;
    let hello = json!({"t": "hello", "topics": ["jobs", topic]});
    events.say(hello).await?;
    let mut view = Live::with_key(&api, &other).await?;
    let hello = json!({"t": "hello", "mode": "view", "topics": [topic]});
    view.say(hello).await?;
    for live in [&mut events, &mut view] {
        assert!(matches!(live.frame().await?, Frame::Hello { .. }));
    }
    view.say(json!({"t": "watch", "jobs": [theirs]})).await?;
    api.world.run_out().await?;
    relay(&api).await?;
    let own = api.submit(&other, raw_job("own")).await?;
    view.say(json!({"t": "watch", "jobs": [theirs, own]}))
        .await?;
    relay(&api).await?;
    // The first event that they hear of is their own first one.
    let seen = events.until(|_| true).await?;
    ensure!(
        seen[0].n == 1 && format!("{seen:?}").contains(&own),
        "{seen:?}"
    );
    loop {
        match view.frame().await? {
            Frame::Rows { jobs, .. } => {
                ensure!(jobs.len() == 1 && jobs[0].id == own, "{jobs:?}");
                return Ok(());
            }
            Frame::Counts { groups, .. } => {
                let none = offpeak_wire::Counts::default();
                ensure!(groups.values().all(|counts| *counts == none), "{groups:?}");
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
}
