//! The day without offpeak: every job called for at once, with or without prompt
//! caching, or the patient ones sent in batches and the others called for.

use anyhow::{Result, ensure};
use offpeak_domain::price::{Bill, Prices};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

use super::mix::Arrival;
use super::{MORNING, Upstream};

/// How it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every job by itself, nothing marked.
    Synchronous,
    /// The same with the instructions marked for the prompt cache.
    SynchronousCached,
    /// What is not urgent in a batch for each tenant and hour, nothing marked.
    PlainBatches,
}

/// Sends the day and says what was billed.
pub async fn send(day: &[Arrival], way: Way, data: &Path, prices: &Prices) -> Result<Bill> {
    // Cryptography is made ready by whoever makes a client first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = Upstream::start(data, MORNING, 0.0).await?;
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Vec<u8>| -> Result<()> {
        let url = format!("{}{path}", upstream.url);
        let request = client.post(url).header("content-type", "application/json");
        let request = request
            .header("x-api-key", "bench")
            .header("anthropic-version", "2023-06-01");
        let answer = request.body(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    };
    let mut now = Duration::ZERO;
    let mut patient: Vec<(u64, usize, &Arrival)> = Vec::new();
    for job in day {
        upstream.clock.advance(job.at.saturating_sub(now));
        now = job.at;
        match way {
            Way::PlainBatches if !job.urgent => {
                patient.push((job.at.as_secs() / 3_600, job.tenant, job));
            }
            Way::SynchronousCached => post("/v1/messages", marked(&job.params)?).await?,
            Way::Synchronous | Way::PlainBatches => {
                post("/v1/messages", job.params.clone()).await?;
            }
        }
    }
    patient.sort_by_key(|(hour, tenant, _)| (*hour, *tenant));
    for batch in patient.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let mut requests = Vec::new();
        for (place, (_, _, job)) in batch.iter().enumerate() {
            let params: &RawValue = serde_json::from_slice(&job.params)?;
            requests.push(json!({ "custom_id": format!("job-{place}"), "params": params }));
        }
        let body = serde_json::to_vec(&json!({ "requests": requests }))?;
        post("/v1/messages/batches", body).await?;
    }
    upstream.clock.advance(Duration::from_hours(24));
    upstream.standin.settle_due().await;
    upstream.bill(prices)
}

/// With the mark that an app sets that knows of caching.
fn marked(params: &[u8]) -> Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(params)?;
    body["system"][0]["cache_control"] = json!({ "type": "ephemeral" });
    Ok(serde_json::to_vec(&body)?)
}
