//! An app that uses the HTTP API, as a bench needs it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use offpeak_domain::api_key::ApiKey;
use serde_json::{Value, json};

/// The job of one line: a text to summarize.
pub fn line(text: &str) -> Result<String> {
    Ok(serde_json::to_string(&json!({
        "type": "summarize",
        "input": { "text": text, "max_words": 100 },
    }))?)
}

/// One app with its key.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    /// Of the server at `url`.
    pub fn new(url: &str, key: &ApiKey) -> Self {
        // A second one finds it there, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            key: key.expose().to_owned(),
        }
    }

    /// Uploads these lines; gives the group and the seconds until the answer.
    pub async fn bulk(&self, body: impl Into<reqwest::Body>) -> Result<(String, f64)> {
        let begun = Instant::now();
        let answer = self
            .http
            .post(format!("{}/v1/jobs/bulk", self.url))
            .bearer_auth(&self.key)
            .header("content-type", "application/x-ndjson")
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let said: Value = answer.json().await?;
        ensure!(status.as_u16() == 202, "bulk: {status} {said}");
        let group = said["group"].as_str().context("no group")?.to_owned();
        Ok((group, begun.elapsed().as_secs_f64()))
    }

    /// Submits one job; whether it was accepted.
    pub async fn post(&self, body: &str) -> Result<bool> {
        let answer = self
            .http
            .post(format!("{}/v1/jobs", self.url))
            .bearer_auth(&self.key)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await?;
        let status = answer.status();
        answer.bytes().await?;
        Ok(status.as_u16() == 202)
    }

    /// Reads all results of a group; gives their number.
    pub async fn results(&self, group: &str) -> Result<usize> {
        let mut answer = self
            .http
            .get(format!("{}/v1/groups/{group}/results", self.url))
            .bearer_auth(&self.key)
            .send()
            .await?;
        let mut lines = 0;
        while let Some(piece) = answer.chunk().await? {
            lines += piece.split(|byte| *byte == b'\n').count() - 1;
        }
        Ok(lines)
    }
}
