//! `offpeak results`: of a group as a stream, or of one job.

use std::fmt::Write as _;

use bytes::{Buf as _, BytesMut};
use offpeak_wire::{Group, JobResult, JobState};
use reqwest::Method;
use serde_json::value::RawValue;

use super::http::{Client, escape};
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, word};

/// Arguments of `results`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `grp_…` or `job_…`
    id: String,
    /// One JSON object a line, as the server sends them; the same as --json
    #[arg(long)]
    ndjson: bool,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let id = escape(&args.id);
    let raw = args.ndjson || output.json;
    if args.id.starts_with("job_") {
        let answer: Box<RawValue> = client.get(&format!("/v1/jobs/{id}/result")).await?;
        return show(answer.get().as_bytes(), raw, output);
    }
    let group: Group = client.get(&format!("/v1/groups/{id}")).await?;
    let mut exit = Exit::Ok;
    each(client, &id, |line| {
        if show(line, raw, output)? == Exit::SomeFailed {
            exit = Exit::SomeFailed;
        }
        Ok(())
    })
    .await?;
    if !group.done {
        let counts = group.counts;
        let open = counts.queued + counts.submitted + counts.processing;
        output.talk(&format!("{open} jobs of this group had not ended yet"));
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
    let mut answer = client.send(request).await?;
    let mut rest = BytesMut::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|cause| client.unreachable(cause))?
    {
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end);
            rest.advance(1);
            take(&line)?;
        }
    }
    if !rest.is_empty() {
        return Err(Failure::server(anyhow::anyhow!(
            "the stream of results broke off; repeat the command"
        )));
    }
    Ok(())
}

fn show(line: &[u8], raw: bool, output: Output) -> Ended {
    let result: JobResult = serde_json::from_slice(line)
        .map_err(|_| Failure::server(anyhow::anyhow!("a result that this version cannot read")))?;
    let exit = if result.state == JobState::Failed {
        Exit::SomeFailed
    } else {
        Exit::Ok
    };
    if raw {
        let mut line = line.to_vec();
        line.push(b'\n');
        output.bytes(&line)?;
        return Ok(exit);
    }
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
    output.line(heading.trim_end())?;
    if let Some(reason) = &result.reason {
        output.line(reason)?;
    }
    if let Some(text) = &result.text {
        output.line(text.trim_end())?;
    }
    output.line("")?;
    Ok(exit)
}

/// The file that `submit` noted in a job's metadata.
pub(super) fn file_in(metadata: &RawValue) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(metadata.get()).ok()?;
    value.get("file")?.as_str().map(str::to_owned)
}
