//! What no route takes, tried on every route that there is; and what every answer
//! tells a browser.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use offpeak_api::{Patience, Rate};
use reqwest::Method;
use serde_json::Value;

use super::send::raw;
use crate::api::{Answer, Api};

/// Deeper than any stack, were it to be walked.
const DEEP: usize = 100_000;

/// A request of no use, and how it is answered.
struct Case {
    name: &'static str,
    /// Lines of the head.
    head: String,
    body: String,
    /// As [`Answer::problem`] shows it, and the remedy.
    want: (&'static str, &'static str),
}

/// A place where requests are answered.
struct Place {
    method: String,
    path: String,
    reads: bool,
}

impl Place {
    /// Whether its body is a stream of lines, as long as it is.
    fn is_streamed(&self) -> bool {
        self.path == "/v1/jobs/bulk"
    }

    /// Whether its answer goes on until the client goes.
    fn is_endless(&self) -> bool {
        self.path == "/v1/events"
    }
}

async fn places(api: &Api) -> Result<Vec<Place>> {
    let document = serde_json::to_value(offpeak_api::openapi())?;
    let mut places = Vec::new();
    for route in offpeak_api::paths() {
        let path = route.replace("{*name}", "x");
        let asked = api.send(Method::TRACE, &path, "", &[], "").await?;
        for method in asked.header("allow").split(',') {
            let operation = &document["paths"][&route][method.to_lowercase()];
            places.push(Place {
                method: method.to_owned(),
                path: path.replace(['{', '}'], ""),
                reads: operation["requestBody"] != Value::Null,
            });
        }
    }
    assert!(places.len() > 80, "{}", places.len());
    Ok(places)
}

async fn asked(api: &Api, place: &Place, head: &str, body: &str, silent: bool) -> Result<Answer> {
    let (Place { method, path, .. }, key) = (place, &api.key);
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: offpeak\r\nconnection: close\r\n\
         authorization: Bearer {key}\r\n{head}\r\n{body}"
    );
    raw(api, text.as_bytes(), silent).await
}

/// What is missing of what a browser is told.
fn unarmed(answer: &Answer) -> Vec<&'static str> {
    let is_page = answer.header("content-type").starts_with("text/html");
    let policy = answer.header("content-security-policy");
    [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ]
    .into_iter()
    .filter(|(name, value)| answer.header(name) != *value)
    .map(|(name, _)| name)
    .chain(
        ["referrer-policy", "cache-control", "x-request-id"]
            .into_iter()
            .filter(|name| answer.header(name).is_empty()),
    )
    .chain(
        ["default-src 'none'", "frame-ancestors 'none'"]
            .into_iter()
            .filter(|part| !policy.contains(part)),
    )
    .chain((!is_page && policy.contains("'self'")).then_some("a policy for no page"))
    .collect()
}

fn cases() -> Vec<Case> {
    let many = "x: 1\r\n".repeat(101);
    let case = |name, head: &str, want| Case {
        name,
        head: head.to_owned(),
        body: String::new(),
        want,
    };
    let mut cases = vec![
        case(
            "too many headers",
            &many,
            (
                "431 headers_too_large",
                "there are more than 100 headers; send fewer",
            ),
        ),
        case(
            "a long header",
            &format!("x-long: {}\r\n", "x".repeat(16_384)),
            (
                "431 headers_too_large",
                "the address and the headers are longer than 16384 bytes together",
            ),
        ),
        case(
            "a body that says it is too long",
            "content-length: 32000001\r\n",
            ("413 too_large", "the body is longer than 32000000 bytes"),
        ),
    ];
    for coding in ["gzip", "br", "zstd", "deflate, gzip", "x"] {
        cases.push(case(
            "a compressed body",
            &format!("content-encoding: {coding}\r\ncontent-length: 0\r\n"),
            ("415 wrong_media_type", "send the body uncompressed"),
        ));
    }
    cases
}

#[tokio::test]
async fn every_route_keeps_every_limit() -> Result<()> {
    let api = Api::new().await?;
    let mut wrong = Vec::new();
    for place in places(&api).await? {
        let Place { method, path, .. } = &place;
        for case in cases() {
            if place.is_streamed() && case.name.starts_with("a body that says") {
                continue;
            }
            // It falls silent, so that nothing waits for the rest of a body.
            let answer = asked(&api, &place, &case.head, &case.body, true).await?;
            let told = match method.as_str() {
                "HEAD" => answer.status.to_string() == case.want.0[..3],
                _ => (answer.problem().as_str(), answer.at("/detail").as_str()) == case.want,
            };
            let missing = unarmed(&answer);
            let says = answer.status != 415 || answer.header("accept-encoding") == "identity";
            if !told || !says || !missing.is_empty() {
                wrong.push(format!(
                    "{method} {path}, {}: {answer:?}, missing: {missing:?}",
                    case.name
                ));
            }
        }
        if place.reads {
            // The fields of the one are no fields of the other, and none is so deep.
            let deep = "[".repeat(DEEP) + &"]".repeat(DEEP);
            for body in [
                deep.clone(),
                format!(r#"{{"params":{deep},"input":{deep}}}"#),
            ] {
                let head = format!("content-length: {}\r\n", body.len());
                let answer = asked(&api, &place, &head, &body, false).await?;
                let missing = unarmed(&answer);
                if !(400..500).contains(&answer.status) || !missing.is_empty() {
                    wrong.push(format!(
                        "{method} {path}, deep: {answer:?}, missing: {missing:?}"
                    ));
                }
            }
        }
        if !place.is_endless() {
            // As anybody asks, whatever it is answered.
            let answer = asked(&api, &place, "content-length: 0\r\n", "", false).await?;
            let missing = unarmed(&answer);
            if answer.status >= 500 || !missing.is_empty() {
                wrong.push(format!(
                    "{method} {path}, plain: {answer:?}, missing: {missing:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn no_route_waits_for_a_body_that_does_not_come() -> Result<()> {
    let mut api = Api::new().await?;
    let body = Rate {
        bytes: 1_000,
        within: Duration::from_millis(200),
    };
    api.patient(Patience {
        body,
        ..Patience::default()
    })
    .await?;
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    for place in places(&api).await? {
        if place.is_endless() {
            continue;
        }
        let Place { method, path, .. } = &place;
        let json = if place.is_streamed() {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let head = format!("content-type: {json}\r\ncontent-length: 9\r\n");
        let answer = asked(&api, &place, &head, "{", false).await?;
        *counts.entry(answer.status).or_insert(0) += 1;
        let told = answer.status != 408
            || (answer.problem(), answer.at("/detail"))
                == (
                    "408 body_too_slow".to_owned(),
                    "less than 1000 bytes of the body came in 200ms; send it faster, or in \
                     several requests"
                        .to_owned(),
                );
        if answer.status >= 500 || !told || !unarmed(&answer).is_empty() {
            wrong.push(format!("{method} {path}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(counts[&408] > 10, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_far_beyond_is_not_even_read() -> Result<()> {
    let api = Api::new().await?;
    let many = "x: 1\r\n".repeat(401);
    for head in [many, format!("x-long: {}\r\n", "x".repeat(70_000))] {
        let text = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{head}\r\n");
        let answer = raw(&api, text.as_bytes(), true).await?;
        assert_eq!((answer.status, answer.text.as_str()), (431, ""));
    }
    Ok(())
}
