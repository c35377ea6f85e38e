//! Who comes back with a cursor misses nothing and sees nothing twice, or is told.

#![expect(clippy::panic, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt as _;
use offpeak_api::LiveOptions;
use offpeak_wire::live::{Frame, LiveEvent, Resync};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::timeout;

use crate::api::{Api, raw_job};
use crate::live::{Live, SOON, relay};

const ALL: [&str; 3] = ["jobs", "batches", "usage"];

/// The cursor before the first event.
pub(crate) async fn begin(api: &Api) -> Result<String> {
    let answer = api.get("/v1/jobs").await?;
    let (epoch, _) = answer
        .header("offpeak-cursor")
        .split_once('.')
        .unwrap_or_default();
    Ok(format!("{epoch}.0"))
}

/// Gives the tenant events of five hundred jobs each, as a worker of a large group
/// would, and says so to nobody.
pub(crate) async fn invent(api: &Api) -> Result<()> {
    // About ten megabytes: more than any buffer between them holds.
    api.world
        .meddle(
            "INSERT INTO offpeak.event (tenant_id, seq, numbered_at, at, kind, state, ids)
             SELECT t.id, n, now(), now(), 'job', 'queued', many.ids
               FROM offpeak.tenant t, generate_series(1, 600) AS n,
                    (SELECT array_agg(gen_random_uuid()) AS ids
                       FROM generate_series(1, 500)) AS many
              WHERE t.name = 'acme'",
        )
        .await?;
    api.world
        .meddle(
            "INSERT INTO offpeak.stream SELECT tenant_id, max(seq) FROM offpeak.event GROUP BY 1
                 ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq",
        )
        .await
}

/// Reads on from a cursor, connecting anew now and then, up to the event `last`.
async fn in_pieces(
    api: &Api,
    mut cursor: String,
    last: u64,
    rng: &mut StdRng,
) -> Result<Vec<LiveEvent>> {
    let mut all: Vec<LiveEvent> = Vec::new();
    loop {
        let mut live = Live::events(api, &ALL, Some(&cursor)).await?;
        for _ in 0..rng.random_range(1..4) {
            let Frame::Events {
                cursor: reached,
                events,
            } = live.frame().await?
            else {
                panic!("no events");
            };
            cursor = reached;
            all.extend(events);
            if all.last().is_some_and(|event| event.n >= last) {
                return Ok(all);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_in_pieces_reads_the_same() -> Result<()> {
    let mut api = Api::new().await?;
    let mut whole = Live::events(&api, &ALL, None).await?;
    for n in 0..12 {
        api.post("/v1/jobs", raw_job(&format!("job {n}"))).await?;
        relay(&api).await?;
    }
    api.world.run_out().await?;
    relay(&api).await?;
    let last = api.world.number("SELECT seq FROM offpeak.stream").await?;
    let last = u64::try_from(last)?;
    let expected = whole.until(|event| event.n == last).await?;
    let begin = begin(&api).await?;
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..3 {
        let read = in_pieces(&api, begin.clone(), last, &mut rng).await?;
        assert_eq!(read, expected);
        // In the middle of what is read together, too, and from the database alone.
        let middle = rng.random_range(1..last);
        let cursor = format!("{}{middle}", begin.trim_end_matches('0'));
        let rest = in_pieces(&api, cursor, last, &mut rng).await?;
        assert_eq!(rest[..], expected[usize::try_from(middle)?..]);
        api.live_again(LiveOptions::default()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_is_said() -> Result<()> {
    let mut api = Api::new().await?;
    for n in 0..5 {
        api.post("/v1/jobs", raw_job(&format!("job {n}"))).await?;
        relay(&api).await?;
    }
    let begin = begin(&api).await?;
    let of = |seq: u64| format!("{}{seq}", begin.trim_end_matches('0'));
    api.world
        .meddle("DELETE FROM offpeak.event WHERE seq <= 3")
        .await?;
    for (cursor, expected) in [
        (of(2), Resync::TooOld),
        ("00000000.4".to_owned(), Resync::Epoch),
        ("nonsense".to_owned(), Resync::Epoch),
        (of(99), Resync::Epoch),
    ] {
        for mode in ["events", "view"] {
            let hello = json!({"t": "hello", "mode": mode, "topics": ["jobs"], "cursor": cursor});
            let (mut live, _) = Live::open(&api, hello).await?;
            let Frame::Resync { cursor: from, why } = resync(&mut live).await? else {
                panic!("goes on from {cursor}");
            };
            assert_eq!((from, why), (of(5), expected), "{cursor}");
        }
        api.live_again(LiveOptions::default()).await?;
    }
    // What is still there is.
    let mut live = Live::events(&api, &["jobs"], Some(&of(3))).await?;
    let seen = live.until(|event| event.n == 5).await?;
    assert_eq!(seen.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_noticed_while_connected() -> Result<()> {
    let api = Api::new().await?;
    api.post("/v1/jobs", raw_job("before")).await?;
    relay(&api).await?;
    let old = begin(&api).await?;
    let mut live = Live::events(&api, &["jobs"], Some(&old)).await?;
    live.until(|event| event.n == 1).await?;
    // As after a failover: the function is what an epoch is made of.
    api.world
        .meddle(
            "CREATE OR REPLACE FUNCTION offpeak.incarnation() RETURNS text
                 LANGUAGE sql STABLE AS $$ SELECT 'another' $$",
        )
        .await?;
    let new = begin(&api).await?;
    assert_ne!(old, new);
    let Frame::Resync { cursor, why } = resync(&mut live).await? else {
        panic!("it goes on as if nothing had been");
    };
    assert_eq!(why, Resync::Epoch);
    assert_eq!(cursor, format!("{}1", new.trim_end_matches('0')));
    api.post("/v1/jobs", raw_job("after")).await?;
    relay(&api).await?;
    assert_eq!(live.until(|event| event.n == 2).await?.len(), 1);
    Ok(())
}

/// The next frame that is none of counts.
async fn resync(live: &mut Live) -> Result<Frame> {
    loop {
        match live.frame().await? {
            Frame::Counts { .. } => {}
            other => return Ok(other),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_and_hurts_nobody() -> Result<()> {
    let api = Api::with_live(LiveOptions {
        send_within: Duration::from_millis(500),
        look_every: Duration::from_millis(200),
        ..LiveOptions::default()
    })
    .await?;
    let begin = begin(&api).await?;
    let mut slow = Live::events(&api, &["jobs"], None).await?;
    let mut fast = Live::events(&api, &["jobs"], None).await?;
    invent(&api).await?;
    let seen = fast.until(|event| event.n == 600).await?;
    assert_eq!(seen.len(), 600);
    timeout(SOON, async {
        let closed = "offpeak_live_too_slow_total 1";
        while !api.metrics().await?.contains(closed) {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    // It reads what was on its way, and goes on from there.
    let (mut cursor, mut read) = (begin, Vec::new());
    while let Some(Ok(frame)) = slow.next().await? {
        match frame {
            Frame::Events {
                cursor: reached,
                events,
            } => {
                cursor = reached;
                read.extend(events);
            }
            Frame::Bye {
                cursor: Some(reached),
                ..
            } => cursor = reached,
            other => panic!("{other:?}"),
        }
    }
    assert!(read.len() < 600);
    let mut again = Live::events(&api, &["jobs"], Some(&cursor)).await?;
    read.extend(again.until(|event| event.n == 600).await?);
    assert_eq!(read, seen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_are_the_same_frames() -> Result<()> {
    let api = Api::new().await?;
    for n in 0..3 {
        api.post("/v1/jobs", raw_job(&format!("job {n}"))).await?;
        relay(&api).await?;
    }
    let begin = begin(&api).await?;
    let mut live = Live::events(&api, &["jobs"], Some(&begin)).await?;
    let expected = live.until(|event| event.n == 3).await?;
    // The header goes before the query: a browser that reconnects sends both.
    let path = format!("{}/v1/events?topics=jobs&cursor={begin}", api.url);
    let after = format!("{}1", begin.trim_end_matches('0'));
    let request = api.http().get(path).bearer_auth(&api.key);
    let answer = request.header("last-event-id", after).send().await?;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let (mut body, mut text) = (answer.bytes_stream(), String::new());
    let mut read: Vec<LiveEvent> = Vec::new();
    while read.last().is_none_or(|event| event.n < 3) {
        let chunk = timeout(SOON, body.next()).await?;
        text.push_str(std::str::from_utf8(
            &chunk.transpose()?.unwrap_or_default(),
        )?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let lines: Vec<&str> = event.lines().collect();
            if let Some(when) = event.strip_prefix("retry: ") {
                assert!((500..3_000).contains(&when.parse::<u64>()?), "{event}");
                text = rest.to_owned();
                continue;
            }
            let [name, id, data] = lines[..] else {
                panic!("{event}");
            };
            let frame: Frame = serde_json::from_str(data.trim_start_matches("data: "))?;
            match frame {
                Frame::Hello { cursor, .. } => {
                    assert_eq!((name, id), ("event: hello", &*format!("id: {cursor}")));
                }
                Frame::Events { cursor, events } => {
                    assert_eq!((name, id), ("event: events", &*format!("id: {cursor}")));
                    read.extend(events);
                }
                other => panic!("{other:?}"),
            }
            text = rest.to_owned();
        }
    }
    assert_eq!(read, expected[1..]);
    Ok(())
}
