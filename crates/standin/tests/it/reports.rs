//! The prompt cache, rate limits, and the reports of an Admin key.

use std::time::Duration;

use offpeak_anthropic::shape::{ResultKind, ResultLine};
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, VERSION, items, params};

const ADMIN: (&str, &str) = ("x-api-key", "sk-ant-admin01-x");
const BETA: (&str, &str) = ("anthropic-beta", "analytics-usage-cost-2026-08-24");

/// An item with a prefix of 1,000 tokens that is to be cached.
fn cached(id: &str) -> Value {
    let mut params = params("Foxes jump.");
    params["system"] = json!([{
        "type": "text", "text": "x".repeat(4_000),
        "cache_control": { "type": "ephemeral", "ttl": "1h" },
    }]);
    json!({ "custom_id": id, "params": params })
}

async fn admin(desk: &Desk, path: &str) -> Value {
    let headers = [ADMIN, VERSION, BETA];
    let (status, _, body) = desk.call("GET", path, &headers, &Value::Null).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn the_cache_hits_as_often_as_it_is_told() {
    for (rate, reads) in [(1.0, 49..50), (0.5, 12..38), (0.0, 0..1)] {
        let desk = Desk::start().await;
        desk.set("behavior", json!({ "cache_hit_rate": rate }))
            .await;
        let items: Vec<Value> = (0..50).map(|n| cached(&format!("i{n}"))).collect();
        let batch = desk.create(&items).await;
        let batch = desk.end(&batch.id).await;
        let (mut read, mut written) = (0, 0);
        for line in desk.results(&batch).await {
            let ResultKind::Succeeded(message) = ResultLine::parse(&line).unwrap().result else {
                panic!()
            };
            let usage = message.usage;
            let creation = usage.cache_creation.unwrap();
            assert_eq!(usage.input_tokens, 3, "only what lies behind the mark");
            let long = creation.ephemeral_1h_input_tokens;
            assert_eq!(usage.cache_creation_input_tokens, Some(long));
            assert_eq!(usage.cache_read_input_tokens.unwrap() + long, 1_000);
            read += usage.cache_read_input_tokens.unwrap() / 1_000;
            written += long / 1_000;
        }
        assert!(reads.contains(&read), "{rate}: {read}");
        assert_eq!(read + written, 50);
    }
}

#[tokio::test]
async fn a_batch_finds_what_a_message_wrote() {
    let desk = Desk::start().await;
    desk.set("behavior", json!({ "cache_hit_rate": 1 })).await;
    let body = cached("x")["params"].clone();
    let (_, _, first) = desk
        .call("POST", "/v1/messages", &[KEY, VERSION], &body)
        .await;
    assert_eq!(
        first["usage"]["cache_creation"]["ephemeral_1h_input_tokens"],
        1_000
    );
    let (_, _, second) = desk
        .call("POST", "/v1/messages", &[KEY, VERSION], &body)
        .await;
    assert_eq!(second["usage"]["cache_read_input_tokens"], 1_000);
    let batch = desk.create(&[cached("i")]).await;
    desk.end(&batch.id).await;
    let usage = desk.standin.journal().unwrap().pop().unwrap().usage;
    assert_eq!(usage.cache_read_input_tokens, Some(1_000));
    desk.clock.advance(Duration::from_hours(1));
    let (_, _, cold) = desk
        .call("POST", "/v1/messages", &[KEY, VERSION], &body)
        .await;
    assert_eq!(cold["usage"]["cache_read_input_tokens"], 0);
}

#[tokio::test]
async fn limits_count_down_in_headers() {
    let desk = Desk::start().await;
    let (_, headers, _) = desk
        .call(
            "POST",
            "/v1/messages",
            &[KEY, VERSION],
            &params("Foxes jump."),
        )
        .await;
    assert_eq!(headers["anthropic-ratelimit-requests-limit"], "4000");
    assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "3999");
    assert_eq!(
        headers["anthropic-ratelimit-requests-reset"],
        "2026-11-22T16:01:00Z"
    );
    for what in ["input-tokens", "output-tokens", "tokens"] {
        assert!(headers.contains_key(format!("anthropic-ratelimit-{what}-remaining")));
    }
    let (_, headers, _) = desk.get("/v1/models").await;
    assert!(!headers.contains_key("anthropic-ratelimit-requests-limit"));

    let all = admin(&desk, "/v1/organizations/rate_limits").await;
    let entries = all["data"].as_array().unwrap();
    let batch = entries
        .iter()
        .find(|entry| entry["group"]["type"] == "batch")
        .unwrap();
    let queue = json!({ "type": "enqueued_batch_requests", "value": 500_000 });
    assert!(batch["limits"].as_array().unwrap().contains(&queue));
    let some = admin(
        &desk,
        "/v1/organizations/rate_limits?model=claude-haiku-4-5",
    )
    .await;
    assert_eq!(some["data"].as_array().unwrap().len(), 1);
    let mut path = "/v1/organizations/rate_limits?limit=3".to_owned();
    let mut walked = 0;
    loop {
        let page = admin(&desk, &path).await;
        walked += page["data"].as_array().unwrap().len();
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        path = format!("/v1/organizations/rate_limits?limit=3&page={next}");
    }
    assert_eq!(walked, entries.len());
}

#[tokio::test]
async fn only_admin_keys_see_the_organization() {
    let desk = Desk::start().await;
    assert_eq!(desk.get("/v1/organizations/rate_limits").await.0, 403);
    let (status, headers, _) = desk
        .call(
            "GET",
            "/v1/messages/batches",
            &[ADMIN, VERSION],
            &Value::Null,
        )
        .await;
    assert_eq!(status, 403);
    assert!(headers.contains_key("anthropic-organization-id"));
    let path = "/v1/organizations/analytics/usage?starting_at=2026-11-01T00:00:00Z";
    let (status, _, body) = desk
        .call("GET", path, &[ADMIN, VERSION], &Value::Null)
        .await;
    assert_eq!(status, 400, "{body}");
}

/// 20 items in a batch, 1 direct message, 1 free refusal.
async fn worked() -> Desk {
    let desk = Desk::start().await;
    let batch = desk.create(&items(20)).await;
    desk.end(&batch.id).await;
    for text in ["Foxes jump.", "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"] {
        let (status, _, _) = desk
            .call("POST", "/v1/messages", &[KEY, VERSION], &params(text))
            .await;
        assert_eq!(status, 200);
    }
    desk
}

#[tokio::test]
async fn the_older_reports_follow_from_the_journal() {
    let desk = worked().await;
    let journal = desk.standin.journal().unwrap();
    let input: u64 = journal.iter().map(|entry| entry.usage.input_tokens).sum();
    let base = "/v1/organizations/usage_report/messages?starting_at=2026-11-21T00:00:00Z";
    let report = admin(&desk, base).await;
    let buckets = report["data"].as_array().unwrap();
    assert_eq!((buckets.len(), &report["has_more"]), (2, &json!(false)));
    assert_eq!(buckets[0]["results"], json!([]));
    let row = &buckets[1]["results"][0];
    assert!(
        row["uncached_input_tokens"].as_u64().unwrap() > input,
        "with the refusal"
    );
    assert_eq!(row["model"], Value::Null);

    let by = format!("{base}&group_by[]=service_tier&group_by[]=model&service_tiers[]=batch");
    let row = admin(&desk, &by).await["data"][1]["results"][0].clone();
    assert_eq!(
        (&row["service_tier"], &row["model"]),
        (&json!("batch"), &json!("claude-haiku-5-5"))
    );
    let batch = journal.iter().filter(|entry| entry.batch_id.is_some());
    let input: u64 = batch.clone().map(|entry| entry.usage.input_tokens).sum();
    let output: u64 = batch.map(|entry| entry.usage.output_tokens).sum();
    assert_eq!(row["uncached_input_tokens"], input);
    assert_eq!(row["output_tokens"], output);

    let page = admin(&desk, &format!("{base}&bucket_width=1h&limit=24")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 24);
    let next = page["next_page"].as_str().unwrap();
    let rest = admin(
        &desk,
        &format!("{base}&bucket_width=1h&limit=24&page={next}"),
    )
    .await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 17);
    assert_eq!(rest["data"][16]["results"].as_array().unwrap().len(), 1);

    let cost =
        "/v1/organizations/cost_report?starting_at=2026-11-22T00:00:00Z&group_by[]=description";
    let rows = admin(&desk, cost).await["data"][0]["results"].clone();
    let of_batch = |kind: &str| -> f64 {
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["service_tier"] == "batch" && row["token_type"] == kind)
            .map(|row| row["amount"].as_str().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    // 0.10 and 0.50 dollars per million tokens, halved, in cents.
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let tokens = |count: u64| f64::from(u32::try_from(count).unwrap());
    assert!(near(
        of_batch("uncached_input_tokens"),
        tokens(input) * 5e-6
    ));
    assert!(near(of_batch("output_tokens"), tokens(output) * 25e-6));
    let whole = "/v1/organizations/cost_report?starting_at=2026-11-22T00:00:00Z";
    let row = admin(&desk, whole).await["data"][0]["results"][0].clone();
    assert_eq!(
        (&row["currency"], &row["token_type"]),
        (&json!("USD"), &Value::Null)
    );
}

#[tokio::test]
async fn the_analytics_reports_give_a_row_for_each_group() {
    let desk = worked().await;
    let span = "starting_at=2026-11-22T00:00:00Z&ending_at=2026-11-23T00:00:00Z";
    let base = format!("/v1/organizations/analytics/usage?{span}");
    let report = admin(&desk, &base).await;
    assert_eq!(report["data"][0]["usage"]["requests"], 22);
    assert_eq!(report["data"][0]["group"], json!({}));
    assert!(report["data_refreshed_at"].is_string());
    desk.set("behavior", json!({ "refusals_reported": false }))
        .await;
    assert_eq!(
        admin(&desk, &base).await["data"][0]["usage"]["requests"],
        21
    );

    let by = format!("{base}&group_by[]=service_tier&limit=1&order_by=requests");
    let page = admin(&desk, &by).await;
    assert_eq!(page["data"][0]["group"]["service_tier"], "batch");
    let next = page["next_page"].as_str().unwrap();
    let page = admin(&desk, &format!("{by}&page={next}")).await;
    assert_eq!(page["data"][0]["group"]["service_tier"], "standard");
    assert_eq!(page["has_more"], false);
    let hours = admin(&desk, &format!("{base}&time_bucket_width=1h")).await;
    assert_eq!(hours["data"][0]["starting_at"], "2026-11-22T16:00:00Z");

    let cost = format!(
        "/v1/organizations/analytics/cost?{span}&group_by[]=token_type&group_by[]=cost_type"
    );
    let rows = admin(&desk, &cost).await["data"].clone();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2, "input and output");
    for row in rows {
        assert_eq!(row["group"]["cost_type"], "tokens");
        assert_eq!(row["cost"]["amount"], row["cost"]["list_amount"]);
    }
    for wrong in [
        "usage?ending_at=2026-11-23T00:00:00Z",
        "usage?starting_at=yesterday",
        "usage?starting_at=2025-11-23T00:00:00Z",
        "usage?starting_at=2026-11-01T00:00:00Z&group_by[]=colour",
        "usage?starting_at=2026-11-01T00:00:00Z&time_bucket_width=1h",
        "usage?starting_at=2026-11-01T00:00:00Z&limit=0",
        "cost?starting_at=2026-09-01T00:00:00Z&ending_at=2026-11-01T00:00:00Z",
    ] {
        let path = format!("/v1/organizations/analytics/{wrong}");
        let (status, _, _) = desk
            .call("GET", &path, &[ADMIN, VERSION, BETA], &Value::Null)
            .await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_user_profile_holds_for_a_batch_and_tells_in_reports() {
    let desk = Desk::start().await;
    let mut other = items(2);
    other[1]["params"]["user_profile_id"] = "uprof_b".into();
    let profile = ("anthropic-user-profile-id", "uprof_a");
    let body = json!({ "requests": other });
    let headers = [KEY, VERSION, profile];
    let (_, _, batch) = desk
        .call("POST", "/v1/messages/batches", &headers, &body)
        .await;
    let ended = desk.end(batch["id"].as_str().unwrap()).await;
    let counts = ended.request_counts;
    assert_eq!((counts.succeeded, counts.errored), (1, 1));
    let path = "/v1/organizations/analytics/usage?starting_at=2026-11-22T00:00:00Z\
                &ending_at=2026-11-23T00:00:00Z&group_by[]=user_profile_id";
    let rows = admin(&desk, path).await["data"].clone();
    assert_eq!(rows[0]["group"]["user_profile_id"], "uprof_a");
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_workspace_must_be_the_keys() {
    let desk = Desk::start().await;
    let path = "/v1/messages/batches";
    let ask = async |workspace: &str| {
        let named = ("anthropic-workspace-id", workspace);
        desk.call("GET", path, &[KEY, VERSION, named], &Value::Null)
            .await
    };
    let (status, headers, _) = ask("wrkspc_other").await;
    assert_eq!(status, 400);
    let own = headers["anthropic-workspace-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(ask(&own).await.0, 200);
    desk.set("behavior", json!({ "workspace_mismatch": 200 }))
        .await;
    assert_eq!(ask("wrkspc_other").await.0, 200);
}

#[tokio::test]
async fn a_limit_that_is_reached_says_so_in_headers() {
    let desk = Desk::with(|options| options.limits.calls_per_minute = Some(2)).await;
    let path = "/v1/messages/batches";
    for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
        let (answered, headers, _) = desk.get(path).await;
        assert_eq!(answered, status);
        assert_eq!(headers["anthropic-ratelimit-requests-remaining"], remaining);
        assert_eq!(headers["anthropic-ratelimit-requests-limit"], "2");
        assert_eq!(headers.contains_key("retry-after"), status == 429);
    }
    desk.clock.advance(Duration::from_mins(1));
    assert_eq!(desk.get(path).await.0, 200);
}

#[tokio::test]
async fn models_are_listed_by_lifecycle() {
    let desk = Desk::start().await;
    let count = async |query: &str| {
        let (status, _, page) = desk.get(&format!("/v1/models?limit=100{query}")).await;
        assert_eq!(status, 200);
        page["data"].as_array().unwrap().len()
    };
    let all = count("").await;
    let (active, deprecated) = (
        count("&lifecycle[]=active").await,
        count("&lifecycle[]=deprecated").await,
    );
    assert!(active > 10 && deprecated > 0);
    assert_eq!(active + deprecated, all);
    assert_eq!(
        count("&lifecycle[]=active&lifecycle[]=deprecated").await,
        all
    );
    assert_eq!(count("&lifecycle[]=retired").await, 0);
}
