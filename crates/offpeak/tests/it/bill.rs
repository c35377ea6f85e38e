//! `offpeak bill`: the ledger beside the reports of the stand-in, end to end.

use anyhow::Result;
use offpeak_standin::Behavior;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::api_observe::database_url;
use super::cli::{offpeak, shown};

const ADMIN: &str = "sk-ant-admin01-x";

struct Office {
    api: Api,
    folder: tempfile::TempDir,
}

impl Office {
    /// One whose jobs have all ended: two models, two places, a cache.
    async fn new() -> Result<Self> {
        let mut api = Api::new().await?;
        api.world.standin.set_behavior(Behavior {
            cache_hit_rate: 1.0,
            ..Behavior::default()
        });
        let mut lines = String::new();
        for n in 0..12 {
            let model = ["claude-haiku-5-5", "claude-opus-5-5"][n % 2];
            let place = ["us", "global"][n / 2 % 2];
            let ttl = ["5m", "1h"][n / 4 % 2];
            let params = json!({
                "model": model,
                "inference_geo": place,
                "max_tokens": 64,
                "system": [{
                    "type": "text", "text": "Say it again. ".repeat(220),
                    "cache_control": { "type": "ephemeral", "ttl": ttl },
                }],
                "messages": [{ "role": "user", "content": format!("Text {n}.") }],
            });
            lines += &json!({ "params": params }).to_string();
            lines.push('\n');
        }
        api.post("/v1/jobs/bulk", lines).await?;
        api.world.run_out().await?;
        Ok(Self {
            api,
            folder: tempfile::tempdir()?,
        })
    }

    /// `offpeak bill` over forty days, which are two pages of each report.
    async fn bill(&self, key: Option<&str>, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let last = self.api.world.time().date() + time::Duration::DAY;
        let first = last - time::Duration::days(39);
        let mut command = offpeak(self.folder.path());
        command
            .env("DATABASE_URL", database_url(&self.api.world)?)
            .env("ANTHROPIC_BASE_URL", &self.api.world.standin_url)
            .args([
                "bill",
                "--from",
                &first.to_string(),
                "--to",
                &last.to_string(),
            ])
            .args(arguments);
        if let Some(key) = key {
            command.env("ANTHROPIC_ADMIN_KEY", key);
        }
        let ran = command.output().await?;
        let code = ran.status.code();
        Ok((code, shown(&ran, &self.api.world.standin_url)))
    }

    async fn as_json(&self, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let (code, shown) = self
            .bill(Some(ADMIN), &[arguments, &["--json"]].concat())
            .await?;
        let (_, text) = shown.split_once("--- stdout\n").unwrap_or_default();
        Ok((code, serde_json::from_str(text)?))
    }

    /// A message of somebody else's in the same organization.
    async fn elsewhere(&self) -> Result<()> {
        let url = format!("{}/v1/messages", self.api.world.standin_url);
        let body = json!({
            "model": "claude-haiku-5-5", "max_tokens": 64,
            "messages": [{ "role": "user", "content": "Somebody else's." }],
        });
        let request = self.api.http().request(Method::POST, url);
        let answer = request
            .header("x-api-key", "sk-ant-standin")
            .header("anthropic-version", "2026-10-21")
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?;
        anyhow::ensure!(answer.status().is_success(), "{answer:?}");
        Ok(())
    }
}

#[tokio::test]
async fn the_ledger_agrees_with_the_reports_and_a_difference_is_shown() -> Result<()> {
    let office = Office::new().await?;
    let (code, told) = office.as_json(&[]).await?;
    assert_eq!((code, &told["agrees"]), (Some(0), &json!(true)), "{told:#}");
    let items = told["items"].as_array().cloned().unwrap_or_default();
    let models: Vec<_> = items.iter().map(|item| item["what"].clone()).collect();
    assert_eq!(models, ["claude-haiku-5-5", "claude-opus-5-5"], "{told:#}");
    for item in &items {
        assert_eq!(item["ledger"]["cost"], item["report"]["cost"], "{item:#}");
        assert_eq!(item["ledger"]["tokens"], item["report"]["tokens"]);
        assert_eq!(item["lane"], "batch");
        let tokens = &item["report"]["tokens"];
        for kind in ["input", "output", "cache_read"] {
            assert!(tokens[kind].as_u64() > Some(0), "{kind}: {item:#}");
        }
    }
    let (code, text) = office.bill(Some(ADMIN), &[]).await?;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("2 of 2 agree") && !text.contains("DAY"),
        "{text}"
    );

    // Something is booked that nobody charged.
    office
        .api
        .world
        .meddle(
            "UPDATE offpeak.ledger SET output_tokens = output_tokens + 7,
                    cost_pico = cost_pico + 500000000
              WHERE (batch_id, id) = (SELECT batch_id, id FROM offpeak.ledger
                                       WHERE model = 'claude-opus-5-5' LIMIT 1)",
        )
        .await?;
    let (code, text) = office.bill(Some(ADMIN), &[]).await?;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("output -7") && text.contains("1 of 2 agree"),
        "{text}"
    );
    assert!(
        !text.contains("claude-haiku-5-5"),
        "what agrees is left away: {text}"
    );
    let (_, text) = office.bill(Some(ADMIN), &["--all"]).await?;
    assert!(text.contains("claude-haiku-5-5"), "{text}");
    let (_, told) = office.as_json(&[]).await?;
    assert_eq!(told["items"][1]["difference"], "-0.0005", "{told:#}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_offpeaks_shows_unless_it_is_left_out() -> Result<()> {
    let office = Office::new().await?;
    office.elsewhere().await?;
    let (code, told) = office.as_json(&[]).await?;
    assert_eq!(code, Some(1));
    let items = told["items"].as_array().cloned().unwrap_or_default();
    let other: Vec<_> = items
        .iter()
        .filter(|item| item["agrees"] == false)
        .collect();
    assert_eq!(other.len(), 1, "{told:#}");
    assert_eq!(
        (&other[0]["lane"], &other[0]["ledger"]["cost"]),
        (&json!("direct"), &json!("0"))
    );
    let (code, _) = office.as_json(&["--lane", "batch"]).await?;
    assert_eq!(code, Some(0));
    // Of a workspace in which nothing was done the ledger has everything too much.
    let (code, told) = office.as_json(&["--workspace", "wrkspc_other"]).await?;
    assert_eq!(code, Some(1));
    let nothing = |item: &Value| item["report"]["cost"] == "0";
    assert!(
        told["items"]
            .as_array()
            .is_some_and(|items| items.iter().all(nothing)),
        "{told:#}"
    );
    Ok(())
}

#[tokio::test]
async fn without_the_right_key_it_says_what_to_do() -> Result<()> {
    let office = Office::new().await?;
    insta::assert_snapshot!(office.bill(None, &[]).await?.1, @r"
    exit 2
    --- stderr
    error: no Admin key: set ANTHROPIC_ADMIN_KEY (admin_key in [anthropic]) to one that begins with sk-ant-admin, which an administrator of your organization makes in Anthropic's Console under Admin keys; the key that jobs are sent with cannot read reports
    ");
    insta::assert_snapshot!(office.bill(Some("sk-ant-standin"), &[]).await?.1, @r"
    exit 3
    --- stderr
    error: Anthropic does not let this key read reports: ANTHROPIC_ADMIN_KEY must be an Admin key (sk-ant-admin…) of an organization, not of an individual account: permission_error (status 403)
    ");
    Ok(())
}
