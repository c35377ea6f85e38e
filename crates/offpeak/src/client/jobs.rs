//! `offpeak jobs`: a list, or one job.

use std::fmt::Write as _;

use offpeak_wire::{Job, JobResult, JobState};

use super::http::{Client, escape};
use super::ids;
use crate::exit::{Ended, Exit};
use crate::output::{Output, moment, money, word};

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `job_…`: show this one
    #[arg(conflicts_with_all = ["state", "group", "job_type", "user", "model", "limit"])]
    id: Option<String>,
    /// Only in this state; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only of this job type
    #[arg(long = "type", value_name = "NAME")]
    job_type: Option<String>,
    /// Only with this label
    #[arg(long)]
    user: Option<String>,
    /// Only for this model
    #[arg(long)]
    model: Option<String>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    if let Some(id) = &args.id {
        ids::job(id)?;
        let path = format!("/v1/jobs/{}", escape(id));
        let job: Job = client.get(&path).await?;
        if output.json {
            output.value(&job)?;
            return Ok(Exit::Ok);
        }
        let cause = if job.state == JobState::Failed {
            let result: JobResult = client.get(&format!("{path}/result")).await?;
            result.error.as_deref().map(super::results::cause)
        } else {
            None
        };
        show(&job, cause, output)?;
        return Ok(Exit::Ok);
    }
    if let Some(group) = &args.group {
        ids::group(group)?;
    }
    let mut query = Vec::new();
    if !args.state.is_empty() {
        query.push(("state", args.state.join(",")));
    }
    query.extend(args.group.map(|group| ("group", group)));
    query.extend(args.job_type.map(|name| ("type", name)));
    query.extend(args.user.map(|user| ("user", user)));
    query.extend(args.model.map(|model| ("model", model)));
    let jobs: Vec<Job> = client.list("/v1/jobs", &query, args.limit).await?;
    if output.json {
        output.value(&jobs)?;
        return Ok(Exit::Ok);
    }
    if jobs.is_empty() {
        output.talk("no jobs");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            vec![
                job.id.clone(),
                state(job),
                word(&job.lane),
                job.r#type.clone().unwrap_or_default(),
                job.model.clone(),
                moment(job.created_at),
                job.expected_by.map(moment).unwrap_or_default(),
                job.cost.as_deref().map(money).unwrap_or_default(),
                file_of(job),
            ]
        })
        .collect();
    output.table(
        &[
            "JOB",
            "STATE",
            "LANE",
            "TYPE",
            "MODEL",
            "CREATED (UTC)",
            "EXPECTED (UTC)",
            ">COST",
            "FILE",
        ],
        &rows,
    )?;
    Ok(Exit::Ok)
}

/// Prints a job on one line, or whole for programs.
pub(super) fn show_line(job: &Job, output: Output) -> std::io::Result<()> {
    if output.json {
        output.value(job)
    } else {
        output.line(&one_line(job))
    }
}

fn one_line(job: &Job) -> String {
    let mut text = format!("{}: {}", job.id, state(job));
    if let Some(reason) = &job.reason {
        let _ = write!(text, " ({reason})");
    }
    if let Some(cost) = &job.cost {
        let _ = write!(text, ", {}", money(cost));
    }
    text
}

fn state(job: &Job) -> String {
    let state = word(&job.state);
    match (&job.label, &job.detail) {
        (Some(label), _) => format!("{state}: {label}"),
        (None, Some(detail)) => format!("{state}: {}", word(detail)),
        (None, None) => state,
    }
}

fn show(job: &Job, cause: Option<String>, output: Output) -> std::io::Result<()> {
    let mut rows: Vec<(&str, String)> = vec![("job", job.id.clone()), ("state", state(job))];
    let mut put = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    put("reason", job.reason.clone());
    put("Anthropic", cause);
    put(
        "type",
        job.r#type.as_ref().map(|name| match job.type_version {
            Some(version) => format!("{name}, version {version}"),
            None => name.clone(),
        }),
    );
    put("model", Some(job.model.clone()));
    put("lane", Some(word(&job.lane)));
    put(
        "wanted within",
        job.deliver_within.as_ref().map(|within| match job.on_late {
            Some(policy) => format!("{within}, else {}", word(&policy)),
            None => within.clone(),
        }),
    );
    put("group", job.group.clone());
    put("batch", job.batch.clone());
    put("user", job.user.clone());
    put(
        "metadata",
        job.metadata
            .as_ref()
            .map(|metadata| metadata.get().to_owned()),
    );
    put("created", Some(moment(job.created_at)));
    put("deadline", job.deadline.map(moment));
    put("expected by", job.expected_by.map(moment));
    put("latest by", job.latest_by.map(moment));
    put("ended", job.ended_at.map(moment));
    put("attempt", Some(job.attempt.to_string()));
    put(
        "tokens",
        job.usage
            .map(|usage| format!("{} in, {} out", usage.input_tokens, usage.output_tokens)),
    );
    if let (Some(cost), Some(sync)) = (&job.cost, &job.cost_sync) {
        put("cost", Some(money(cost)));
        put("synchronously", Some(money(sync)));
    }
    output.pairs(&rows)
}

/// The file that `submit` noted.
fn file_of(job: &Job) -> String {
    job.metadata
        .as_deref()
        .and_then(super::results::file_in)
        .unwrap_or_default()
}
