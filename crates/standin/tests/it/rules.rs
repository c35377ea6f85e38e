//! Which calls a rule meets, how often, and that the seed decides.

use serde_json::{Value, json};

use crate::desk::{Desk, VERSION, items};

const LIST: &str = "/v1/messages/batches";

async fn statuses(desk: &Desk, path: &str, calls: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        statuses.push(desk.get(path).await.0);
    }
    statuses
}

#[tokio::test]
async fn skip_times_and_always() {
    let desk = Desk::start().await;
    let gone = json!({ "status": { "status": 503 } });
    desk.rule(json!({ "on": ["list"], "skip": 2, "times": 2, "fault": gone }))
        .await;
    assert_eq!(statuses(&desk, "/v1/models", 2).await, [200, 200]);
    assert_eq!(
        statuses(&desk, LIST, 6).await,
        [200, 200, 503, 503, 200, 200]
    );
    let (_, _, faults) = desk.get("/_standin/faults").await;
    assert_eq!(faults, json!({}), "used up");

    desk.rule(json!({ "on": ["models"], "times": "always", "fault": gone }))
        .await;
    assert_eq!(statuses(&desk, "/v1/models", 3).await, [503; 3]);
    desk.call("DELETE", "/_standin/faults", &[], &Value::Null)
        .await;
    assert_eq!(statuses(&desk, "/v1/models", 1).await, [200]);
}

#[tokio::test]
async fn chance_follows_from_the_seed() {
    let mut seen = Vec::new();
    for seed in [5, 5, 6] {
        let desk = Desk::with(|options| options.seed = seed).await;
        desk.rule(json!({
            "on": ["models"], "times": "always", "chance": 0.5,
            "fault": { "status": { "status": 500 } },
        }))
        .await;
        seen.push(statuses(&desk, "/v1/models", 40).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    let failed = seen[0].iter().filter(|status| **status == 500).count();
    assert!((10..=30).contains(&failed), "{failed}");
}

#[tokio::test]
async fn one_key_is_revoked_midway() {
    let desk = Desk::start().await;
    desk.rule(json!({
        "key": "sk-ant-one", "skip": 2, "times": "always",
        "fault": { "status": { "status": 401, "message": "invalid x-api-key" } },
    }))
    .await;
    assert_eq!(statuses(&desk, LIST, 4).await, [200, 200, 401, 401]);
    let other = [("authorization", "Bearer sk-ant-two"), VERSION];
    assert_eq!(desk.call("GET", LIST, &other, &Value::Null).await.0, 200);
}

#[tokio::test]
async fn young_batches_and_single_ones_cannot_be_found() {
    let desk = Desk::start().await;
    let gone = json!({ "status": { "status": 404 } });
    desk.rule(json!({ "on": ["retrieve"], "younger_ms": 3_000, "times": "always", "fault": gone }))
        .await;
    let first = desk.create(&items(1)).await;
    let path = format!("{LIST}/{}", first.id);
    assert_eq!(statuses(&desk, &path, 2).await, [404, 404]);
    desk.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(statuses(&desk, &path, 1).await, [200]);
    let second = desk.create(&items(1)).await;
    desk.end(&second.id).await;

    desk.rule(json!({ "on": ["results"], "batch": second.id, "times": 2, "fault": gone }))
        .await;
    let results = |id: &str| format!("{LIST}/{id}/results");
    assert_eq!(statuses(&desk, &results(&first.id), 1).await, [200]);
    assert_eq!(
        statuses(&desk, &results(&second.id), 3).await,
        [404, 404, 200]
    );
}

#[tokio::test]
async fn an_error_after_storing_leaves_the_batch() {
    let desk = Desk::start().await;
    for (stored, expected) in [(false, 0), (true, 1)] {
        let fault = json!({ "status": { "status": 504, "stored": stored } });
        desk.rule(json!({ "on": ["create"], "fault": fault })).await;
        desk.try_create(&items(2)).await.unwrap_err();
        let (_, _, list) = desk.get(LIST).await;
        assert_eq!(list["data"].as_array().unwrap().len(), expected);
    }
    let fault = json!({ "status": { "status": 504, "stored": true } });
    desk.rule(json!({ "on": ["create"], "fault": fault })).await;
    let refused = desk
        .try_create(&[json!({ "custom_id": "?" })])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("400"), "{refused}");
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    let desk = Desk::start().await;
    for wrong in [
        json!({ "rules": [{ "fault": "explode" }] }),
        json!({ "rules": [{ "on": ["lists"], "fault": "hang" }] }),
        json!({ "rules": [{ "fault": "hang", "time": 3 }] }),
        json!({ "rules": [{ "fault": { "status": { "status": 500, "colour": "red" } } }] }),
        json!({ "rules": [{ "fault": { "batch": { "expires": 1 } } }] }),
    ] {
        let (status, _, _) = desk.call("POST", "/_standin/faults", &[], &wrong).await;
        assert_eq!(status, 400, "{wrong}");
    }
}
