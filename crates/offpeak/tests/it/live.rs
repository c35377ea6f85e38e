//! Live connections as clients meet them: who may open one, what comes, and how
//! one ends.

#![expect(clippy::panic, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use offpeak_api::LiveOptions;
use offpeak_domain::limits::{Limit, Limits};
use offpeak_wire::live::{Bye, Frame, LiveEvent, LiveWhat};
use offpeak_worker::Loop;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::api::{Api, raw_job};

/// In which everything that is waited for happens.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A client of `GET /v1/live`.
pub(crate) struct Live {
    socket: WebSocketStream<TcpStream>,
}

impl Live {
    /// Connects with these headers.
    pub(crate) async fn connect(api: &Api, headers: &[(&'static str, &str)]) -> Result<Self> {
        let mut request =
            format!("{}/v1/live", api.url.replace("http", "ws")).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let address = api.url.trim_start_matches("http://").parse()?;
        let socket = TcpSocket::new_v4()?;
        // What a client does not read is soon felt on the other side.
        socket.set_recv_buffer_size(16_000)?;
        let stream = socket.connect(address).await?;
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        let spoken = answer.headers().get("sec-websocket-protocol");
        assert_eq!(
            spoken.and_then(|it| it.to_str().ok()),
            Some("offpeak.live.v1")
        );
        Ok(Self { socket })
    }

    /// Connects with a key and says `hello`. Gives the cursor of the answer, too.
    pub(crate) async fn open(api: &Api, hello: Value) -> Result<(Self, String)> {
        let mut live = Self::with_key(api, &api.key).await?;
        live.say(hello).await?;
        match live.frame().await? {
            Frame::Hello { cursor, .. } => Ok((live, cursor)),
            other => panic!("no hello: {other:?}"),
        }
    }

    pub(crate) async fn with_key(api: &Api, key: &str) -> Result<Self> {
        let key = format!("Bearer {key}");
        let headers = [
            ("sec-websocket-protocol", "offpeak.live.v1"),
            ("authorization", &key),
        ];
        Self::connect(api, &headers).await
    }

    /// Events of these topics from now on, or after a cursor.
    pub(crate) async fn events(api: &Api, topics: &[&str], cursor: Option<&str>) -> Result<Self> {
        let mut hello = json!({"t": "hello", "topics": topics});
        if let Some(cursor) = cursor {
            hello["cursor"] = cursor.into();
        }
        Ok(Self::open(api, hello).await?.0)
    }

    pub(crate) async fn say(&mut self, message: Value) -> Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// The next frame, or the code with which it was closed; none after an end
    /// without one.
    pub(crate) async fn next(&mut self) -> Result<Option<std::result::Result<Frame, u16>>> {
        loop {
            let message = timeout(SOON, self.socket.next())
                .await
                .context("no frame")?;
            return Ok(match message {
                Some(Ok(Message::Text(text))) => Some(Ok(serde_json::from_str(&text)?)),
                Some(Ok(Message::Close(Some(close)))) => Some(Err(close.code.into())),
                Some(Ok(Message::Ping(_))) => continue,
                _ => None,
            });
        }
    }

    pub(crate) async fn frame(&mut self) -> Result<Frame> {
        match self.next().await? {
            Some(Ok(frame)) => Ok(frame),
            other => panic!("no frame: {other:?}"),
        }
    }

    /// Events until one fits, that one included. Frames of other kinds are an error.
    pub(crate) async fn until(
        &mut self,
        mut last: impl FnMut(&LiveEvent) -> bool,
    ) -> Result<Vec<LiveEvent>> {
        let mut all = Vec::new();
        loop {
            let Frame::Events { events, .. } = self.frame().await? else {
                panic!("no events");
            };
            for event in events {
                let done = last(&event);
                all.push(event);
                if done {
                    return Ok(all);
                }
            }
        }
    }

    /// Why and with which code it ends, and from which cursor to go on.
    pub(crate) async fn end(&mut self) -> Result<(Bye, u16, Option<String>)> {
        let mut said = None;
        loop {
            match self.next().await? {
                Some(Ok(Frame::Bye { why, cursor, .. })) => said = Some((why, cursor)),
                Some(Ok(_)) => {}
                Some(Err(code)) => {
                    let (why, cursor) = said.context("closed without a word")?;
                    return Ok((why, code, cursor));
                }
                None => panic!("ended without a code"),
            }
        }
    }
}

/// How many jobs an event says to have come into a state.
pub(crate) fn came(event: &LiveEvent, into: offpeak_wire::JobState) -> usize {
    match &event.what {
        LiveWhat::Job { state, jobs, .. } if *state == into => jobs.len(),
        _ => 0,
    }
}

/// Numbers everything that was told.
pub(crate) async fn relay(api: &Api) -> Result<()> {
    while api.world.worker.tick(Loop::Relay).await?.done > 0 {}
    Ok(())
}

/// Options under which time is short.
pub(crate) fn hasty() -> LiveOptions {
    LiveOptions {
        look_every: Duration::from_millis(100),
        ask_every: Duration::from_millis(100),
        heartbeat: Duration::from_millis(300),
        hello_within: Duration::from_millis(300),
        send_within: Duration::from_millis(300),
        ..LiveOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_dense_and_in_order_whoever_submits() -> Result<()> {
    let mut api = Api::new().await?;
    let topics = ["jobs", "batches", "usage"];
    let mut first = Live::events(&api, &topics, None).await?;
    let mut second = Live::events(&api, &topics, None).await?;
    let submits = (0..40).map(|n| {
        let api = &api;
        async move { api.post("/v1/jobs", raw_job(&format!("job {n}"))).await }
    });
    for answer in futures_util::future::join_all(submits).await {
        assert_eq!(answer?.status, 202);
    }
    relay(&api).await?;
    api.world.run_out().await?;
    relay(&api).await?;
    let last = api.world.number("SELECT seq FROM offpeak.stream").await?;
    let last = u64::try_from(last)?;
    let seen = first.until(|event| event.n == last).await?;
    let completed: usize = seen
        .iter()
        .map(|event| came(event, offpeak_wire::JobState::Completed))
        .sum();
    assert_eq!(completed, 40);
    let numbers: Vec<u64> = seen.iter().map(|event| event.n).collect();
    let dense: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, dense);
    for kind in ["batch", "usage"] {
        let has = |event: &LiveEvent| serde_json::to_value(event).expect("JSON")["kind"] == kind;
        assert!(seen.iter().any(has), "{kind}");
    }
    let other = second.until(|event| event.n == last).await?;
    assert_eq!(other, seen);
    let shown = api.metrics().await?;
    assert!(
        shown.contains("offpeak_live_connections{kind=\"websocket\"} 2"),
        "{shown}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_users_hear_of_their_own() -> Result<()> {
    let mut api = Api::new().await?;
    let job_of = |user: &str| {
        let mut job: Value = serde_json::from_str(&raw_job("x")).expect("JSON");
        job["user"] = user.into();
        format!("{job}\n")
    };
    let body: String = ["ada", "bob", "ada"].map(job_of).concat();
    let group = api.post("/v1/jobs/bulk", body).await?.at("/group");
    api.post("/v1/jobs/bulk", job_of("ada")).await?;
    relay(&api).await?;
    api.world.run_out().await?;
    relay(&api).await?;
    let epoch = api
        .get("/v1/jobs")
        .await?
        .header("offpeak-cursor")
        .to_owned();
    let begin = format!("{}.0", epoch.split('.').next().unwrap_or_default());
    for (topic, jobs) in [(format!("group:{group}"), 3), ("user:ada".to_owned(), 3)] {
        let mut live = Live::events(&api, &[&topic], Some(&begin)).await?;
        let mut left = jobs;
        let ended = |event: &LiveEvent| {
            left -= came(event, offpeak_wire::JobState::Completed);
            left == 0
        };
        let seen = live.until(ended).await?;
        let queued: usize = seen
            .iter()
            .map(|event| came(event, offpeak_wire::JobState::Queued))
            .sum();
        assert_eq!(queued, jobs, "{topic}");
        let is_job = |event: &LiveEvent| matches!(event.what, LiveWhat::Job { .. });
        assert!(seen.iter().all(is_job), "{topic}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_hears_of_its_own_without_costs() -> Result<()> {
    let mut api = Api::new().await?;
    let ticket = api
        .post("/v1/live/tickets", r#"{"user":"ada","ttl":600}"#)
        .await?
        .at("/ticket");
    let protocols = format!("offpeak.live.v1, offpeak.ticket.{ticket}");
    let headers = [("sec-websocket-protocol", protocols.as_str())];
    let mut live = Live::connect(&api, &headers).await?;
    live.say(json!({"t": "hello", "topics": ["jobs"]})).await?;
    assert!(matches!(live.frame().await?, Frame::Hello { .. }));
    for user in ["bob", "ada"] {
        let mut job: Value = serde_json::from_str(&raw_job("x"))?;
        job["user"] = user.into();
        api.post("/v1/jobs", job.to_string()).await?;
    }
    api.world.run_out().await?;
    relay(&api).await?;
    let ended = |event: &LiveEvent| came(event, offpeak_wire::JobState::Completed) > 0;
    for event in live.until(ended).await? {
        let LiveWhat::Job {
            jobs, costs, batch, ..
        } = event.what
        else {
            panic!("not of a job");
        };
        assert_eq!((jobs.len(), costs.len(), batch), (1, 0, None));
    }
    let mut foreign = Live::connect(&api, &headers).await?;
    foreign
        .say(json!({"t": "hello", "topics": ["user:bob"]}))
        .await?;
    let (why, code, _) = foreign.end().await?;
    assert_eq!((why, code), (Bye::TicketScope, 4403));
    let path = format!("/v1/events?topics=usage&ticket={ticket}");
    let refused = api.send(reqwest::Method::GET, &path, "", &[], "").await?;
    assert_eq!(refused.problem(), "403 ticket_scope");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn something_comes_while_nothing_happens() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    let (mut live, cursor) = Live::open(&api, json!({"t": "hello", "topics": ["jobs"]})).await?;
    for _ in 0..2 {
        let beat = live.frame().await?;
        assert_eq!(
            beat,
            Frame::Beat {
                cursor: cursor.clone()
            }
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_without_a_word_is_let_go() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    let (mut live, _) = Live::open(&api, json!({"t": "hello", "topics": ["jobs"]})).await?;
    // It answers no ping, since it does not read.
    let closed = "offpeak_live_too_slow_total 1";
    timeout(SOON, async {
        while !api.metrics().await?.contains(closed) {}
        anyhow::Ok(())
    })
    .await??;
    assert_eq!(live.end().await?.1, 4408);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_closes_what_it_opened() -> Result<()> {
    let mut api = Api::with_live(hasty()).await?;
    let (_, other) = api.tenant("other").await?;
    let mut stays = Live::with_key(&api, &other).await?;
    stays.say(json!({"t": "hello", "topics": ["jobs"]})).await?;
    let mut live = Live::events(&api, &["jobs"], None).await?;
    let sse = api.http().get(format!("{}/v1/events?topics=jobs", api.url));
    let sse = sse.bearer_auth(&api.key).send().await?;
    api.world
        .meddle("UPDATE offpeak.api_key SET revoked_at = now() WHERE tenant_id = (SELECT id FROM offpeak.tenant WHERE name = 'acme')")
        .await?;
    let (why, code, cursor) = live.end().await?;
    assert_eq!((why, code), (Bye::Unauthenticated, 4401));
    assert!(cursor.is_some());
    let told = timeout(SOON, sse.text()).await??;
    assert!(
        told.ends_with('\n') && told.contains("event: bye"),
        "{told}"
    );
    assert!(matches!(stays.frame().await?, Frame::Hello { .. }));
    assert!(matches!(stays.frame().await?, Frame::Beat { .. }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so() -> Result<()> {
    let mut api = Api::new().await?;
    let mut early = Live::with_key(&api, &api.key).await?;
    let (mut live, cursor) = Live::open(&api, json!({"t": "hello", "topics": ["jobs"]})).await?;
    api.stop();
    assert_eq!(live.end().await?, (Bye::Restarting, 1012, Some(cursor)));
    assert_eq!(early.end().await?, (Bye::Restarting, 1012, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_closed() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    for (message, code) in [
        (json!({"t": "wave"}), 4400),
        (json!({"t": "watch", "jobs": []}), 4400),
        (json!({"t": "hello", "topics": ["everything"]}), 4400),
        (json!({"t": "hello", "topics": ["x".repeat(70_000)]}), 1009),
    ] {
        let mut live = Live::with_key(&api, &api.key).await?;
        live.say(message).await?;
        loop {
            match live.next().await? {
                Some(Ok(_)) => {}
                Some(Err(closed)) => break assert_eq!(closed, code),
                None => panic!("no code"),
            }
        }
    }
    let mut silent = Live::with_key(&api, &api.key).await?;
    assert_eq!(silent.end().await?, (Bye::TooSlow, 4408, None));
    let (mut live, _) = Live::open(&api, json!({"t": "hello", "topics": ["jobs"]})).await?;
    live.say(json!({"t": "watch", "jobs": []})).await?;
    assert_eq!(live.end().await?.1, 4400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_connect_hears_why() -> Result<()> {
    let one = Limits::default().with(Limit::LiveConnections, 1);
    let api = Api::with(one, LiveOptions::default()).await?;
    let get = |path, headers| api.send(reqwest::Method::GET, path, &api.key, headers, "");
    assert_eq!(get("/v1/live", &[]).await?.problem(), "426 not_a_websocket");
    let nobody = api.send(reqwest::Method::GET, "/v1/live", "", &[], "");
    assert_eq!(nobody.await?.problem(), "401 unauthenticated");
    assert_eq!(
        get("/v1/events", &[]).await?.problem(),
        "400 invalid_query \"topics\" \"missing\""
    );
    assert_eq!(
        get("/v1/events?topics=jobs&mode=all", &[]).await?.problem(),
        "400 invalid_query \"mode\" \"invalid_value\""
    );
    let handshake: &[(&'static str, &str)] = &[
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("sec-websocket-protocol", "graphql-ws"),
    ];
    assert_eq!(
        get("/v1/live", handshake).await?.problem(),
        "400 invalid_header"
    );
    let live = Live::events(&api, &["jobs"], None).await?;
    // A page sees no status of a WebSocket that was refused: it is told on one.
    let mut told = Live::with_key(&api, &api.key).await?;
    assert_eq!(told.end().await?, (Bye::TooMany, 4429, None));
    let full = get("/v1/events?topics=jobs", &[]).await?;
    assert_eq!(full.problem(), "429 too_many_connections");
    assert_eq!(full.header("retry-after"), "10");
    assert_eq!(get("/v1/live", &handshake[..4]).await?.status, 429);
    drop(live);
    // Its place is free as soon as its end is noticed.
    timeout(SOON, async {
        while get("/v1/live", &handshake[..4]).await?.status == 429 {}
        anyhow::Ok(())
    })
    .await??;
    Ok(())
}
