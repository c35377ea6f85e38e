//! What holds of any bytes that come as lines of jobs, as a cursor or in the headers of a
//! proxy: for `make fuzz` and for the test that replays its corpus.

#![expect(
    clippy::missing_panics_doc,
    reason = "that they panic is how they say it"
)]

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use futures_util::{FutureExt as _, stream};
use serde_json::Value;
use serde_json::value::RawValue;
use std::convert::Infallible;

use crate::asked::{FORWARDED_FOR, Proxies};
use crate::body::{expect_unique, parse};
use crate::jobs::FIELDS;
use crate::jobs::lines::{Line, Lines};
use crate::live_cursor::LiveCursor;
use crate::{cursor, json};
use offpeak_wire::JobRequest;

/// The first byte says how long the frames are in which the others come.
pub fn ndjson(bytes: &[u8]) {
    let Some((length, body)) = bytes.split_first() else {
        return;
    };
    let (lines, chain) = cut(body, usize::from(*length).max(1));
    let (others, of_others) = cut(body, body.len().max(1));
    assert_eq!((&lines, chain), (&others, of_others), "by frames");
    let mut ends = body.split(|byte| *byte == b'\n').count();
    // Nothing after the last end is no line.
    ends -= usize::from(body.is_empty() || body.ends_with(b"\n"));
    assert_eq!(lines.len(), ends);
    for line in &lines {
        if let Line::Text(text) = line {
            job(text);
        }
    }
}

fn job(line: &[u8]) {
    match parse::<JobRequest>(line, FIELDS) {
        Ok(_) => {
            if let Err(faults) = expect_unique(line) {
                assert_eq!(faults.len(), 1);
            }
        }
        Err(faults) => {
            assert!((1..=20).contains(&faults.len()));
            for fault in faults {
                // A pointer is cut, and no message quotes what was sent.
                assert!(fault.field.chars().count() <= 64 * 2 * 128, "{fault:?}");
                assert!(fault.message.len() <= 400, "{fault:?}");
            }
        }
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return;
    };
    // Both are given what was found to be JSON.
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return;
    }
    if let Ok(value) = json::read(text) {
        let compact = json::compact(text);
        assert!(compact.len() <= text.len());
        assert_eq!(json::compact(&compact), compact);
        let again: Option<Value> = serde_json::from_str(&compact).ok();
        assert_eq!(again, Some(value));
    }
}

fn cut(body: &[u8], frame: usize) -> (Vec<Line>, [u8; 32]) {
    let frames = body
        .chunks(frame)
        .map(|frame| Ok::<_, Infallible>(Bytes::copy_from_slice(frame)));
    let frames: Vec<_> = frames.collect();
    let mut lines = Lines::new(Body::from_stream(stream::iter(frames)), [0; 32]);
    let mut found = Vec::new();
    // Every frame is there, so nothing waits.
    while let Some(Ok(Some(line))) = lines.next().now_or_never() {
        found.push(line);
    }
    (found, lines.at().chain)
}

/// A cursor of a list or of the live stream.
pub fn cursors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for filters in [&["jobs"][..], &["jobs", "failed", ""], &[]] {
        if let Ok(last) = cursor::read(filters, text) {
            assert_eq!(cursor::write(filters, last), text, "one spelling only");
        }
        if let Some(bytes) = bytes.first_chunk::<16>() {
            let last = uuid::Uuid::from_bytes(*bytes);
            let written = cursor::write(filters, last);
            assert_eq!(cursor::read(filters, &written).ok(), Some(last));
            assert!(cursor::read(&["groups"], &written).is_err(), "of one list");
        }
    }
    if let Ok(cursor) = text.parse::<LiveCursor>() {
        assert_eq!(cursor.to_string(), text, "one spelling only");
        assert_eq!(cursor.header()[0].1, text);
    }
}

/// Three or more lines: networks of proxies, who the other side is, and what stands in
/// `x-forwarded-for`, one header a line.
pub fn forwarded(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (Ok(proxies), Ok(peer)) = (text().parse::<Proxies>(), text().parse::<IpAddr>()) else {
        return;
    };
    let mut headers = axum::http::HeaderMap::new();
    let mut hops = String::new();
    for line in lines.take(100) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            hops.push(',');
            hops.push_str(value.to_str().unwrap_or_default());
            headers.append(FORWARDED_FOR, value);
        }
    }
    let client = proxies.client(peer, &headers);
    let peer = peer.to_canonical();
    assert_eq!(client, client.to_canonical());
    if !proxies.trusts(peer) {
        assert_eq!(client, peer, "nobody but our own proxies is believed");
    } else if client != peer {
        let mut told = hops.split(',').filter_map(|hop| hop.trim().parse().ok());
        assert!(
            told.any(|hop: IpAddr| hop.to_canonical() == client),
            "{client}"
        );
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn the_corpus_of_ndjson_holds() {
        replay("ndjson", super::ndjson);
    }

    #[test]
    fn the_corpus_of_cursors_holds() {
        replay("cursors", super::cursors);
    }

    #[test]
    fn the_corpus_of_forwarded_holds() {
        replay("forwarded", super::forwarded);
    }
}
