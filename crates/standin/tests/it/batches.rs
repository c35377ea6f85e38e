//! The life of a batch.

use std::time::Duration;

use offpeak_anthropic::disposition::of_read;
use offpeak_anthropic::shape::{ProcessingStatus, ResultKind, ResultLine, ServiceTier};
use offpeak_anthropic::{Error, Reading};

use crate::desk::{Desk, client, item, items, read};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn create_wait_end_results() {
    let desk = Desk::start().await;
    let created = desk.try_create(&items(50)).await.unwrap();
    assert!(created.request_id.unwrap().starts_with("req_standin_"));
    assert_eq!(
        created.date.unwrap().unix_timestamp(),
        desk.clock.now().unix_timestamp()
    );
    let batch = created.value;
    assert!(batch.id.starts_with("msgbatch_standin_"), "{}", batch.id);
    assert_eq!(batch.created_at, desk.clock.now());
    assert_eq!(batch.expires_at, batch.created_at + DAY);

    desk.clock.advance(Duration::from_secs(599));
    let batch = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(batch.processing_status, ProcessingStatus::InProgress);
    assert_eq!(
        (
            batch.request_counts.processing,
            batch.request_counts.total()
        ),
        (50, 50)
    );
    assert!(matches!(
        desk.client.results(&batch).await,
        Err(Error::NotEnded)
    ));

    desk.clock.advance(Duration::from_secs(1));
    let batch = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(batch.processing_status, ProcessingStatus::Ended);
    assert_eq!(
        (batch.request_counts.succeeded, batch.request_counts.total()),
        (50, 50)
    );
    assert_eq!(batch.ended_at, Some(desk.clock.now()));

    let lines = desk.results(&batch).await;
    let ids: Vec<String> = lines
        .iter()
        .map(|line| ResultLine::parse(line).unwrap().custom_id.into_owned())
        .collect();
    assert_ne!(ids[..3], ["i0", "i1", "i2"], "the order is shuffled");
    let read = read(&lines);
    assert_eq!(read.len(), 50);
    assert!(read.contains(&("i7".to_owned(), "Fox number 7 jumps. It rests.".to_owned())));

    // The journal says what the lines say.
    let journal = desk.standin.journal().unwrap();
    assert_eq!(journal.len(), 50);
    for (line, entry) in lines.iter().zip(&journal) {
        let line = ResultLine::parse(line).unwrap();
        let ResultKind::Succeeded(message) = &line.result else {
            panic!()
        };
        assert_eq!(entry.custom_id.as_deref(), Some(line.custom_id.as_ref()));
        assert_eq!(entry.batch_id.as_ref(), Some(&batch.id));
        assert_eq!(entry.usage, message.usage);
        assert_eq!(entry.usage.service_tier, Some(ServiceTier::Batch));
    }
    assert_eq!(
        desk.results(&batch).await,
        lines,
        "a second download is the same"
    );
    assert_eq!(desk.standin.journal().unwrap().len(), 50);
}

#[tokio::test]
async fn a_big_batch_is_ended_beside_the_requests() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(1500)).await;
    let batch = desk.end(&batch.id).await;
    assert_eq!(batch.request_counts.succeeded, 1500);
    assert_eq!(desk.results(&batch).await.len(), 1500);
}

#[tokio::test]
async fn pages_in_both_directions() {
    let desk = Desk::start().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.insert(0, desk.create(&items(1)).await.id);
    }
    let mut forward = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = desk
            .client
            .batches(3, after.as_deref(), None)
            .await
            .unwrap()
            .value;
        assert_eq!(
            page.first_id.as_ref(),
            page.data.first().map(|batch| &batch.id)
        );
        forward.extend(page.data.into_iter().map(|batch| batch.id));
        if !page.has_more {
            break;
        }
        after = page.last_id;
    }
    assert_eq!(forward, ids);

    let page = desk
        .client
        .batches(3, None, Some(&ids[6]))
        .await
        .unwrap()
        .value;
    let seen: Vec<&String> = page.data.iter().map(|batch| &batch.id).collect();
    assert_eq!(seen, [&ids[3], &ids[4], &ids[5]]);
    assert!(page.has_more);
    let page = desk
        .client
        .batches(3, None, page.first_id.as_deref())
        .await
        .unwrap()
        .value;
    let seen: Vec<&String> = page.data.iter().map(|batch| &batch.id).collect();
    assert_eq!(seen, [&ids[0], &ids[1], &ids[2]]);
    assert!(!page.has_more);
}

#[tokio::test]
async fn another_workspace_sees_nothing() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(2)).await;
    let batch = desk.end(&batch.id).await;
    let stranger = client(&desk.base, "sk-ant-two");
    assert!(
        stranger
            .batches(20, None, None)
            .await
            .unwrap()
            .value
            .data
            .is_empty()
    );
    for error in [
        stranger.batch(&batch.id).await.unwrap_err(),
        stranger.results(&batch).await.unwrap_err(),
        stranger.cancel_batch(&batch.id).await.unwrap_err(),
        stranger.delete_batch(&batch.id).await.unwrap_err(),
    ] {
        assert_eq!(of_read(&error), Reading::Missing, "{error:?}");
    }
}

#[tokio::test]
async fn cancel_keeps_what_was_done() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(200)).await;
    desk.clock.advance(Duration::from_mins(5));
    let batch = desk.client.cancel_batch(&batch.id).await.unwrap();
    assert_eq!(batch.processing_status, ProcessingStatus::Canceling);
    let again = desk.client.cancel_batch(&batch.id).await.unwrap();
    assert_eq!(again, batch, "canceling twice changes nothing");

    let batch = desk.end(&batch.id).await;
    assert_eq!(batch.processing_status, ProcessingStatus::Ended);
    assert_eq!(batch.cancel_initiated_at, again.cancel_initiated_at);
    let counts = batch.request_counts;
    assert!(counts.succeeded > 50 && counts.canceled > 50, "{counts:?}");
    assert_eq!(counts.total(), 200);
    let canceled = read(&desk.results(&batch).await)
        .iter()
        .filter(|(_, how)| how == "canceled")
        .count();
    assert_eq!(canceled as u64, counts.canceled);
    assert_eq!(
        desk.standin.journal().unwrap().len() as u64,
        counts.succeeded
    );
    assert_eq!(
        of_read(&desk.client.cancel_batch(&batch.id).await.unwrap_err()),
        Reading::Invalid
    );
}

#[tokio::test]
async fn a_day_expires_and_29_days_archive() {
    let desk = Desk::with(|options| {
        options.turnaround = 2 * DAY..2 * DAY;
    })
    .await;
    let batch = desk.create(&items(100)).await;
    desk.clock.advance(Duration::from_secs(86_399));
    let waiting = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(waiting.processing_status, ProcessingStatus::InProgress);
    desk.clock.advance(Duration::from_secs(1));
    let ended = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(ended.ended_at, Some(batch.expires_at));
    assert!(
        ended.request_counts.expired > 20,
        "{:?}",
        ended.request_counts
    );
    assert_eq!(ended.request_counts.total(), 100);
    assert!(
        read(&desk.results(&ended).await)
            .iter()
            .any(|(_, how)| how == "expired")
    );

    desk.clock.advance(28 * DAY);
    let archived = desk.client.batch(&batch.id).await.unwrap();
    assert_eq!(archived.archived_at, Some(batch.created_at + 29 * DAY));
    assert_eq!(archived.results_url, None);
    assert_eq!(
        of_read(&desk.client.results(&ended).await.unwrap_err()),
        Reading::Missing
    );
}

#[tokio::test]
async fn delete_needs_the_end() {
    let desk = Desk::start().await;
    let older = desk.create(&[item("a", "Foxes jump.")]).await;
    let newer = desk.create(&[item("b", "Foxes jump.")]).await;
    assert_eq!(
        of_read(&desk.client.delete_batch(&newer.id).await.unwrap_err()),
        Reading::Invalid
    );
    let ended = desk.end(&newer.id).await;
    desk.client.delete_batch(&newer.id).await.unwrap();
    for error in [
        desk.client.batch(&newer.id).await.unwrap_err(),
        desk.client.results(&ended).await.unwrap_err(),
        desk.client.delete_batch(&newer.id).await.unwrap_err(),
    ] {
        assert_eq!(of_read(&error), Reading::Missing, "{error:?}");
    }
    // It still marks its place in the list, and what was billed stays billed.
    let page = desk
        .client
        .batches(20, Some(&newer.id), None)
        .await
        .unwrap()
        .value;
    assert_eq!(
        page.data.iter().map(|batch| &batch.id).collect::<Vec<_>>(),
        [&older.id]
    );
    assert_eq!(desk.standin.journal().unwrap().len(), 2);
}
