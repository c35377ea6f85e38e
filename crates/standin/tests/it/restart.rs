//! Closed or killed at any point and opened again.

use std::fs;
use std::path::Path;

use offpeak_standin::{Error, Standin};
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, TURNAROUND, VERSION, items, options};

#[tokio::test]
async fn it_goes_on_where_it_was() {
    let desk = Desk::start().await;
    let ended = desk.create(&items(4)).await;
    let ended = desk.end(&ended.id).await;
    let lines = desk.results(&ended).await;
    let open = desk.create(&items(3)).await;
    let deleted = desk.create(&items(2)).await;
    let journal = desk.standin.journal().unwrap();

    let desk = desk.restart().await;
    assert_eq!(desk.client.batch(&open.id).await.unwrap(), open);
    let again = desk.client.batch(&ended.id).await.unwrap();
    assert_eq!(again.ended_at, ended.ended_at);
    assert_eq!(desk.results(&again).await, lines);
    assert_eq!(desk.standin.journal().unwrap(), journal);

    desk.end(&open.id).await;
    desk.client.delete_batch(&deleted.id).await.unwrap();
    let desk = desk.restart().await;
    desk.client.batch(&deleted.id).await.unwrap_err();
    let newest = desk.create(&items(1)).await;
    assert_ne!(
        newest.id, deleted.id,
        "the number of a deleted batch stays taken"
    );
    assert_eq!(desk.standin.journal().unwrap().len(), 9);
}

/// Makes the folder look as if the process had died while it ended the batch, the
/// journal cut off at this many bytes.
fn unsettle(folder: &Path, id: &str, journal: usize) {
    let batch = folder.join("standin/batches").join(id);
    let record = batch.join("record.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    value["settled"] = Value::Null;
    fs::write(&record, value.to_string()).unwrap();
    fs::rename(batch.join("results.jsonl"), batch.join("results.part")).unwrap();
    let path = folder.join("standin/journal.ndjson");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..journal]).unwrap();
}

#[tokio::test]
async fn killed_while_ending_a_batch_bills_nothing_twice() {
    let desk = Desk::start().await;
    let first = desk.create(&items(2)).await;
    desk.end(&first.id).await;
    let batch = desk.create(&items(6)).await;
    let batch = desk.end(&batch.id).await;
    let lines = desk.results(&batch).await;
    let journal = desk.standin.journal().unwrap();
    assert_eq!(journal.len(), 8);
    let length = fs::read(desk.folder.path().join("standin/journal.ndjson"))
        .unwrap()
        .len();

    let (mut folder, mut clock) = desk.close().await;
    // Before its first entry, within one, after some, after all of them.
    for cut in [
        length * 2 / 8,
        length * 2 / 8 + 5,
        length / 2,
        length - 1,
        length,
    ] {
        unsettle(folder.path(), &batch.id, cut);
        let desk = Desk::reopen(folder, clock).await;
        let again = desk.client.batch(&batch.id).await.unwrap();
        assert_eq!(again.request_counts, batch.request_counts);
        assert_eq!(desk.results(&again).await, lines, "cut at {cut}");
        assert_eq!(desk.standin.journal().unwrap(), journal, "cut at {cut}");
        (folder, clock) = desk.close().await;
    }
}

#[tokio::test]
async fn killed_while_ending_a_batch_changes_nothing_about_the_cache() {
    let desk = Desk::start().await;
    let control = json!({ "type": "ephemeral", "ttl": "1h" });
    let mut cached = items(40);
    for item in &mut cached {
        item["params"]["system"] =
            json!([{ "type": "text", "text": "x".repeat(4_000), "cache_control": control }]);
    }
    let batch = desk.create(&cached).await;
    let batch = desk.end(&batch.id).await;
    let lines = desk.results(&batch).await;
    let journal = desk.standin.journal().unwrap();
    let length = fs::read(desk.folder.path().join("standin/journal.ndjson"))
        .unwrap()
        .len();
    let (folder, clock) = desk.close().await;
    unsettle(folder.path(), &batch.id, length / 2);
    let desk = Desk::reopen(folder, clock).await;
    let params = json!({ "params": cached[0]["params"] })["params"].clone();
    let (status, _, _) = desk
        .call("POST", "/v1/messages", &[KEY, VERSION], &params)
        .await;
    assert_eq!(status, 200, "which warms the cache before the second try");
    let again = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(desk.results(&again).await, lines);
    let billed = desk.standin.journal().unwrap();
    let of_batch: Vec<_> = billed
        .iter()
        .filter(|entry| entry.batch_id.is_some())
        .collect();
    assert!(of_batch.into_iter().eq(&journal));
}

#[tokio::test]
async fn a_body_that_was_coming_in_is_gone() {
    let desk = Desk::start().await;
    desk.create(&items(1)).await;
    let (folder, clock) = desk.close().await;
    let left = folder.path().join("standin/incoming/9");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("spool"), "half").unwrap();
    let desk = Desk::reopen(folder, clock).await;
    assert!(!left.exists());
    assert_eq!(
        desk.client
            .batches(20, None, None)
            .await
            .unwrap()
            .value
            .data
            .len(),
        1
    );
}

#[tokio::test]
async fn one_folder_has_one_stand_in() {
    let desk = Desk::start().await;
    let second = Standin::open(options(desk.folder.path(), &desk.clock));
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let desk = Desk::start().await;
        let batch = desk.create(&items(20)).await;
        desk.clock.advance(TURNAROUND);
        let batch = desk.client.batch(&batch.id).await.unwrap();
        seen.push(desk.results(&batch).await);
    }
    assert_eq!(seen[0], seen[1]);
}
