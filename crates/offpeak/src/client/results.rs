//! `offpeak results`: of a group as a stream, or of one job.

use std::fmt::Write as _;
use std::io;

use offpeak_wire::{Group, JobResult, JobState};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::{Client, escape};
use super::ids::{self, Kind};
use super::lines::Lines;
use super::pretend;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, jobs, visible, word};

/// Arguments of `results`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 1 when a job failed or jobs of the group have not ended yet."
)]
pub struct Args {
    /// `grp_…` or `job_…`
    id: String,
    /// One JSON object a line, as the server sends them; the same as --json
    #[arg(long)]
    ndjson: bool,
    /// Of a group: CSV, without Anthropic's messages
    #[arg(long, conflicts_with_all = ["ndjson", "json"])]
    csv: bool,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let id = escape(&args.id);
    let raw = args.ndjson || output.json;
    let mut shown = Shown::default();
    if ids::either(&args.id)? == Kind::Job {
        if args.csv {
            return Err(Failure::usage(anyhow::anyhow!(
                "--csv is for the results of a group: give a grp_… id, or leave it out"
            )));
        }
        let answer: Box<RawValue> = client.get(&format!("/v1/jobs/{id}/result")).await?;
        shown.show(answer.get().as_bytes(), raw, output)?;
        return Ok(shown.end(raw, output));
    }
    let group: Group = client.get(&format!("/v1/groups/{id}")).await?;
    if args.csv {
        client
            .copy(&format!("/v1/groups/{id}/results?format=csv"), output)
            .await?;
        shown.failed = group.counts.failed > 0;
    } else {
        each(client, &id, |line| shown.show(line, raw, output)).await?;
    }
    let exit = shown.end(raw || args.csv, output);
    if !group.done {
        let counts = group.counts;
        let open = counts.queued + counts.submitted + counts.processing;
        output.talk(&format!(
            "{} of this group had not ended yet; `offpeak watch {}` waits",
            jobs(open),
            args.id
        ));
        return Ok(Exit::SomeFailed);
    }
    Ok(exit)
}

/// Streams a group's results, line by line.
pub(crate) async fn each(
    client: &Client,
    group: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let request = client.request(Method::GET, &format!("/v1/groups/{group}/results"));
    let mut lines = Lines::of(client.send(request).await?);
    while let Some(line) = lines.next(client).await? {
        take(&line)?;
    }
    Ok(())
}

/// What the results shown so far come to.
#[derive(Debug, Default)]
struct Shown {
    failed: bool,
    standin: bool,
}

impl Shown {
    fn show(&mut self, line: &[u8], raw: bool, output: Output) -> Result<(), Failure> {
        let result: JobResult = serde_json::from_slice(line).map_err(|_| {
            Failure::server(anyhow::anyhow!("a result that this version cannot read"))
        })?;
        self.failed |= result.state == JobState::Failed;
        self.standin |= result.standin;
        if raw {
            let mut line = line.to_vec();
            line.push(b'\n');
            output.bytes(&line)?;
        } else {
            print(&result, output)?;
        }
        Ok(())
    }

    fn end(&self, raw: bool, output: Output) -> Exit {
        if self.standin && !raw {
            pretend::say(output);
        }
        if self.failed {
            Exit::SomeFailed
        } else {
            Exit::Ok
        }
    }
}

fn print(result: &JobResult, output: Output) -> io::Result<()> {
    let name = result.metadata.as_deref().and_then(file_in);
    let mut heading = format!("== {} ", name.as_deref().unwrap_or(&result.job));
    if result.state != JobState::Completed {
        let _ = write!(heading, "({}", word(&result.state));
        if let Some(label) = &result.label {
            let _ = write!(heading, ": {label}");
        }
        heading.push_str(") ");
    }
    if name.is_some() {
        let _ = write!(heading, "[{}] ", result.job);
    }
    output.line(&visible::line(heading.trim_end()))?;
    if let Some(reason) = &result.reason {
        output.line(&visible::line(reason))?;
    }
    if let Some(error) = &result.error {
        output.line(&format!("Anthropic: {}", visible::line(&cause(error))))?;
    }
    if let Some(text) = &result.text {
        output.answer(text.trim_end())?;
    }
    output.line("")
}

/// Anthropic's own words, out of its error as it came.
pub(super) fn cause(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Outer {
        error: Option<Inner>,
        #[serde(flatten)]
        itself: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        r#type: String,
        message: String,
    }
    let read = serde_json::from_str::<Outer>(error.get()).ok();
    match read.and_then(|outer| outer.error.or(outer.itself)) {
        Some(Inner {
            r#type: kind,
            message,
        }) => format!("{kind}: {message}"),
        None => error.get().to_owned(),
    }
}

/// The file that `submit` noted in a job's metadata.
pub(super) fn file_in(metadata: &RawValue) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(metadata.get()).ok()?;
    value.get("file")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_anthropics_words() {
        let told = |text: &str| cause(&RawValue::from_string(text.to_owned()).unwrap());
        let inner = r#"{"type":"invalid_request_error","message":"too long"}"#;
        assert_eq!(told(inner), "invalid_request_error: too long");
        assert_eq!(
            told(&format!(
                r#"{{"type":"error","error":{inner},"request_id":"r"}}"#
            )),
            "invalid_request_error: too long"
        );
        assert_eq!(told(r#"{"odd":1}"#), r#"{"odd":1}"#);
    }
}
