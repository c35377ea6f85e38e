//! A running stand-in with a clock that the test moves, and what a test does with it.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use futures_util::stream;
use offpeak_anthropic::shape::{MessageBatch, ResultKind, ResultLine};
use offpeak_anthropic::{Answered, Client, Config, Error, Line};
use offpeak_standin::{Clock, Manual, Options, Standin};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// The turnaround of every batch here.
pub(crate) const TURNAROUND: Duration = Duration::from_mins(10);

pub(crate) struct Desk {
    pub(crate) standin: Standin,
    pub(crate) clock: Manual,
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) folder: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Desk {
    pub(crate) async fn start() -> Self {
        let clock = Manual::new(datetime!(2026-11-22 16:00:00.123_456 UTC));
        Self::open(tempfile::tempdir().unwrap(), clock, |_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let clock = Manual::new(datetime!(2026-11-22 16:00:00.123_456 UTC));
        Self::open(tempfile::tempdir().unwrap(), clock, change).await
    }

    async fn open(folder: TempDir, clock: Manual, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options(folder.path(), &clock);
        change(&mut options);
        let standin = Standin::open(options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = standin.clone().serve(listener, async {
            let _dropped = stopped.await;
        });
        let served = tokio::spawn(async { serving.await.unwrap() });
        let client = client(&base, "sk-ant-one");
        Self {
            standin,
            clock,
            client,
            base,
            folder,
            stop,
            served,
        }
    }

    /// Closes it; gives what is left.
    pub(crate) async fn close(self) -> (TempDir, Manual) {
        drop((self.stop, self.client, self.standin));
        self.served.await.unwrap();
        (self.folder, self.clock)
    }

    /// Closes it and opens it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let (folder, clock) = self.close().await;
        Self::open(folder, clock, |_| {}).await
    }

    pub(crate) async fn reopen(folder: TempDir, clock: Manual) -> Self {
        Self::open(folder, clock, |_| {}).await
    }

    /// Creates a batch of these items, its body in chunks of 100 bytes.
    pub(crate) async fn try_create(
        &self,
        items: &[Value],
    ) -> Result<Answered<MessageBatch>, Error> {
        let body = serde_json::to_vec(&json!({ "requests": items })).unwrap();
        let length = body.len() as u64;
        let chunks: Vec<Result<Bytes, Infallible>> = body
            .chunks(100)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        self.client
            .create_batch(length, stream::iter(chunks), DEADLINE)
            .await
    }

    pub(crate) async fn create(&self, items: &[Value]) -> MessageBatch {
        self.try_create(items).await.unwrap().value
    }

    /// Moves the clock past a batch's turnaround; gives the batch as it is then.
    pub(crate) async fn end(&self, id: &str) -> MessageBatch {
        self.clock.advance(TURNAROUND);
        self.standin.settle_due().await;
        self.client.batch(id).await.unwrap()
    }

    /// All result lines of an ended batch, as they came.
    pub(crate) async fn results(&self, batch: &MessageBatch) -> Vec<Bytes> {
        let mut results = self.client.results(batch).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = results.next_line().await.unwrap() {
            match line {
                Line::Whole {
                    bytes,
                    terminated: true,
                } => lines.push(bytes),
                other => panic!("{other:?}"),
            }
        }
        lines
    }

    /// Adds a rule, given without its defaults.
    pub(crate) async fn rule(&self, rule: Value) {
        self.set("faults", json!({ "rules": [rule] })).await;
    }

    /// Posts to one of the stand-in's own endpoints.
    pub(crate) async fn set(&self, what: &str, body: Value) {
        let path = format!("/_standin/{what}");
        let (status, _, body) = self.call("POST", &path, &[], &body).await;
        assert_eq!(status, 200, "{body}");
    }

    /// A call without a network and with the usual headers.
    pub(crate) async fn get(&self, path: &str) -> (u16, HeaderMap, Value) {
        self.call("GET", path, &[KEY, VERSION], &Value::Null).await
    }

    /// A call without a network: status, headers and body.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (u16, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let response = self
            .standin
            .router()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (parts.status.as_u16(), parts.headers, body)
    }
}

pub(crate) fn options(folder: &Path, clock: &Manual) -> Options {
    let mut options = Options::new(folder.join("standin"));
    options.clock = Clock::Manual(clock.clone());
    options.turnaround = TURNAROUND..TURNAROUND;
    options
}

pub(crate) fn client(base: &str, key: &str) -> Client {
    Client::new(Config::new(base, key.to_owned().into())).unwrap()
}

pub(crate) const VERSION: (&str, &str) = ("anthropic-version", "2026-10-21");
pub(crate) const KEY: (&str, &str) = ("x-api-key", "sk-ant-one");

/// The body of a simple message.
pub(crate) fn params(text: &str) -> Value {
    json!({
        "model": "claude-haiku-5-5",
        "max_tokens": 200,
        "messages": [{ "role": "user", "content": text }],
    })
}

pub(crate) fn item(id: &str, text: &str) -> Value {
    json!({ "custom_id": id, "params": params(text) })
}

/// So many items, `i0` and on.
pub(crate) fn items(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            item(
                &format!("i{n}"),
                &format!("Fox number {n} jumps. It rests."),
            )
        })
        .collect()
}

/// `custom_id` and a word for each result: its text, or how else it ended.
pub(crate) fn read(lines: &[Bytes]) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let line = ResultLine::parse(line).unwrap();
            let word = match &line.result {
                ResultKind::Succeeded(_) => line.text().unwrap_or_default(),
                ResultKind::Errored(error) => format!("{}: {}", error.error_type, error.message),
                ResultKind::Canceled => "canceled".to_owned(),
                ResultKind::Expired => "expired".to_owned(),
                ResultKind::Other(other) => other.clone(),
            };
            (line.custom_id.into_owned(), word)
        })
        .collect();
    read.sort();
    read
}
