//! What stands in the database while the rows are sent, and what `«…»` in a
//! row means: `«x*257»` a text so many times, `«hex ff fe»` bytes, anything
//! else a name from here.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use offpeak_domain::api_key::ApiKey;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;

use crate::api::{Answer, Api};

/// The members of a good Messages body.
const PARAMS: &str =
    r#""model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"a"}]"#;
/// The members of a good job type.
const TYPE: &str = r#""name":"greet","model":"claude-haiku-5-5","max_tokens":9,"template":"{{ who }}","input_schema":{"type":"object","properties":{"who":{"type":"string"}}}"#;

#[derive(Debug)]
pub(super) struct Facts(HashMap<String, String>);

impl Facts {
    /// Two tenants with jobs in every state that a request may meet.
    pub(super) async fn new(api: &mut Api) -> Result<Self> {
        let mut facts = Self(HashMap::new());
        let job = format!("{{\"params\":{{{PARAMS}}}}}");
        facts.set("params", PARAMS);
        facts.set("job_type", TYPE);
        facts.set("job", &job);
        facts.set("key", &api.key);
        facts.set(
            "stranger",
            ApiKey::generate(StdRng::seed_from_u64(5)).expose(),
        );
        for (name, prefix) in [("job", "job"), ("group", "grp"), ("batch", "bat")] {
            let none = format!("{prefix}_00000000000000000000000000");
            facts.set(&format!("nobody.{name}"), &none);
        }
        facts.set("nobody.type", "nothing");
        facts.others(api, &job).await?;
        facts.own(api, &job).await?;
        Ok(facts)
    }

    /// What another tenant has.
    async fn others(&mut self, api: &mut Api, job: &str) -> Result<()> {
        let (_, key) = api.tenant("other").await?;
        let two = format!("{job}\n{job}\n");
        let post = async |path: &'static str, body: String| {
            good(api.send(Method::POST, path, &key, &[], body).await?)
        };
        let secret = format!("{{{}}}", TYPE.replace("greet", "secret"));
        post("/v1/job-types", secret).await?;
        let group = post("/v1/jobs/bulk", two).await?.at("/group");
        let queued = post("/v1/jobs", job.to_owned()).await?.at("/id");
        api.world.run_out().await?;
        let read = async |path: &str| good(api.send(Method::GET, path, &key, &[], "").await?);
        let batch = read("/v1/batches").await?.at("/data/0/id");
        for (name, value) in [
            ("other.job", queued.as_str()),
            ("other.group", &group),
            ("other.batch", &batch),
            ("other.type", "secret"),
            ("other.key", &key),
        ] {
            self.set(name, value);
        }
        Ok(())
    }

    async fn own(&mut self, api: &mut Api, job: &str) -> Result<()> {
        let ended = good(api.post("/v1/jobs", job.to_owned()).await?)?.at("/id");
        api.world.run_out().await?;
        // Canceled after it was sent, so an attempt is still at Anthropic.
        let flying = good(api.post("/v1/jobs", job.to_owned()).await?)?.at("/id");
        api.world.pass(Duration::from_secs(10));
        api.world.worker.settle_down().await?;
        good(api.post(&format!("/v1/jobs/{flying}/cancel"), "").await?)?;

        let used = ("idempotency-key", "used-by-a-job");
        let queued = good(api.post_with("/v1/jobs", used, job.to_owned()).await?)?.at("/id");
        let used = ("idempotency-key", "used-by-an-upload");
        let two = format!("{job}\n{job}\n");
        let group = good(api.post_with("/v1/jobs/bulk", used, two).await?)?.at("/group");
        for (name, value) in [
            ("own.ended", ended.as_str()),
            ("own.flying", &flying),
            ("own.queued", &queued),
            ("own.group", &group),
        ] {
            self.set(name, value);
        }
        let page = good(api.get("/v1/jobs?limit=1").await?)?;
        self.set("own.cursor", &page.at("/next_cursor"));
        let other = self.0["other.key"].clone();
        let page = api
            .send(Method::GET, "/v1/jobs?limit=1", &other, &[], "")
            .await?;
        self.set("other.cursor", &good(page)?.at("/next_cursor"));
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// A row's text as it is sent.
    pub(super) fn bytes(&self, text: &str) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('«') {
            let (name, after) = after.split_once('»').context("« without »")?;
            out.extend_from_slice(before.as_bytes());
            if let Some(digits) = name.strip_prefix("hex ") {
                for pair in digits.split(' ') {
                    out.push(u8::from_str_radix(pair, 16)?);
                }
            } else if let Some((piece, times)) = name.rsplit_once('*') {
                let piece = self.0.get(piece).map_or(piece, String::as_str);
                out.extend(piece.repeat(times.parse()?).into_bytes());
            } else {
                let value = self.0.get(name);
                let value = value.with_context(|| format!("nothing is called {name:?}"))?;
                out.extend_from_slice(value.as_bytes());
            }
            rest = after;
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(out)
    }
}

fn good(answer: Answer) -> Result<Answer> {
    ensure!(answer.status < 300, "{answer:?}");
    Ok(answer)
}
