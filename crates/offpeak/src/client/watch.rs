//! `offpeak watch`: follows a group or a job until it has ended.
//!
//! It only looks. A server that restarts meanwhile is waited for.

use std::time::Duration;

use offpeak_wire::{Group, Job, JobState};
use serde::de::DeserializeOwned;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::http::{Client, Error, escape};
use super::ids::{self, Kind};
use super::progress::{Progress, states};
use crate::exit::{Ended, Exit};
use crate::output::{Output, sums, word};

const LOOK: Duration = Duration::from_secs(1);
/// Looks without an answer before it is given up: a restart takes less.
const PATIENCE: u32 = 60;

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 1 when a job failed, or when nothing but canceled jobs is left."
)]
pub struct Args {
    /// `grp_…` or `job_…`
    id: String,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    follow(client, &args.id, output).await
}

/// Follows it, shows how it ended, and says so in the exit code.
pub(super) async fn follow(client: &Client, id: &str, output: Output) -> Ended {
    let kind = ids::either(id)?;
    let mut progress = Progress::new(output.json);
    let ended = async {
        if kind == Kind::Job {
            job(client, id, &mut progress, output).await
        } else {
            group(client, id, &mut progress, output).await
        }
    };
    tokio::select! {
        ended = ended => ended,
        _ = tokio::signal::ctrl_c() => {
            let what = if kind == Kind::Job { "job" } else { "group" };
            output.talk(&format!("the {what} goes on; pick it up with `offpeak watch {id}`"));
            Ok(Exit::Interrupted)
        }
    }
}

async fn group(client: &Client, id: &str, progress: &mut Progress, output: Output) -> Ended {
    let group = until_done(client, id, progress).await?;
    progress.clear();
    if output.json {
        output.value(&group)?;
    } else {
        output.line(&format!("{}: {}", group.id, states(&group)))?;
        let [cost, sync, saved] = sums(&group.cost, &group.cost_sync, &group.saved);
        output.line(&format!("{cost}, synchronously {sync}, saved {saved}"))?;
    }
    let counts = &group.counts;
    let none_left = counts.canceled > 0 && counts.completed == 0;
    Ok(if counts.failed > 0 || none_left {
        Exit::SomeFailed
    } else {
        Exit::Ok
    })
}

async fn job(client: &Client, id: &str, progress: &mut Progress, output: Output) -> Ended {
    let path = format!("/v1/jobs/{}", escape(id));
    let ended = |job: &Job| {
        matches!(
            job.state,
            JobState::Completed | JobState::Failed | JobState::Canceled
        )
    };
    let mut looks = looks();
    let job: Job = loop {
        looks.tick().await;
        let job: Job = patiently(client, &path, progress, &mut looks).await?;
        let done = ended(&job);
        progress.at(u64::from(done), 1, &word(&job.state));
        if done {
            break job;
        }
    };
    progress.clear();
    super::jobs::show_line(&job, output)?;
    Ok(if job.state == JobState::Completed {
        Exit::Ok
    } else {
        Exit::SomeFailed
    })
}

/// Looks at a group until it is done, through restarts of the server.
pub async fn until_done(
    client: &Client,
    id: &str,
    progress: &mut Progress,
) -> Result<Group, Error> {
    let path = format!("/v1/groups/{}", escape(id));
    let mut looks = looks();
    loop {
        looks.tick().await;
        let group: Group = patiently(client, &path, progress, &mut looks).await?;
        progress.group(&group);
        if group.done {
            return Ok(group);
        }
    }
}

async fn patiently<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    progress: &Progress,
    looks: &mut Interval,
) -> Result<T, Error> {
    let mut misses = 0;
    loop {
        match client.get(path).await {
            Err(error) if error.is_passing() && misses < PATIENCE => {
                if misses == 0 {
                    progress.say(&format!("{error}; still trying"));
                }
                misses += 1;
                looks.tick().await;
            }
            answer => return answer,
        }
    }
}

fn looks() -> Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
