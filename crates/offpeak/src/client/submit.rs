//! `offpeak submit`: one bulk stream, built file by file as it is sent.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use offpeak_wire::{BulkAnswer, JobRequest, OnLate, Priority};
use rand::RngExt as _;
use reqwest::{Body, Method};
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::io::ReaderStream;

use super::form::{Filled, Form};
use super::http::{Client, Error, encode, escape};
use super::progress::Progress;
use super::{faults, input};
use crate::entropy;
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, count, visible};

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  offpeak submit docs/ --type summarize --watch
  offpeak submit 'mails/**/*.txt' --type classify --set-json 'categories=[\"spam\",\"other\"]'
  offpeak submit - < jobs.ndjson")]
pub struct Args {
    /// Files, folders or globs, one job each; or `-` for NDJSON on stdin, one job a line
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    form: Form,
    /// An opaque label for whoever the work is for
    #[arg(long)]
    user: Option<String>,
    /// A name for the group
    #[arg(long)]
    name: Option<String>,
    /// low, normal or high
    #[arg(long, value_parser = priority)]
    priority: Option<Priority>,
    /// How soon the answers are wanted, such as 30s or 2h
    #[arg(long, value_name = "TIME")]
    deliver_within: Option<String>,
    /// What is done when they would be late: wait, escalate or fail
    #[arg(long, value_name = "POLICY", value_parser = on_late, requires = "deliver_within")]
    on_late: Option<OnLate>,
    /// Keep the good lines when some are bad
    #[arg(long)]
    partial: bool,
    /// Follow the group until it has ended
    #[arg(long)]
    watch: bool,
    /// Go on with an upload that was cut off: the key that it printed
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// What a submit sent and what it left out.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// What the server said.
    pub answer: BulkAnswer,
    /// Files left out.
    pub left_out: u64,
    /// The file of each line that was sent; none for lines from stdin.
    files: Vec<PathBuf>,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let key = match &args.idempotency_key {
        Some(key) => key.clone(),
        None => fresh_key().map_err(Failure::usage)?,
    };
    let sending = send(&args, client, output, &key);
    let submitted = tokio::select! {
        submitted = sending => submitted,
        _ = tokio::signal::ctrl_c() => {
            output.talk(&format!("stopped before the server had taken it all. {}", resume(&key)));
            return Ok(Exit::Interrupted);
        }
    };
    let submitted = match submitted {
        Ok(submitted) => submitted,
        Err(failure) => {
            if failure
                .error
                .downcast_ref::<Error>()
                .is_some_and(Error::is_passing)
            {
                output.talk(&resume(&key));
            }
            return Err(failure);
        }
    };

    let BulkAnswer {
        group,
        jobs,
        skipped,
        ..
    } = &submitted.answer;
    for fault in faults::fold(&submitted.answer.errors, &submitted.files) {
        output.talk(&format!("skipped {fault}"));
    }
    let again = if submitted.answer.replayed {
        ", submitted before"
    } else {
        ""
    };
    output.talk(&format!("{} accepted{again}", crate::output::jobs(*jobs)));
    let left_out = submitted.left_out > 0 || *skipped > 0;
    if output.json {
        if !args.watch {
            output.value(&submitted.answer)?;
        }
    } else {
        output.line(group)?;
    }
    let ended = if args.watch {
        super::watch::follow(client, group, output).await?
    } else {
        output.talk(&format!("follow them with `offpeak watch {group}`"));
        Exit::Ok
    };
    Ok(if ended == Exit::Ok && left_out {
        Exit::SomeFailed
    } else {
        ended
    })
}

async fn send(
    args: &Args,
    client: &Client,
    output: Output,
    key: &str,
) -> Result<Submitted, Failure> {
    if args.paths.iter().any(|path| path == Path::new("-")) {
        if args.paths.len() > 1 {
            return Err(Failure::usage(anyhow::anyhow!(
                "`-` (NDJSON on stdin) stands alone: name either it or files"
            )));
        }
        if args.form.is_said() {
            return Err(Failure::usage(anyhow::anyhow!(
                "a line of NDJSON is a whole job: --type, --set and --set-json go with files"
            )));
        }
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(Failure::usage)?;
        let file = tokio::fs::File::from_std(std::fs::File::from(stdin));
        let lines = ReaderStream::with_capacity(file, 64 << 10);
        let answer = upload(client, lines, args.name.as_deref(), args.partial, key).await?;
        return Ok(Submitted {
            answer,
            left_out: 0,
            files: Vec::new(),
        });
    }
    let shape = Shape::of(args).map_err(Failure::usage)?;
    let files = input::find(&args.paths).map_err(Failure::usage)?;
    known(client, &shape.filled.job_type).await?;
    let all = files.len() as u64;
    let report = Arc::new(Mutex::new(Report {
        progress: Progress::new(output.json),
        sent: Vec::new(),
        left_out: 0,
    }));
    let teller = Arc::clone(&report);
    let lines =
        stream::iter(files.into_iter().map(Ok::<_, std::io::Error>)).filter_map(move |file| {
            let (shape, teller) = (shape.clone(), Arc::clone(&teller));
            async move {
                let Ok(file) = file else { return None };
                let line = shape.line(&file).await;
                let mut report = teller.lock().unwrap_or_else(PoisonError::into_inner);
                let line = match line {
                    Ok(line) => {
                        report.sent.push(file);
                        Some(Ok::<_, std::io::Error>(line))
                    }
                    Err(reason) => {
                        report.left_out += 1;
                        report
                            .progress
                            .say(&format!("left out {}: {reason:#}", visible::path(&file)));
                        None
                    }
                };
                report.tell(all);
                line
            }
        });
    let answer = upload(client, lines, args.name.as_deref(), args.partial, key).await;
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    report.progress.clear();
    if report.left_out > 0 && report.sent.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!("no file could be sent")));
    }
    let answer = match answer {
        Err(Error::Refused(problem)) if !output.json && !problem.errors.is_empty() => {
            return Err(Failure::server(faults::refusal(&problem, &report.sent)));
        }
        answer => answer?,
    };
    Ok(Submitted {
        answer,
        left_out: report.left_out,
        files: std::mem::take(&mut report.sent),
    })
}

/// A job type that is not there is found before the files are read.
async fn known(client: &Client, name: &str) -> Result<(), Failure> {
    let path = format!("/v1/job-types/{}", escape(name));
    match client.get::<IgnoredAny>(&path).await {
        Err(Error::Refused(problem)) if problem.status == 404 => {
            Err(Failure::usage(anyhow::anyhow!(
                "there is no job type {name:?}: `offpeak types` lists those that there are"
            )))
        }
        answer => Ok(answer.map(drop)?),
    }
}

struct Report {
    progress: Progress,
    sent: Vec<PathBuf>,
    left_out: u64,
}

impl Report {
    fn tell(&mut self, all: u64) {
        let sent = self.sent.len() as u64;
        let text = match self.left_out {
            0 => "sent".to_owned(),
            left_out => format!("{} sent, {} left out", count(sent), count(left_out)),
        };
        self.progress.at(sent + self.left_out, all, &text);
    }
}

/// What every line has in common.
#[derive(Clone, Debug)]
struct Shape {
    filled: Filled,
    user: Option<String>,
    priority: Option<Priority>,
    deliver_within: Option<String>,
    on_late: Option<OnLate>,
}

impl Shape {
    fn of(args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            filled: args.form.read()?,
            user: args.user.clone(),
            priority: args.priority,
            deliver_within: args.deliver_within.clone(),
            on_late: args.on_late,
        })
    }

    /// The job of one file, with the newline.
    async fn line(&self, file: &Path) -> anyhow::Result<Bytes> {
        let input = self.filled.input(file).await?;
        line(&JobRequest {
            r#type: Some(self.filled.job_type.clone()),
            input: Some(to_raw_value(&input)?),
            user: self.user.clone(),
            priority: self.priority,
            deliver_within: self.deliver_within.clone(),
            on_late: self.on_late,
            metadata: Some(metadata(file)?),
            ..JobRequest::default()
        })
    }
}

/// A job as a line of NDJSON.
pub(crate) fn line(job: &JobRequest) -> anyhow::Result<Bytes> {
    let mut line = serde_json::to_vec(job)?;
    line.push(b'\n');
    Ok(Bytes::from(line))
}

fn metadata(file: &Path) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(&serde_json::json!({ "file": file.to_string_lossy() }))
}

/// Sends lines as one group.
pub async fn upload<E>(
    client: &Client,
    lines: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    name: Option<&str>,
    partial: bool,
    key: &str,
) -> Result<BulkAnswer, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut query = Vec::new();
    query.extend(name.map(|name| ("name", name.to_owned())));
    query.extend(partial.then(|| ("partial", "true".to_owned())));
    let request = client
        .request(Method::POST, &format!("/v1/jobs/bulk?{}", encode(&query)))
        .header("content-type", "application/x-ndjson")
        .header("idempotency-key", key)
        .body(Body::wrap_stream(lines));
    client.read(request).await
}

/// A key that no other run has.
pub(crate) fn fresh_key() -> anyhow::Result<String> {
    Ok(format!("cli-{:032x}", entropy::source()?.random::<u128>()))
}

fn resume(key: &str) -> String {
    format!(
        "To go on where it stopped, repeat the same command within the hour with \
         --idempotency-key {key}"
    )
}

fn priority(text: &str) -> Result<Priority, String> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| "low, normal or high".to_owned())
}

fn on_late(text: &str) -> Result<OnLate, String> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| "wait, escalate or fail".to_owned())
}
