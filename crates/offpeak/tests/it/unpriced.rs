//! Models without a price: refused, or booked as what they are, never as free.

use anyhow::Result;
use offpeak_domain::price::Prices;
use serde_json::json;

use super::api::{Api, raw_job};

/// A list on which the model of these tests does not stand.
fn elsewhere() -> Result<Prices> {
    let list = "web_search_per_1000 = '10'
        factors = { batch = '0.5', geo_us = '1', cache_write_5m = '1', cache_write_1h = '1', cache_read = '1' }
        [[model]]
        id = 'claude-opus-5-5'
        price = [{ input = '4', output = '20' }]";
    Ok(Prices::parse(list)?)
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_unless_allowed() -> Result<()> {
    let api = Api::priced(elsewhere()?).await?;
    let refused = api.post("/v1/jobs", raw_job("One.")).await?;
    assert_eq!(
        refused.problem(),
        r#"422 unknown_model "/params/model" "unknown_model""#
    );
    assert_eq!(
        api.world.number("SELECT count(*) FROM offpeak.job").await?,
        0
    );
    let known = raw_job("One.").replace("claude-haiku-5-5", "claude-opus-5-5");
    assert_eq!(api.post("/v1/jobs", known).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn what_is_allowed_is_booked_as_without_a_price() -> Result<()> {
    let mut api = Api::priced(elsewhere()?.allowing_unknown(true)).await?;
    let known = raw_job("Two.").replace("claude-haiku-5-5", "claude-opus-5-5");
    let lines = format!("{}\n{known}\n", raw_job("One."));
    let group = api.post("/v1/jobs/bulk", lines).await?.at("/group");
    api.world.run_out().await?;
    api.world.check_invariants().await?;

    let usage = api.get("/v1/usage?by=model").await?.json();
    let total = &usage["total"];
    assert_eq!(
        (&total["attempts"], &total["unpriced"]),
        (&json!(2), &json!(1))
    );
    assert_ne!(total["cost"], "0", "of the one with a price");
    let rows = usage["rows"].as_array().cloned().unwrap_or_default();
    let row = |model: &str| {
        let found = rows.iter().find(|row| row["model"] == model);
        found.map(|row| row["total"].clone()).unwrap_or_default()
    };
    let (haiku, opus) = (row("claude-haiku-5-5"), row("claude-opus-5-5"));
    assert_eq!(
        (&haiku["unpriced"], &haiku["cost"]),
        (&json!(1), &json!("0"))
    );
    assert!(
        haiku["input_tokens"].as_u64() > Some(0),
        "tokens count: {haiku}"
    );
    assert_eq!(
        (&opus["unpriced"], &opus["cost"]),
        (&json!(0), &total["cost"])
    );

    let shown = api.get(&format!("/v1/groups/{group}")).await?;
    assert_eq!(
        (shown.at("/unpriced"), shown.at("/cost")),
        ("1".into(), opus["cost"].as_str().unwrap_or_default().into())
    );
    // A job says no amount rather than a wrong one, and so does its result.
    let jobs = api.get(&format!("/v1/jobs?group={group}")).await?.json();
    for job in jobs["data"].as_array().into_iter().flatten() {
        let has_price = job["model"] == "claude-opus-5-5";
        assert_eq!(job.get("cost").is_some(), has_price, "{job}");
        assert_eq!(job.get("cost_sync").is_some(), has_price, "{job}");
        let id = job["id"].as_str().unwrap_or_default();
        let result = api.get(&format!("/v1/jobs/{id}/result")).await?.json();
        assert_eq!(result.get("cost").is_some(), has_price, "{result}");
        assert!(result["usage"]["input_tokens"].as_u64() > Some(0));
    }
    // Whoever follows live hears the same.
    let told = "SELECT coalesce(sum(unpriced), 0)::bigint
                  FROM (SELECT unpriced FROM offpeak.event_in
                         UNION ALL SELECT unpriced FROM offpeak.event) AS t";
    assert_eq!(api.world.number(told).await?, 1);
    Ok(())
}
