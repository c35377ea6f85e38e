//! An app in front of offpeak: it sends again what was not answered, under the
//! same key, and remembers what it was promised.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::wait::moments;
use crate::world::World;

/// What the jobs run on.
const MODEL: &str = "claude-haiku-4-5";

/// How long it goes on asking somebody who does not answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was answered by a 2xx: job ids by the app's own reference.
#[derive(Debug, Default)]
pub struct Promises(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    jobs: BTreeMap<String, String>,
    /// References that were promised as two jobs.
    twice: Vec<String>,
}

impl Promises {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, until now.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.told().jobs.clone()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.told().jobs.len()
    }

    /// What was promised as two jobs, in words.
    pub fn twice(&self) -> Vec<String> {
        self.told().twice.clone()
    }

    /// One job was promised. Two ids for one reference are a job too many.
    pub fn note(&self, reference: &str, id: &str) {
        let mut told = self.told();
        let before = told.jobs.insert(reference.to_owned(), id.to_owned());
        if let Some(before) = before.filter(|before| before != id) {
            let wrong = format!("{reference} was promised as {before:?} and as {id:?}");
            told.twice.push(wrong);
        }
    }
}

/// Whom to ask. It changes while processes come and go.
#[derive(Debug, Default)]
pub struct Door(Mutex<Vec<String>>);

impl Door {
    /// From now on these answer.
    pub fn set(&self, urls: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// One of them, another one at each try.
    fn url(&self, turn: usize) -> Option<String> {
        let urls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = turn.checked_rem(urls.len())?;
        urls.get(place).cloned()
    }
}

/// A client of one world.
#[derive(Debug)]
pub struct Client<'a> {
    world: &'a World,
    door: &'a Door,
    promises: &'a Promises,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

impl<'a> Client<'a> {
    /// One that enters by this door.
    pub fn new(world: &'a World, door: &'a Door, promises: &'a Promises) -> Self {
        Self {
            world,
            door,
            promises,
        }
    }

    /// Sends a request until somebody answers it, other than by a 503 or a 429.
    async fn ask(&self, path: &str, key: Option<&str>, body: Option<String>) -> Result<Answer> {
        let begun = Instant::now();
        let mut last = None;
        for turn in 0.. {
            if let Some(url) = self.door.url(turn) {
                match self.ask_once(&url, path, key, body.clone()).await {
                    Some(answer) if !matches!(answer.status, 429 | 503) => return Ok(answer),
                    answer => last = answer,
                }
            }
            if begun.elapsed() > PATIENCE {
                break;
            }
            moments(2).await;
        }
        bail!("nobody answers {path}; what came last: {last:?}")
    }

    /// Sends it once; nothing comes back when the connection broke.
    pub async fn ask_once(
        &self,
        url: &str,
        path: &str,
        key: Option<&str>,
        body: Option<String>,
    ) -> Option<Answer> {
        let http = &self.world.http;
        let url = format!("{url}{path}");
        let mut request = match body {
            Some(body) => http.post(url).body(body),
            None => http.get(url),
        };
        request = request
            .bearer_auth(&self.world.key)
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { status, body })
    }

    /// Submits one job, known by `reference`, and notes that it was promised.
    pub async fn submit(&self, reference: &str) -> Result<()> {
        let id = self.submitted(reference).await?;
        self.promises.note(reference, &id);
        Ok(())
    }

    /// Submits one job. Gives its id, and notes nothing.
    pub async fn submitted(&self, reference: &str) -> Result<String> {
        let body = job(reference).to_string();
        let answer = self.ask("/v1/jobs", Some(reference), Some(body)).await?;
        ensure!(
            matches!(answer.status, 200 | 202),
            "{reference}: {answer:?}"
        );
        Ok(text(&answer.body, "/id").to_owned())
    }

    /// Makes the job type of urgent jobs that are called for again.
    pub async fn make_type(&self) -> Result<()> {
        let body = json!({
            "name": "insistent",
            "model": MODEL,
            "max_tokens": 64,
            "template": "Say in 9 words: {{ text }}",
            "input_schema": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            },
            "deliver_within": "30s",
            "on_unknown": "retry",
        });
        let answer = self
            .ask("/v1/job-types", None, Some(body.to_string()))
            .await?;
        ensure!(answer.status == 201, "a job type: {answer:?}");
        Ok(())
    }

    /// Submits one job that is wanted at once. By turns it fails when its answer is
    /// lost, or is called for again.
    pub async fn submit_urgent(&self, reference: &str) -> Result<()> {
        let body = if reference.ends_with(['1', '3', '5', '7', '9']) {
            json!({
                "type": "insistent",
                "input": {"text": format!("{reference} lay at the pier.")},
                "metadata": {"ref": reference},
            })
        } else {
            let mut body = job(reference);
            body["deliver_within"] = json!("30s");
            body
        };
        let answer = self
            .ask("/v1/jobs", Some(reference), Some(body.to_string()))
            .await?;
        ensure!(
            matches!(answer.status, 200 | 202),
            "{reference}: {answer:?}"
        );
        self.promises.note(reference, text(&answer.body, "/id"));
        Ok(())
    }

    /// Submits a group in one stream; its jobs are known by `name-0` and on.
    /// Gives the group's id.
    pub async fn submit_group(&self, name: &str, jobs: usize) -> Result<String> {
        let answer = self
            .ask(
                &format!("/v1/jobs/bulk?name={name}"),
                Some(name),
                Some(lines(name, jobs)),
            )
            .await?;
        ensure!(matches!(answer.status, 200 | 202), "{name}: {answer:?}");
        self.promised_group(name, jobs);
        Ok(text(&answer.body, "/group").to_owned())
    }

    /// Notes that a group was promised.
    pub fn promised_group(&self, name: &str, jobs: usize) {
        for number in 0..jobs {
            // Its id is not told; the judge finds it by the reference.
            self.promises.note(&format!("{name}-{number}"), "");
        }
    }

    /// A call that changes a job or a group, such as `cancel` or `retry`.
    pub async fn change(&self, what: &str, id: &str, how: &str) -> Result<Answer> {
        self.ask(&format!("/v1/{what}/{id}/{how}"), None, Some(String::new()))
            .await
    }
}

/// Text at a pointer, empty if there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The lines of a group.
pub fn lines(name: &str, jobs: usize) -> String {
    let line = |number| job(&format!("{name}-{number}")).to_string() + "\n";
    (0..jobs).map(line).collect()
}

/// A job that says by its text and by its metadata which one it is.
fn job(reference: &str) -> Value {
    json!({
        "params": {
            "model": MODEL,
            "max_tokens": 64,
            "messages": [{
                "role": "user",
                "content": format!(
                    "Say in 9 words: {reference} lay at the pier. The tide was low, and \
                     nobody asked for {reference} before noon."
                ),
            }],
        },
        "user": format!("u_{}", reference.len() % 5),
        "metadata": {"ref": reference},
    })
}
