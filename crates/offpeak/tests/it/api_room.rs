//! What is answered when a tenant's queue or the disk is full.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::room::{Level, Queue, Storage};
use offpeak_store::room;
use offpeak_worker::{Loop, Options};
use reqwest::Method;

use crate::api::{Api, raw_job};

const KEY: (&str, &str) = ("idempotency-key", "upload-1");

fn lines(n: usize) -> String {
    (1..=n)
        .map(|i| raw_job(&format!("Text {i}.")) + "\n")
        .collect()
}

async fn limited(max_jobs: u64, max_bytes: u64) -> Result<Api> {
    Api::with_limits(Queue {
        max_jobs,
        max_bytes,
    })
    .await
}

async fn jobs(api: &Api) -> Result<i64> {
    api.world.number("SELECT count(*) FROM offpeak.job").await
}

#[tokio::test]
async fn a_full_queue_takes_no_single_job_until_some_have_left() -> Result<()> {
    let mut api = limited(3, 0).await?;
    for n in 0..3 {
        let taken = api
            .post_with(
                "/v1/jobs",
                ("idempotency-key", &n.to_string()),
                raw_job("a"),
            )
            .await?;
        assert_eq!(taken.status, 202, "{taken:?}");
    }
    let full = api.post("/v1/jobs", raw_job("d")).await?;
    assert_eq!(full.problem(), "429 too_many_queued_jobs");
    assert_eq!(full.header("retry-after"), "10");
    assert_eq!(jobs(&api).await?, 3);
    // What was taken before is still answered as before.
    let again = api
        .post_with("/v1/jobs", ("idempotency-key", "1"), raw_job("a"))
        .await?;
    assert_eq!(again.status, 200, "{again:?}");
    // Another tenant has a queue of its own.
    let (_, other) = api.tenant("globex").await?;
    let theirs = api
        .send(Method::POST, "/v1/jobs", &other, &[], raw_job("x"))
        .await?;
    assert_eq!(theirs.status, 202, "{theirs:?}");
    // And what has left makes room, also before anybody folds the counts.
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    api.again(Queue {
        max_jobs: 3,
        max_bytes: 0,
    })
    .await?;
    let taken = api.post("/v1/jobs", raw_job("d")).await?;
    assert_eq!(taken.status, 202, "{taken:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_submitted_again_under_its_key_takes_no_second_place() -> Result<()> {
    let api = limited(3, 0).await?;
    for status in [202, 200, 200, 200, 200] {
        let same = api
            .post_with("/v1/jobs", ("idempotency-key", "0"), raw_job("a"))
            .await?;
        assert_eq!(same.status, status, "{same:?}");
    }
    for _ in 0..2 {
        let taken = api.post("/v1/jobs", raw_job("b")).await?;
        assert_eq!(taken.status, 202, "{taken:?}");
    }
    let full = api.post("/v1/jobs", raw_job("c")).await?;
    assert_eq!(full.problem(), "429 too_many_queued_jobs");
    // Also then, the key stands for one body and no other.
    let other = api
        .post_with("/v1/jobs", ("idempotency-key", "0"), raw_job("c"))
        .await?;
    assert_eq!(other.problem(), "422 idempotency_key_reused");
    Ok(())
}

#[tokio::test]
async fn a_queue_full_of_bytes_says_so() -> Result<()> {
    let one = raw_job("a").len() as u64;
    let api = limited(0, one * 2).await?;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(api.post("/v1/jobs", raw_job("a")).await?);
    }
    let last = answers.pop().map(|answer| answer.problem());
    assert_eq!(last.as_deref(), Some("429 too_many_queued_bytes"));
    assert_eq!(answers[0].status, 202, "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn an_upload_beyond_the_limit_stores_nothing() -> Result<()> {
    let api = limited(1_500, 0).await?;
    let full = api.post("/v1/jobs/bulk", lines(2_500)).await?;
    assert_eq!(full.problem(), "429 too_many_queued_jobs");
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.ready")
            .await?,
        0
    );
    let dropped = "SELECT count(*) FROM offpeak.job_group WHERE dropped_at IS NOT NULL";
    assert_eq!(api.world.number(dropped).await?, 1, "tidied away later");
    assert_eq!(jobs(&api).await?, 1_000, "no more than a chunk was staged");
    let fits = api.post("/v1/jobs/bulk", lines(1_500)).await?;
    assert_eq!(fits.status, 202, "{fits:?}");
    // Now it is full, and that is said before a line is read.
    let full = api.post("/v1/jobs/bulk", "no JSON").await?;
    assert_eq!(full.problem(), "429 too_many_queued_jobs");
    Ok(())
}

#[tokio::test]
async fn an_upload_under_a_key_goes_on_when_there_is_room() -> Result<()> {
    let mut api = limited(1_500, 0).await?;
    let full = api.post_with("/v1/jobs/bulk", KEY, lines(2_500)).await?;
    assert_eq!(full.problem(), "429 too_many_queued_jobs");
    let staged = "SELECT coalesce(sum(staged_lines), 0)::bigint FROM offpeak.job_group
                   WHERE opened_at IS NULL AND dropped_at IS NULL";
    assert_eq!(api.world.number(staged).await?, 1_000);
    api.again(Queue::default()).await?;
    let taken = api.post_with("/v1/jobs/bulk", KEY, lines(2_500)).await?;
    assert_eq!((taken.status, taken.at("/jobs")), (202, "2500".into()));
    assert_eq!(jobs(&api).await?, 2_500, "the first thousand once");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_takes_no_jobs_and_at_last_reads_no_results() -> Result<()> {
    let mut api = Api::new().await?;
    let taken = api.post("/v1/jobs", raw_job("a")).await?;
    assert_eq!(taken.status, 202, "{taken:?}");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    api.world.pass(Duration::from_mins(2));

    // Any database is larger than this: far beyond the limit.
    let tiny = Options {
        storage: Storage {
            max_database_bytes: 1,
            min_free_bytes: 0,
        },
        ..Options::default()
    };
    api.world.expire_leases().await?;
    let _registry = api.world.one_upstream(tiny)?;
    api.world.worker.tick(Loop::Tend).await?;
    assert_eq!(room::measured(&api.world.system).await?.0, Level::Critical);
    api.again(Queue::default()).await?;
    for path in ["/v1/jobs", "/v1/jobs/bulk"] {
        let full = api.post(path, raw_job("b")).await?;
        assert_eq!(full.problem(), "503 storage_full", "{path}");
        assert_eq!(full.header("retry-after"), "60");
    }
    assert_eq!(api.get("/v1/jobs").await?.status, 200, "reading goes on");
    api.world.worker.tick(Loop::Poll).await?;
    api.world.worker.tick(Loop::Ingest).await?;
    let state = "SELECT state FROM offpeak.batch";
    assert_eq!(api.world.texts(state).await?, ["ended"], "results wait");

    // Room was made.
    api.world.expire_leases().await?;
    let _registry = api.world.one_upstream(Options::default())?;
    api.world.worker.tick(Loop::Tend).await?;
    assert_eq!(room::measured(&api.world.system).await?.0, Level::Ok);
    api.world.worker.tick(Loop::Ingest).await?;
    assert_eq!(api.world.texts(state).await?, ["ingested"]);
    api.again(Queue::default()).await?;
    assert_eq!(api.post("/v1/jobs", raw_job("b")).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn the_disk_below_the_data_folder_is_looked_at() -> Result<()> {
    let api = Api::new().await?;
    let folder = tempfile::tempdir()?;
    let measure = |min_free_bytes| {
        let (system, folder) = (api.world.system.clone(), folder.path().to_owned());
        async move {
            let limits = Storage {
                max_database_bytes: 0,
                min_free_bytes,
            };
            anyhow::Ok(room::measure(&system, limits, Some(&folder)).await?)
        }
    };
    assert_eq!(measure(1).await?, Level::Ok);
    assert_eq!(measure(u64::MAX).await?, Level::Critical);
    let free = "SELECT free_bytes FROM offpeak.storage";
    let free = u64::try_from(api.world.number(free).await?)?;
    assert_eq!(measure(free * 2).await?, Level::Full);
    Ok(())
}
