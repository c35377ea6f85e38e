//! What one live connection may have waiting: how far back it is read for, and how
//! much of what happens at once.

#![expect(clippy::panic, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use offpeak_api::LiveOptions;
use offpeak_wire::JobState;
use offpeak_wire::live::{Frame, Resync};
use serde_json::json;

use crate::api::{Api, raw_job};
use crate::live::{Live, hasty, relay};
use crate::live_resume::begin;

/// More than ever wait for one screen.
const MANY: usize = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_from_too_far_back_reads_anew() -> Result<()> {
    let api = Api::with_live(LiveOptions {
        max_behind: 4,
        max_behind_on_screen: 2,
        ..LiveOptions::default()
    })
    .await?;
    for n in 0..6 {
        api.post("/v1/jobs", raw_job(&format!("job {n}"))).await?;
        relay(&api).await?;
    }
    let begin = begin(&api).await?;
    let of = |seq: u64| format!("{}{seq}", begin.trim_end_matches('0'));
    let ticket = api.ticket(&api.key, json!({"user": "ada"})).await?;
    let ticket = format!("offpeak.live.v1, offpeak.ticket.{ticket}");
    let by_key = format!("Bearer {}", api.key);
    let key = [
        ("sec-websocket-protocol", "offpeak.live.v1"),
        ("authorization", by_key.as_str()),
    ];
    for (headers, mode, most) in [
        (&key[..], "events", 4),
        (&key, "view", 2),
        (&[("sec-websocket-protocol", ticket.as_str())], "events", 2),
    ] {
        for (missed, is_far) in [(most, false), (most + 1, true)] {
            let cursor = of(6 - missed);
            let mut live = Live::connect(&api, headers).await?;
            let hello = json!({"t": "hello", "mode": mode, "topics": ["jobs"], "cursor": cursor});
            live.say(hello).await?;
            let Frame::Hello { cursor: from, .. } = live.frame().await? else {
                panic!("no hello");
            };
            if is_far {
                let Frame::Resync { cursor, why } = live.frame().await? else {
                    panic!("{missed} events were missed in mode {mode}");
                };
                assert_eq!((from, cursor, why), (of(6), of(6), Resync::Overflow));
            } else {
                assert_eq!(from, cursor, "{mode}");
            }
        }
    }
    Ok(())
}

/// So many jobs of Ada's, as lines.
fn many() -> String {
    let job = raw_job("x").replacen('{', r#"{"user":"ada","#, 1);
    format!("{job}\n").repeat(MANY)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_up_gets_every_row_of_a_large_group() -> Result<()> {
    let api = Api::new().await?;
    let group = api.post("/v1/jobs/bulk", many()).await?.at("/group");
    let hello = json!({"t": "hello", "mode": "view", "topics": [format!("group:{group}")]});
    let (mut live, _) = Live::open(&api, hello).await?;
    let mut rows: BTreeMap<String, JobState> = BTreeMap::new();
    let mut until = async |state| -> Result<()> {
        while rows.len() < MANY || rows.values().any(|known| *known != state) {
            match live.frame().await? {
                Frame::Rows { jobs, .. } => {
                    rows.extend(jobs.into_iter().map(|row| (row.id, row.state)));
                }
                Frame::Counts { .. } | Frame::Beat { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    };
    // All at once each time.
    let (told, read) = tokio::join!(relay(&api), until(JobState::Queued));
    told.and(read)?;
    let path = format!("/v1/groups/{group}/cancel");
    assert_eq!(api.post(&path, "").await?.status, 200);
    let (told, read) = tokio::join!(relay(&api), until(JobState::Canceled));
    told.and(read)
}

/// Makes it fall behind: a frame that it does not acknowledge, for long enough. Gives
/// the job in it, and its cursor.
async fn fall_behind(api: &Api, live: &mut Live, cursor: &str) -> Result<(String, String)> {
    live.say(json!({"t": "ack", "cursor": cursor})).await?;
    let mut job: serde_json::Value = serde_json::from_str(&raw_job("x"))?;
    job["user"] = "ada".into();
    let id = api.post("/v1/jobs", job.to_string()).await?.at("/id");
    relay(api).await?;
    let mut unacked = None;
    let mut beats = 0;
    while beats < 9 {
        match live.frame().await? {
            Frame::Rows { cursor, .. } => unacked = Some(cursor),
            Frame::Beat { .. } if unacked.is_some() => beats += 1,
            Frame::Beat { .. } | Frame::Counts { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    Ok((id, unacked.unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_falls_behind_gets_the_last_state_alone() -> Result<()> {
    let mut api = Api::with_live(hasty()).await?;
    let hello = json!({"t": "hello", "mode": "view", "topics": ["user:ada"]});
    let (mut live, cursor) = Live::open(&api, hello).await?;
    let (id, unacked) = fall_behind(&api, &mut live, &cursor).await?;
    // It goes through every state, and nothing of that is sent.
    let over = AtomicBool::new(false);
    let happens = async {
        api.world.run_out().await?;
        relay(&api).await?;
        over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let hears = async {
        while !over.load(Ordering::Relaxed) {
            assert!(matches!(live.frame().await?, Frame::Beat { .. }));
        }
        assert!(matches!(live.frame().await?, Frame::Beat { .. }));
        anyhow::Ok(())
    };
    tokio::try_join!(happens, hears)?;
    live.say(json!({"t": "ack", "cursor": unacked})).await?;
    loop {
        match live.frame().await? {
            Frame::Rows { jobs, .. } => {
                ensure!(jobs.len() == 1 && jobs[0].id == id, "{jobs:?}");
                assert_eq!(jobs[0].state, JobState::Completed);
                return Ok(());
            }
            Frame::Beat { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_for_a_page_that_is_behind_is_said() -> Result<()> {
    let api = Api::with_live(hasty()).await?;
    let hello = json!({"t": "hello", "mode": "view", "topics": ["user:ada"]});
    let (mut live, cursor) = Live::open(&api, hello).await?;
    fall_behind(&api, &mut live, &cursor).await?;
    let happens = async {
        api.post("/v1/jobs/bulk", many()).await?;
        relay(&api).await
    };
    let hears = async {
        loop {
            match live.frame().await? {
                Frame::Resync { why, .. } => return anyhow::Ok(why),
                Frame::Beat { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let ((), why) = tokio::try_join!(happens, hears)?;
    assert_eq!(why, Resync::Overflow);
    Ok(())
}
