//! `offpeak retry`: of failed or canceled jobs, alone or by group.

use offpeak_wire::{Job, Retried};

use super::http::{Client, escape};
use super::ids::{self, Kind};
use crate::exit::{Ended, Exit};
use crate::output::{Output, jobs};

/// Arguments of `retry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `job_…` or `grp_…`
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let kinds: Vec<Kind> = args
        .ids
        .iter()
        .map(|id| ids::either(id))
        .collect::<Result<_, _>>()?;
    for (id, kind) in args.ids.iter().zip(kinds) {
        if kind == Kind::Group {
            let done: Retried = client
                .post(&format!("/v1/groups/{}/retry", escape(id)))
                .await?;
            if output.json {
                output.value(&done)?;
            } else {
                output.line(&format!("{id}: {} queued again", jobs(done.retried)))?;
            }
            if done.in_flight > 0 {
                output.talk(&format!(
                    "still at Anthropic, left as they are: {}",
                    jobs(done.in_flight)
                ));
            }
        } else {
            let job: Job = client
                .post(&format!("/v1/jobs/{}/retry", escape(id)))
                .await?;
            super::jobs::show_line(&job, output)?;
        }
    }
    Ok(Exit::Ok)
}
