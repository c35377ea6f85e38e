//! Damaged result lines, as the client reads them.

use bytes::Bytes;
use offpeak_anthropic::shape::{MessageBatch, ResultKind, ResultLine};
use offpeak_anthropic::{Client, Config, Error, Line};
use serde_json::{Value, json};

use crate::desk::{Desk, items};

/// What a download gave: the lines, whether each was terminated, how it ended.
struct Read {
    lines: Vec<Bytes>,
    terminated: Vec<bool>,
    oversized: Vec<u64>,
    error: Option<Error>,
}

async fn download(client: &Client, batch: &MessageBatch) -> Read {
    let mut results = client.results(batch).await.unwrap();
    let mut read = Read {
        lines: Vec::new(),
        terminated: Vec::new(),
        oversized: Vec::new(),
        error: None,
    };
    loop {
        match results.next_line().await {
            Ok(Some(Line::Whole { bytes, terminated })) => {
                read.lines.push(bytes);
                read.terminated.push(terminated);
            }
            Ok(Some(Line::Oversized { len, .. })) => read.oversized.push(len),
            Ok(None) => return read,
            Err(error) => {
                read.error = Some(error);
                return read;
            }
        }
    }
}

async fn ended(desk: &Desk) -> (MessageBatch, Vec<Bytes>) {
    let batch = desk.create(&items(6)).await;
    let batch = desk.end(&batch.id).await;
    let whole = desk.results(&batch).await;
    (batch, whole)
}

async fn damaged(desk: &Desk, batch: &MessageBatch, damage: Value) -> Read {
    desk.rule(json!({ "on": ["results"], "fault": { "lines": damage } }))
        .await;
    download(&desk.client, batch).await
}

fn id(line: &[u8]) -> String {
    ResultLine::parse(line).unwrap().custom_id.into_owned()
}

#[tokio::test]
async fn missing_doubled_conflicting_and_unknown() {
    let desk = Desk::start().await;
    let (batch, whole) = ended(&desk).await;

    let read = damaged(&desk, &batch, json!({ "what": "missing", "at": [1, 3] })).await;
    assert_eq!(read.lines, [&whole[0], &whole[2], &whole[4], &whole[5]]);

    let read = damaged(&desk, &batch, json!({ "what": "duplicate", "at": [2] })).await;
    assert_eq!(read.lines.len(), 7);
    assert_eq!((&read.lines[2], &read.lines[3]), (&whole[2], &whole[2]));

    let read = damaged(&desk, &batch, json!({ "what": "conflict", "at": [0] })).await;
    assert_eq!(read.lines.len(), 7);
    assert_eq!(id(&read.lines[0]), id(&read.lines[1]));
    let twin = ResultLine::parse(&read.lines[1]).unwrap();
    assert!(matches!(twin.result, ResultKind::Expired));

    let ids = ["i3", "another-tenants"];
    let read = damaged(
        &desk,
        &batch,
        json!({ "what": "unknown", "at": [5], "ids": ids }),
    )
    .await;
    assert_eq!([id(&read.lines[5]), id(&read.lines[6])], ids);
    let read = damaged(&desk, &batch, json!({ "what": "unknown" })).await;
    assert_eq!(id(&read.lines[0]), "stray-0");

    let read = damaged(&desk, &batch, json!({ "what": "missing", "chance": 0.5 })).await;
    assert!((1..6).contains(&read.lines.len()), "{}", read.lines.len());
    assert_eq!(download(&desk.client, &batch).await.lines, whole);
}

#[tokio::test]
async fn broken_off_in_every_way() {
    let desk = Desk::start().await;
    let (batch, whole) = ended(&desk).await;
    for (what, lines, terminated, broken) in [
        ("truncate", 4, false, false),
        ("truncate_newline", 4, true, false),
        ("no_newline", 4, false, false),
        ("reset", 3, true, true),
    ] {
        let read = damaged(&desk, &batch, json!({ "what": what, "at": [3] })).await;
        assert_eq!(read.lines.len(), lines, "{what}");
        assert_eq!(read.terminated.last(), Some(&terminated), "{what}");
        assert_eq!(read.error.is_some(), broken, "{what}: {:?}", read.error);
        assert_eq!(read.lines[..3], whole[..3], "{what}");
        if what.starts_with("truncate") {
            assert!(ResultLine::parse(&read.lines[3]).is_err(), "{what}");
        }
    }
}

#[tokio::test]
async fn an_oversized_line_does_not_fit() {
    let desk = Desk::start().await;
    let (batch, whole) = ended(&desk).await;
    let damage = json!({ "what": "oversize", "at": [2], "size": 300_000 });
    let read = damaged(&desk, &batch, damage.clone()).await;
    assert_eq!(
        read.lines[2].len(),
        whole[2].len() + 300_000 + r#""padding":"","#.len()
    );
    assert_eq!(id(&read.lines[2]), id(&whole[2]), "still valid");

    let mut config = Config::new(&desk.base, "sk-ant-one".to_owned().into());
    config.max_line = 100_000;
    let small = Client::new(config).unwrap();
    desk.rule(json!({ "on": ["results"], "fault": { "lines": damage } }))
        .await;
    let read = download(&small, &batch).await;
    assert_eq!((read.lines.len(), read.oversized.len()), (5, 1));
    assert!(read.oversized[0] > 300_000);
}

#[tokio::test]
async fn strange_bytes() {
    let desk = Desk::start().await;
    let (batch, whole) = ended(&desk).await;
    for (what, valid) in [
        ("nul", false),
        ("nul_escape", true),
        ("lone_surrogate", true),
        ("line_separator", true),
        ("bad_utf8", false),
        ("garbage", false),
        ("bom", false),
        ("crlf", true),
        ("result_type", true),
        ("block_type", true),
    ] {
        let read = damaged(&desk, &batch, json!({ "what": what, "at": [1] })).await;
        assert_eq!(read.lines.len(), 6, "{what}");
        assert_eq!(ResultLine::parse(&read.lines[1]).is_ok(), valid, "{what}");
        let changed = read.lines[1] != whole[1];
        assert_eq!(
            changed,
            what != "crlf",
            "{what}: the client takes CR LF away"
        );
        assert_eq!(read.lines[2..], whole[2..], "{what}");
    }
    let read = damaged(&desk, &batch, json!({ "what": "blank", "at": [1] })).await;
    assert!(read.lines.iter().filter(|line| line.is_empty()).count() <= 1);

    let read = damaged(&desk, &batch, json!({ "what": "result_type" })).await;
    let line = ResultLine::parse(&read.lines[0]).unwrap();
    assert!(matches!(line.result, ResultKind::Other(kind) if kind == "postponed"));
    let read = damaged(&desk, &batch, json!({ "what": "lone_surrogate" })).await;
    let text = ResultLine::parse(&read.lines[0]).unwrap().text().unwrap();
    assert!(text.starts_with('\u{fffd}'), "{text}");
    let read = damaged(&desk, &batch, json!({ "what": "block_type" })).await;
    assert_eq!(
        ResultLine::parse(&read.lines[0]).unwrap().text(),
        ResultLine::parse(&whole[0]).unwrap().text()
    );
    let read = damaged(&desk, &batch, json!({ "what": "depth" })).await;
    assert!(read.lines[0].len() > 200_000);
}
