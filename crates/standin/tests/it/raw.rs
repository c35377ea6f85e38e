//! What goes wrong on the wire itself, seen through a bare socket.

use std::io::Read;
use std::time::Instant;

use flate2::read::GzDecoder;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::desk::{Desk, items};

/// What came back: everything up to the end of the connection, and how it ended.
struct Answer {
    head: String,
    body: Vec<u8>,
    reset: bool,
}

async fn ask(desk: &Desk, method: &str, path: &str, extra: &str, body: &str) -> Answer {
    let host = desk.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: sk-ant-one\r\n\
         anthropic-version: 2026-10-21\r\nconnection: close\r\n\
         content-length: {length}\r\n{extra}\r\n{body}"
    );
    // A connection that is cut while we send is what some tests are about.
    let _cut = stream.write_all(request.as_bytes()).await;
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all).await;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.map_or(all.len(), |at| at + 4);
    Answer {
        head: String::from_utf8(all[..end].to_vec()).unwrap(),
        body: all[end..].to_vec(),
        reset: ended.is_err(),
    }
}

/// Takes chunked transfer apart; gives also whether its end was there.
fn dechunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut whole = Vec::new();
    loop {
        let Some(at) = body.windows(2).position(|two| two == b"\r\n") else {
            return (whole, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            return (whole, true);
        }
        let rest = &body[at + 2..];
        whole.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (whole, false);
        }
        body = &rest[size + 2..];
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole).unwrap();
    whole
}

const LIST: &str = "/v1/messages/batches";
const ACCEPT: &str = "accept-encoding: gzip, deflate\r\n";

#[tokio::test]
async fn resets_are_resets() {
    let desk = Desk::start().await;
    let body = json!({ "requests": items(200) }).to_string();
    for (when, stored) in [("request", 0), ("upload", 0), ("answer", 1)] {
        desk.rule(
            json!({ "on": ["create"], "fault": { "reset": { "when": when, "bytes": 9_000 } } }),
        )
        .await;
        let answer = ask(&desk, "POST", LIST, "", &body).await;
        assert!(answer.reset, "{when}: {}", answer.head);
        assert_eq!(answer.head, "");
        let (_, _, list) = desk.get(LIST).await;
        assert_eq!(list["data"].as_array().unwrap().len(), stored, "{when}");
    }
    desk.rule(json!({ "on": ["list"], "fault": { "reset": { "when": "body", "bytes": 40 } } }))
        .await;
    let answer = ask(&desk, "GET", LIST, "", "").await;
    assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
    assert!(answer.body.len() <= 80, "{}", answer.body.len());
}

#[tokio::test]
async fn half_a_body_with_and_without_a_length_that_fits() {
    let desk = Desk::start().await;
    let whole = ask(&desk, "GET", "/v1/models", "", "").await.body.len();
    for framed in [true, false] {
        desk.rule(json!({ "on": ["models"], "fault": { "half": { "framed": framed } } }))
            .await;
        let answer = ask(&desk, "GET", "/v1/models", "", "").await;
        assert_eq!(answer.body.len(), whole / 2);
        let announced = if framed { whole / 2 } else { whole };
        let length = format!("content-length: {announced}\r\n");
        assert!(answer.head.contains(&length), "{}", answer.head);
    }
}

#[tokio::test]
async fn answers_are_compressed_when_that_is_accepted() {
    let desk = Desk::start().await;
    let plain = ask(&desk, "GET", "/v1/models", "", "").await;
    assert!(!plain.head.contains("content-encoding"));
    let packed = ask(&desk, "GET", "/v1/models", ACCEPT, "").await;
    assert!(packed.head.contains("content-encoding: gzip"));
    let (chunks, ended) = dechunk(&packed.body);
    assert!(ended);
    assert_eq!(gunzip(&chunks), plain.body);

    let batch = desk.create(&items(30)).await;
    let batch = desk.end(&batch.id).await;
    let path = format!("{LIST}/{}/results", batch.id);
    let plain = dechunk(&ask(&desk, "GET", &path, "", "").await.body).0;
    let packed = dechunk(&ask(&desk, "GET", &path, ACCEPT, "").await.body).0;
    assert!(packed.len() < plain.len() / 4);
    assert_eq!(gunzip(&packed), plain);

    desk.set("behavior", json!({ "gzip": "off" })).await;
    let off = ask(&desk, "GET", "/v1/models", ACCEPT, "").await;
    assert!(!off.head.contains("content-encoding"));
    desk.set("behavior", json!({ "gzip": "always" })).await;
    let always = ask(&desk, "GET", "/v1/models", "", "").await;
    assert!(always.head.contains("content-encoding: gzip"));
}

#[tokio::test]
async fn a_bomb_is_small_and_unpacks_to_much() {
    let desk = Desk::start().await;
    desk.rule(json!({ "on": ["models"], "fault": { "gzip_bomb": { "bytes": 50_000_000 } } }))
        .await;
    let answer = ask(&desk, "GET", "/v1/models", "", "").await;
    let (packed, ended) = dechunk(&answer.body);
    assert!(ended && packed.len() < 500_000, "{}", packed.len());
    let unpacked = gunzip(&packed);
    assert_eq!(unpacked.len(), 50_000_000);
    assert!(unpacked.iter().all(|byte| *byte == b' '));
}

#[tokio::test]
async fn drips_and_delays_take_their_time() {
    let desk = Desk::start().await;
    let whole = ask(&desk, "GET", "/v1/models/claude-opus-5", "", "").await;
    let length = whole.body.len();
    desk.rule(json!({ "on": ["models"], "fault": { "drip": { "bytes": 100, "every_ms": 5 } } }))
        .await;
    let began = Instant::now();
    let answer = ask(&desk, "GET", "/v1/models/claude-opus-5", "", "").await;
    assert_eq!(dechunk(&answer.body).0, whole.body);
    assert!(began.elapsed().as_millis() >= (length / 100 * 5) as u128);

    desk.rule(json!({ "on": ["models"], "fault": { "delay": { "min_ms": 40, "max_ms": 60 } } }))
        .await;
    let began = Instant::now();
    ask(&desk, "GET", "/v1/models/claude-opus-5", "", "").await;
    assert!(began.elapsed().as_millis() >= 40);
}

#[tokio::test]
async fn a_call_that_hangs_is_never_answered() {
    let desk = Desk::start().await;
    desk.rule(json!({ "on": ["models"], "fault": "hang" }))
        .await;
    let asking = ask(&desk, "GET", "/v1/models", "", "");
    let waited = tokio::time::timeout(std::time::Duration::from_millis(100), asking).await;
    assert!(waited.is_err());
    let (status, _, _) = desk.get("/v1/models").await;
    assert_eq!(status, 200, "the next one is answered");
}

#[tokio::test]
async fn errors_take_every_form() {
    let desk = Desk::start().await;
    for (status, form, kind, body) in [
        (502, "html", "text/html", "<html>"),
        (413, "text", "text/plain", "413 Payload Too Large"),
        (500, "broken", "application/json", r#"{"type":"error","#),
        (503, "empty", "", ""),
        (
            529,
            "envelope",
            "application/json",
            r#"{"type":"error","error":{"type":"overloaded_error""#,
        ),
    ] {
        desk.rule(json!({ "fault": { "status": { "status": status, "body": form } } }))
            .await;
        let answer = ask(&desk, "GET", LIST, "", "").await;
        let line = format!("HTTP/1.1 {status}");
        assert!(answer.head.starts_with(&line), "{}", answer.head);
        assert!(answer.head.contains(kind), "{}", answer.head);
        assert!(answer.body.starts_with(body.as_bytes()), "{form}");
        assert!(answer.head.contains("request-id: req_"), "{}", answer.head);
    }
}

#[tokio::test]
async fn headers_are_as_they_were_asked_for() {
    let desk = Desk::start().await;
    desk.rule(json!({ "on": ["list"], "fault": { "status": {
        "status": 429, "retry_after": "-3", "retry_after_ms": "1e99", "should_retry": false,
        "code": "enforced_spend_limit_reached",
    } } }))
    .await;
    let (status, headers, body) = desk.get(LIST).await;
    assert_eq!(status, 429);
    assert_eq!(
        body["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
    assert_eq!(headers["retry-after"], "-3");
    assert_eq!(headers["retry-after-ms"], "1e99");
    assert_eq!(headers["x-should-retry"], "false");

    let set = json!({ "x-should-retry": "true", "date": "yesterday", "request-id": "" });
    desk.rule(json!({ "on": ["models"], "fault": { "headers": set } }))
        .await;
    let (_, headers, _) = desk.get("/v1/models").await;
    assert_eq!(headers["x-should-retry"], "true");
    assert_eq!(headers["date"], "yesterday");
    assert!(!headers.contains_key("request-id"));

    desk.set(
        "behavior",
        json!({ "date_skew_s": -600, "stamp_skew_s": 600 }),
    )
    .await;
    let batch = desk.try_create(&items(1)).await.unwrap();
    let now = desk.clock.now();
    let minutes = |at: time::OffsetDateTime| (at - now).whole_minutes();
    assert_eq!(minutes(batch.value.created_at), 10);
    assert_eq!(minutes(batch.date.unwrap()), -10);
}

#[tokio::test]
async fn a_redirect_leads_on() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(3)).await;
    let batch = desk.end(&batch.id).await;
    let path = format!("{LIST}/{}/results", batch.id);
    let rule = json!({ "on": ["results"], "times": "always", "fault": { "redirect": {} } });
    desk.rule(rule).await;
    let answer = ask(&desk, "GET", &path, "", "").await;
    assert!(answer.head.starts_with("HTTP/1.1 302"), "{}", answer.head);
    let location = format!("location: {}{path}?redirected=1\r\n", desk.base);
    assert!(answer.head.contains(&location), "{}", answer.head);
    let (status, _, _) = desk.get(&format!("{path}?redirected=1")).await;
    assert_eq!(status, 200);
}
