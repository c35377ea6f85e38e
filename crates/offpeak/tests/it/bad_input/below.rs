//! What is no HTTP is refused before any route sees it: there is no request
//! that an id or a problem could belong to. It must not be a 5xx either.

use anyhow::Result;

use super::send;
use crate::api::Api;

#[tokio::test]
async fn what_is_no_http_is_refused_and_stores_nothing() -> Result<()> {
    let api = Api::new().await?;
    let before = api.world.everything().await?;
    let job = crate::api::raw_job("x");
    let post = |head: &str| {
        let key = &api.key;
        format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n{head}\r\n\r\n{job}"
        )
    };
    let n = job.len();
    let mut seen = Vec::new();
    for (what, text) in [
        ("a length in words", post("content-length: ten")),
        ("a negative length", post("content-length: -1")),
        (
            "a length past 64 bits",
            post("content-length: 99999999999999999999"),
        ),
        (
            "two lengths",
            post(&format!("content-length: {n}\r\ncontent-length: 3")),
        ),
        (
            "length and chunks",
            post("content-length: 3\r\ntransfer-encoding: chunked"),
        ),
        ("an unknown framing", post("transfer-encoding: gzip")),
        ("a header without a name", post(": x")),
        ("a NUL in a header", post("x: a\0b")),
        ("two hundred headers", post(&"x: y\r\n".repeat(200))),
        (
            "a path of 70000 characters",
            format!("GET /v1/jobs?user={} HTTP/1.1\r\n\r\n", "x".repeat(70_000)),
        ),
        (
            "a path with a space",
            "GET /v1/jobs/a b HTTP/1.1\r\n\r\n".into(),
        ),
        ("no version", "GET /v1/me\r\n\r\n".into()),
        ("a version to come", "GET /v1/me HTTP/9.9\r\n\r\n".into()),
        ("noise", "\u{16}\u{3}\u{1}\r\n\r\n".into()),
    ] {
        let answer = send::raw(&api, text.as_bytes(), true).await?;
        let found = if answer.text.is_empty() {
            answer.status.to_string()
        } else {
            answer.problem()
        };
        seen.push(format!("{what}: {found}"));
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    a length in words: 400
    a negative length: 400
    a length past 64 bits: 400
    two lengths: 400
    length and chunks: 400 body_broken
    an unknown framing: 400
    a header without a name: 400
    a NUL in a header: 400
    two hundred headers: 431 headers_too_large
    a path of 70000 characters: 431
    a path with a space: 400
    no version: 400
    a version to come: 400
    noise: 400
    ");
    assert_eq!(api.world.everything().await?, before);
    Ok(())
}
