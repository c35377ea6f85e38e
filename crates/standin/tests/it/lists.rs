//! Lists and batches that are shown wrongly, and batches of somebody else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{Desk, items, read};

const LIST: &str = "/v1/messages/batches";

async fn ids(desk: &Desk, query: &str) -> Vec<String> {
    let (status, _, page) = desk.get(&format!("{LIST}{query}")).await;
    assert_eq!(status, 200, "{page}");
    let data = page["data"].as_array().unwrap();
    data.iter()
        .map(|batch| batch["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn lists_lag_behind() {
    let desk = Desk::start().await;
    desk.rule(
        json!({ "on": ["list"], "times": "always", "fault": { "list_lag": { "ms": 1_500 } } }),
    )
    .await;
    let batch = desk.create(&items(1)).await;
    assert_eq!(ids(&desk, "").await, Vec::<String>::new());
    desk.clock.advance(Duration::from_millis(1_500));
    assert_eq!(ids(&desk, "").await, [batch.id]);
}

#[tokio::test]
async fn lists_miss_batches_now_and_then() {
    let desk = Desk::start().await;
    let mut made = Vec::new();
    for _ in 0..8 {
        made.push(desk.create(&items(1)).await.id);
    }
    desk.rule(json!({ "on": ["list"], "times": 5, "fault": { "list_miss": { "chance": 0.5 } } }))
        .await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(ids(&desk, "").await.len());
    }
    assert!(counts.iter().any(|count| *count < 8), "{counts:?}");
    assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
    assert_eq!(ids(&desk, "").await.len(), 8);
    desk.rule(json!({ "on": ["list"], "fault": "list_reverse" }))
        .await;
    assert_eq!(ids(&desk, "?limit=3").await, made[5..].to_vec());
    made.reverse();
    assert_eq!(ids(&desk, "?limit=3").await, made[..3].to_vec());
}

#[tokio::test]
async fn counts_are_wrong_in_every_way() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(10)).await;
    let path = format!("{LIST}/{}", batch.id);
    let mut seen = Vec::new();
    for fault in [
        json!({ "counts": { "add": 7 } }),
        json!({ "counts": { "add": -25 } }),
        json!({ "patch": { "request_counts": { "succeeded": 3, "novel": 1 } } }),
    ] {
        desk.rule(json!({ "on": ["retrieve"], "fault": fault }))
            .await;
        let (_, _, shown) = desk.get(&path).await;
        seen.push(shown["request_counts"].clone());
    }
    assert_eq!(seen[0]["processing"], 17);
    assert_eq!(seen[1]["processing"], -15);
    assert_eq!(seen[2]["succeeded"], 3);
    assert_eq!(seen[2]["processing"], 10);

    let wander = json!({ "counts": { "wander": 1_000_000 } });
    desk.rule(json!({ "on": ["retrieve"], "times": 2, "fault": wander }))
        .await;
    let first = desk.get(&path).await.2;
    assert_ne!(
        first["request_counts"],
        desk.get(&path).await.2["request_counts"]
    );

    let strange =
        json!({ "patch": { "processing_status": "napping", "mood": "good", "created_at": null } });
    desk.rule(json!({ "on": ["list"], "fault": strange })).await;
    let shown = desk.get(LIST).await.2["data"][0].clone();
    assert_eq!(shown["processing_status"], "napping");
    assert_eq!(
        (&shown["mood"], &shown["created_at"]),
        (&json!("good"), &Value::Null)
    );
}

#[tokio::test]
async fn results_are_said_to_be_elsewhere() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(3)).await;
    desk.end(&batch.id).await;
    let fault = json!({ "results_host": { "origin": "http://nowhere.invalid:81/" } });
    desk.rule(json!({ "on": ["retrieve", "list"], "times": "always", "fault": fault }))
        .await;
    let shown = desk.client.batch(&batch.id).await.unwrap();
    let url = shown.results_url.clone().unwrap();
    assert_eq!(
        url,
        format!("http://nowhere.invalid:81{LIST}/{}/results", batch.id)
    );
    assert_eq!(
        desk.results(&shown).await.len(),
        3,
        "the client does not follow it"
    );
}

#[tokio::test]
async fn somebody_else_works_in_the_same_workspace() {
    let desk = Desk::start().await;
    desk.rule(json!({ "on": ["create"], "fault": { "foreign": { "batches": 2 } } }))
        .await;
    let own = desk.create(&items(4)).await;
    let all = desk
        .client
        .batches(10, None, None)
        .await
        .unwrap()
        .value
        .data;
    assert_eq!(all.len(), 3);
    for batch in &all {
        assert_eq!(batch.request_counts.total(), 4);
        assert_eq!(batch.created_at, own.created_at);
    }
    let stranger = all.iter().find(|batch| batch.id != own.id).unwrap();
    let stranger = desk.end(&stranger.id).await;
    let lines = read(&desk.results(&stranger).await);
    assert_eq!(lines[0].0, "foreign-0");
    let journal = desk.standin.journal().unwrap();
    assert_eq!(journal.len(), 12);
    let ours = journal
        .iter()
        .filter(|entry| entry.batch_id.as_ref() == Some(&own.id));
    assert_eq!(ours.count(), 4);

    desk.rule(json!({ "on": ["create"], "fault": { "foreign": { "items": 7 } } }))
        .await;
    desk.create(&items(1)).await;
    let newest = &desk.client.batches(1, None, None).await.unwrap().value.data[0];
    assert_eq!(newest.request_counts.total(), 7);
}
