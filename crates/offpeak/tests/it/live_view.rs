//! Mode `view`: what a screen shows comes to its last state.

#![expect(clippy::panic, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;

use anyhow::Result;
use offpeak_wire::live::{Frame, JobRow};
use offpeak_wire::{BatchState, Counts, JobState, OperationState};
use offpeak_worker::Loop;
use serde_json::json;
use tokio::time::timeout;

use crate::api::{Api, raw_job};
use crate::live::{Live, SOON, relay};

/// What a page keeps of the frames.
#[derive(Default)]
struct Screen {
    jobs: BTreeMap<String, JobRow>,
    batches: BTreeMap<String, BatchState>,
    operations: BTreeMap<String, OperationState>,
    counts: Option<Counts>,
    groups: BTreeMap<String, Counts>,
    billed: u64,
}

impl Screen {
    /// Takes frames in until it shows what it should.
    async fn until(&mut self, live: &mut Live, shows: impl Fn(&Self) -> bool) -> Result<()> {
        timeout(SOON, async {
            while !shows(self) {
                self.take(live.frame().await?);
            }
            anyhow::Ok(())
        })
        .await?
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Rows {
                jobs,
                batches,
                operations,
                ..
            } => {
                for row in jobs {
                    let newer = self.jobs.get(&row.id).is_none_or(|old| old.rev < row.rev);
                    if newer {
                        self.jobs.insert(row.id.clone(), row);
                    }
                }
                self.batches
                    .extend(batches.into_iter().map(|row| (row.id, row.state)));
                self.operations
                    .extend(operations.into_iter().map(|row| (row.id, row.state)));
            }
            Frame::Counts {
                jobs,
                groups,
                usage,
            } => {
                self.counts = jobs;
                self.groups = groups;
                self.billed = usage.map_or(0, |usage| usage.attempts);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_rows_batches_and_counts_end_right() -> Result<()> {
    let mut api = Api::new().await?;
    let group = api
        .post("/v1/jobs/bulk", format!("{}\n", raw_job("in a group")))
        .await?
        .at("/group");
    let watched = api.post("/v1/jobs", raw_job("watched")).await?.at("/id");
    let other = api
        .post("/v1/jobs", raw_job("not watched"))
        .await?
        .at("/id");
    relay(&api).await?;
    let topics = ["jobs", "batches", "usage", &format!("group:{group}")];
    let hello = json!({"t": "hello", "mode": "view", "topics": topics});
    let (mut live, _) = Live::open(&api, hello).await?;
    live.say(json!({"t": "watch", "jobs": [watched]})).await?;
    let mut screen = Screen::default();
    // What is watched is read at once, and what is counted.
    screen
        .until(&mut live, |screen| {
            let queued = screen.counts.map(|counts| counts.queued);
            screen.jobs.contains_key(&watched) && queued == Some(3)
        })
        .await?;
    api.world.run_out().await?;
    relay(&api).await?;
    let all = Counts {
        completed: 3,
        ..Counts::default()
    };
    let one = Counts {
        completed: 1,
        ..Counts::default()
    };
    screen
        .until(&mut live, |screen| {
            let row = screen.jobs.get(&watched);
            let done = row.is_some_and(|row| row.state == JobState::Completed);
            let ingested = |state: &BatchState| *state == BatchState::Ingested;
            done && screen.counts == Some(all)
                && screen.groups.get(&group) == Some(&one)
                && screen.billed == 3
                && !screen.batches.is_empty()
                && screen.batches.values().all(ingested)
        })
        .await?;
    assert!(screen.jobs[&watched].cost.is_some());
    assert!(!screen.jobs.contains_key(&other));
    // The job of the group came by its topic.
    assert_eq!(screen.jobs.len(), 2);
    // What ended before it was watched is read, too.
    live.say(json!({"t": "watch", "jobs": [other]})).await?;
    screen
        .until(&mut live, |screen| screen.jobs.contains_key(&other))
        .await?;
    assert_eq!(screen.jobs[&other].state, JobState::Completed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_heard_of_to_its_end() -> Result<()> {
    let api = Api::new().await?;
    api.post("/v1/jobs", raw_job("one")).await?;
    let hello = json!({"t": "hello", "mode": "view", "topics": ["jobs"]});
    let (mut live, _) = Live::open(&api, hello).await?;
    let mut screen = Screen::default();
    let all = json!({"action": "cancel", "all": true}).to_string();
    let id = api.post("/v1/operations", all).await?.at("/id");
    relay(&api).await?;
    let running = Some(&OperationState::Running);
    screen
        .until(&mut live, |screen| screen.operations.get(&id) == running)
        .await?;
    while api.world.worker.tick(Loop::Operate).await?.done > 0 {}
    relay(&api).await?;
    let done = Some(&OperationState::Done);
    screen
        .until(&mut live, |screen| screen.operations.get(&id) == done)
        .await
}
