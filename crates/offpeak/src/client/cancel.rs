//! `offpeak cancel`: of jobs and groups.

use offpeak_wire::{Canceled, Job};

use super::http::{Client, escape};
use super::ids::{self, Kind};
use crate::exit::{Ended, Exit};
use crate::output::{Output, jobs};

/// Arguments of `cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is already at Anthropic ends there and is paid.")]
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
            let done: Canceled = client
                .post(&format!("/v1/groups/{}/cancel", escape(id)))
                .await?;
            if output.json {
                output.value(&done)?;
            } else {
                output.line(&format!("{id}: {} canceled", jobs(done.canceled)))?;
            }
        } else {
            let job: Job = client
                .post(&format!("/v1/jobs/{}/cancel", escape(id)))
                .await?;
            super::jobs::show_line(&job, output)?;
        }
    }
    Ok(Exit::Ok)
}
