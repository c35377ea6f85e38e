//! Canaries in all that is a tenant's, through real processes that log as much as there
//! is to log: nothing that they write holds one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offpeak_testkit::world::MASTER;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::api_observe::database_url;
use crate::api_sessions::sign_in;
use crate::cli::offpeak;
use crate::private::signal;

const PROMPT: &str = "cAnArY-prompt-71f3";
const METADATA: &str = "cAnArY-metadata-71f3";
const USER: &str = "cAnArY-user-71f3";
const HEADER: &str = "cAnArY-header-71f3";
const COOKIE: &str = "cAnArY-cookie-71f3";
const QUERY: &str = "cAnArY-query-71f3";
const FIELD: &str = "cAnArY_field_71f3";
const IDEMPOTENCY: &str = "cAnArY-idempotency-71f3";
const WRONG_KEY: &str = "ofp_live_cAnArYwrong71f3xxxxxxxxxxxxxxxxxxxxxx";
const UPSTREAM_KEY: &str = "sk-ant-cAnArY-upstream-71f3";
/// What is no secret: by it one sees that what is searched is there.
const REQUEST: &str = "cAnArY.request.71f3";

/// A process, and all that it says.
struct Process {
    child: Child,
    said: Vec<JoinHandle<String>>,
}

/// Reads to the end, and passes each line on while somebody wants it.
async fn read(from: impl AsyncRead + Unpin, lines: mpsc::UnboundedSender<String>) -> String {
    let (mut all, mut from) = (String::new(), BufReader::new(from).lines());
    while let Ok(Some(line)) = from.next_line().await {
        all.push_str(&line);
        all.push('\n');
        let _ = lines.send(line);
    }
    all
}

impl Process {
    /// Starts a role, and gives the lines that it says until it says `ready`.
    async fn start(api: &Api, role: &str, format: &str, ready: &str) -> Result<(Self, String)> {
        let folder = std::env::temp_dir();
        let mut child = offpeak(&folder)
            .args(["serve", "--role", role, "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database_url(&api.world)?)
            .env("OFFPEAK_VAULT_KEYS", MASTER)
            .env("ANTHROPIC_API_KEY", UPSTREAM_KEY)
            .env("ANTHROPIC_BASE_URL", &api.world.standin_url)
            .env("OFFPEAK_LOG_LEVEL", "trace")
            .env("OFFPEAK_LOG_FORMAT", format)
            .env("OFFPEAK_BATCH_IDLE_AFTER", "20ms")
            .env("OFFPEAK_BATCH_FIRST_POLL", "20ms")
            .env("OFFPEAK_BATCH_POLL_EVERY", "50ms")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, mut lines) = mpsc::unbounded_channel();
        let stdout = child.stdout.take().context("a pipe")?;
        let stderr = child.stderr.take().context("a pipe")?;
        let said = vec![
            tokio::spawn(read(stdout, sender.clone())),
            tokio::spawn(read(stderr, sender)),
        ];
        let mut until = String::new();
        while !until.contains(ready) {
            until.push_str(&lines.recv().await.context("it ended")?);
            until.push('\n');
        }
        Ok((Self { child, said }, until))
    }

    /// Stops it in order; all that it has said.
    async fn end(mut self) -> Result<String> {
        signal(self.child.id().context("it runs")?, Signal::TERM)?;
        self.child.wait().await?;
        let mut all = String::new();
        for said in self.said {
            all.push_str(&said.await?);
        }
        Ok(all)
    }
}

/// What stands after a text, to the end of the line.
fn after<'a>(said: &'a str, text: &str) -> Result<&'a str> {
    let (_, rest) = said.split_once(text).with_context(|| said.to_owned())?;
    Ok(rest.lines().next().unwrap_or_default())
}

/// A client that carries canaries wherever a request may.
struct Carrier {
    http: Client,
    url: String,
    key: String,
    /// All that was answered where an answer may not tell them.
    told: String,
}

impl Carrier {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let sign = if path.contains('?') { '&' } else { '?' };
        self.http
            .request(method, format!("{}{path}{sign}x={QUERY}", self.url))
            .bearer_auth(&self.key)
            .header("x-request-id", REQUEST)
            .header("x-custom", HEADER)
            .header("cookie", format!("session={COOKIE}"))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let sent = self.http.post(format!("{}{path}", self.url));
        let sent = sent.bearer_auth(&self.key).header("x-custom", HEADER);
        let answer = sent.json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Asks in ways that are refused.
    async fn refused(&mut self) -> Result<()> {
        let forms = ["{", r#"{"params": 5}"#, r#"{"user": [1]}"#];
        for body in forms.map(|form| format!("{form} {PROMPT}")) {
            for path in ["/v1/jobs", "/v1/jobs/bulk", "/v1/estimate", "/v1/keys"] {
                let sent = self.request(Method::POST, path).body(body.clone());
                self.told.push_str(&sent.send().await?.text().await?);
            }
        }
        for path in [
            "/v1/jobs",
            "/v1/jobs?cursor=cAnArY",
            "/v1/nothing",
            "/v1/events",
        ] {
            let sent = self.request(Method::GET, path);
            let answer = sent.header("last-event-id", HEADER).send().await?;
            ensure!(answer.status().is_client_error(), "{path}");
            self.told.push_str(&answer.text().await?);
            let wrong = self.http.get(format!("{}{path}", self.url));
            let answer = wrong.bearer_auth(WRONG_KEY).send().await?;
            self.told.push_str(&answer.text().await?);
        }
        Ok(())
    }
}

/// A text as it stands, and as bytes are shown.
fn forms(text: &str) -> [String; 3] {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    let hex: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    [text.to_owned(), bytes.join(", "), hex.concat()]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_writes_what_is_a_tenants() -> Result<()> {
    let mut api = Api::new().await?;
    let (server, said) = Process::start(&api, "api", "text", "listens on").await?;
    let url = after(&said, "offpeak listens on ")?.to_owned();
    let watched = after(&said, "/healthz are on ")?.to_owned();
    let (worker, _) = Process::start(&api, "worker", "json", "worker runs").await?;
    let mut carrier = Carrier {
        http: api.http().clone(),
        url,
        key: api.key.clone(),
        told: String::new(),
    };
    carrier.refused().await?;

    // What leaves at once, what waits for a batch, and what Anthropic refuses with its
    // own words, once as a whole and once alone.
    let job = |more: &Value| {
        let mut job = json!({
            "params": {
                "model": offpeak_testkit::world::MODEL,
                "max_tokens": 64,
                "system": PROMPT,
                "messages": [{"role": "user", "content": format!("{PROMPT} says a word.")}],
            },
            "user": USER,
            "metadata": {"note": METADATA},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            if name == "params" {
                job["params"][FIELD] = value.clone();
            } else {
                job[name] = value.clone();
            }
        }
        job
    };
    let mut ids = Vec::new();
    for more in [
        json!({}),
        json!({"deliver_within": "1m"}),
        json!({"params": METADATA}),
        json!({"params": METADATA, "deliver_within": "1m"}),
        json!({"idempotency_key": IDEMPOTENCY}),
    ] {
        let accepted = carrier.post("/v1/jobs", &job(&more)).await?;
        ids.push(accepted["id"].as_str().context("an id")?.to_owned());
    }
    // From here on the world's own client asks that process.
    api.url.clone_from(&carrier.url);
    let cookie = sign_in(&api, &api.key).await?;
    let me = api.as_page(Method::GET, "/v1/me", &cookie, "").await?;
    assert_eq!(me.status, 200, "{me:?}");
    let ticket = api.ticket(&api.key, json!({"user": USER})).await?;
    let seen = api.send(Method::GET, "/v1/jobs", &ticket, &[], "").await?;
    assert_eq!(seen.status, 200, "{seen:?}");

    let events = carrier.http.get(format!("{}/v1/events", carrier.url));
    let mut events = events.bearer_auth(&carrier.key).send().await?;
    let mut states = Vec::new();
    let begun = Instant::now();
    for id in &ids {
        loop {
            api.world.pass(Duration::from_mins(2));
            api.world.standin.settle_due().await;
            let shown = api.get(&format!("/v1/jobs/{id}")).await?.json();
            if let Some(state @ ("completed" | "failed")) = shown["state"].as_str() {
                states.push(state.to_owned());
                break;
            }
            ensure!(begun.elapsed() < Duration::from_mins(2), "{shown}");
        }
    }
    assert_eq!(
        states,
        ["completed", "completed", "failed", "failed", "completed"]
    );
    let result = api.get(&format!("/v1/jobs/{}/result", ids[0])).await?.text;
    ensure!(
        result.contains(PROMPT),
        "the result is an extract: {result}"
    );
    let failed = api.get(&format!("/v1/jobs/{}", ids[2])).await?.text;

    let mut written = vec![("answers of refusals", carrier.told.clone())];
    let metrics = carrier.http.get(format!("{watched}/metrics")).send();
    written.push(("metrics", metrics.await?.text().await?));
    let mut frames = String::new();
    while frames.matches("job.completed").count() < 3 && frames.len() < 100_000 {
        let frame = tokio::time::timeout(Duration::from_secs(20), events.chunk()).await;
        let Ok(Ok(Some(frame))) = frame else { break };
        frames.push_str(&String::from_utf8_lossy(&frame));
    }
    drop(events);
    written.push(("frames", frames));
    let rows = api
        .world
        .texts("SELECT row_to_json(e)::text FROM offpeak.event e");
    written.push(("events", rows.await?.join("\n")));
    written.push(("the worker's log", worker.end().await?));
    written.push(("the API's log", server.end().await?));

    let of = |secret: &str| secret.rsplit('_').next().unwrap_or_default().to_owned();
    let (key, session, ticket) = (of(&api.key), of(&cookie), of(&ticket));
    let canaries = [
        PROMPT,
        METADATA,
        USER,
        HEADER,
        COOKIE,
        QUERY,
        FIELD,
        IDEMPOTENCY,
        WRONG_KEY,
        UPSTREAM_KEY,
        &key,
        &session,
        &ticket,
    ];
    let mut found = Vec::new();
    for (place, text) in &written {
        assert!(!text.is_empty(), "nothing of {place}");
        for canary in canaries {
            for form in forms(canary) {
                let lines = text.lines().filter(|line| line.contains(&form));
                found.extend(
                    lines
                        .take(2)
                        .map(|line| format!("{canary} in {place}: {line}")),
                );
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    // What was searched is what they write at their most talkative.
    let log = |of: &str| {
        let written = written.iter().find(|(place, _)| *place == of);
        written.map_or("", |(_, text)| text.as_str())
    };
    for (place, signs) in [
        // The calls upstream.
        ("the worker's log", ["TRACE", "hyper_util", "sqlx::query"]),
        ("the API's log", [REQUEST, "answered", "sqlx::query"]),
    ] {
        for sign in signs {
            assert!(log(place).contains(sign), "{place} has no {sign}");
        }
    }
    assert!(failed.contains("invalid_request"), "{failed}");
    Ok(())
}
