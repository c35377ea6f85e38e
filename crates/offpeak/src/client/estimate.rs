//! `offpeak estimate`: prices documents, jobs or a log of calls in each lane,
//! before anything is spent. It works without a server and without a key; what
//! a server has adds a tenant's own job types, and how long their answers were.
//!
//! Nothing is sent anywhere, and of what is read only sums and hashes are kept.

mod html;
mod line;
mod moment;
mod page;
mod reading;
mod report;
mod types;

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use offpeak_domain::estimate::Assumed;
use offpeak_domain::price::Prices;
use serde_json::Value;
use time::{Date, OffsetDateTime};

use super::form::{Filled, Form};
use super::progress::Progress;
use super::{Client, Connection, input};
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, visible};

pub(crate) use self::reading::Reading;
pub(crate) use self::report::Report;
pub(crate) use self::types::Types;

/// Bytes between two looks at the progress of a file.
const LOOK: u64 = 1 << 20;

/// Arguments of `estimate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  offpeak estimate docs/ --type summarize
  offpeak estimate jobs.ndjson
  offpeak estimate november.jsonl --urgent 35% --html november.html

Lines may be jobs as `submit` takes them, or calls as your own log has them:
  {\"request\": {…}, \"response\": {\"model\": …, \"usage\": {…}}, \"timestamp\": …}
  {\"params\": {…}, \"usage\": {…}}, or a Messages request with its usage beside")]
pub(crate) struct Args {
    /// With --type: files, folders or globs, one job each. Without: NDJSON, one job or one logged
    /// call a line; `-` for stdin
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    form: Form,
    /// How much of it cannot wait, and goes at once at the full price
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = share)]
    urgent: u8,
    /// The length of every answer that was not logged, in tokens
    #[arg(long, value_name = "N")]
    output_tokens: Option<u64>,
    /// Write a page for whoever decides: one file, which prints well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs it.
pub(crate) async fn run(
    args: Args,
    prices: Prices,
    connection: Option<Connection>,
    output: Output,
) -> Ended {
    let client = connection.map(Client::new).transpose()?;
    let types = Types::load(client.as_ref(), output).await?;
    let mut reading = Reading::new(prices, types, today(), args.output_tokens);
    if args.form.is_said() {
        let filled = args.form.read().map_err(Failure::usage)?;
        documents(&args, &filled, &mut reading, output).await?;
    } else {
        lines(&args, &mut reading, output)?;
    }
    for fault in &reading.faults {
        output.talk(&format!("left out {fault}"));
    }
    let told = reading.faults.len() as u64;
    if reading.left_out > told {
        output.talk(&format!("and {} more", reading.left_out - told));
    }
    let assumed = Assumed {
        urgent: args.urgent,
        ..Assumed::default()
    };
    let report = Report::of(&reading, assumed);
    if report.requests == 0 {
        return Err(Failure::usage(nothing(&args, &report)));
    }
    if let Some(file) = &args.html {
        let page = html::page(&report, today());
        std::fs::write(file, page)
            .with_context(|| format!("cannot write {}", visible::path(file)))
            .map_err(Failure::usage)?;
    }
    if output.json {
        output.value(&report)?;
    } else {
        page::print(&report, output)?;
    }
    let whole = report.left_out == 0 && report.unknown_models.is_empty();
    Ok(if whole { Exit::Ok } else { Exit::SomeFailed })
}

/// Each file is one job of a type.
async fn documents(
    args: &Args,
    filled: &Filled,
    reading: &mut Reading,
    output: Output,
) -> Result<(), Failure> {
    let known = reading.check_type(&filled.job_type);
    known.map_err(|reason| Failure::usage(anyhow::anyhow!(reason)))?;
    let files = input::find(&args.paths).map_err(Failure::usage)?;
    let mut progress = progress(output);
    for (at, file) in files.iter().enumerate() {
        let done = match filled.input(file).await {
            Ok(input) => reading.job(&filled.job_type, &Value::Object(input)),
            Err(reason) => Err(format!("{reason:#}")),
        };
        if let Err(reason) = done {
            reading.fault(file, None, &reason);
        }
        progress.at(at as u64 + 1, files.len() as u64, "files");
    }
    Ok(())
}

/// Each line of each file is a job or a call.
fn lines(args: &Args, reading: &mut Reading, output: Output) -> Result<(), Failure> {
    if args.paths.iter().any(|path| path == Path::new("-")) {
        if args.paths.len() > 1 {
            return Err(Failure::usage(anyhow::anyhow!(
                "`-` (NDJSON on stdin) stands alone: name either it or files"
            )));
        }
        let mut stdin = std::io::stdin().lock();
        return stream(&mut stdin, Path::new("stdin"), 0, reading, output);
    }
    for file in input::find(&args.paths).map_err(Failure::usage)? {
        let cannot = || format!("cannot read {}", visible::path(&file));
        let opened = File::open(&file)
            .with_context(cannot)
            .map_err(Failure::usage)?;
        let length = opened.metadata().map_or(0, |facts| facts.len());
        let mut from = BufReader::with_capacity(1 << 20, opened);
        document(&mut from, &file).map_err(Failure::usage)?;
        stream(&mut from, &file, length, reading, output)?;
    }
    Ok(())
}

/// A file that begins like no JSON is a document, and the mistake is another one
/// than a fault in each of its lines.
fn document(from: &mut impl BufRead, file: &Path) -> anyhow::Result<()> {
    let shown = visible::path(file);
    let start = from
        .fill_buf()
        .with_context(|| format!("cannot read {shown}"))?;
    let first = start
        .trim_ascii_start()
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start);
    match first.trim_ascii_start().first() {
        None | Some(b'{') => Ok(()),
        Some(b'[') => anyhow::bail!(
            "{shown}, line 1: is a JSON array, and one job or call a line is expected (`jq -c '.[]'` \
             makes that of it)"
        ),
        Some(_) => anyhow::bail!(
            "{shown}, line 1: is not JSON; for documents say which job type they are for: --type \
             summarize"
        ),
    }
}

fn stream(
    from: &mut dyn BufRead,
    file: &Path,
    length: u64,
    reading: &mut Reading,
    output: Output,
) -> Result<(), Failure> {
    let mut progress = progress(output);
    let (mut read, mut looked) = (0, 0);
    let mut told = |reading: &Reading, bytes: u64| {
        read += bytes;
        if read - looked >= LOOK {
            looked = read;
            let text = format!("MB, {}", report::requests(reading.calls));
            progress.at(read >> 20, length.max(read) >> 20, &text);
        }
    };
    reading
        .lines(from, file, &mut told)
        .with_context(|| format!("cannot read {}", visible::path(file)))
        .map_err(Failure::usage)
}

/// A bar on a terminal, and nothing elsewhere: it is over soon.
fn progress(output: Output) -> Progress {
    Progress::new(output.json || !std::io::stderr().is_terminal())
}

fn nothing(args: &Args, report: &Report) -> anyhow::Error {
    let paths: Vec<String> = args.paths.iter().map(|path| visible::path(path)).collect();
    let mut why = format!("there is nothing to price in {}", paths.join(", "));
    let unpriced: Vec<String> = report
        .unknown_models
        .iter()
        .map(|one| format!("{:?} ({})", one.model, report::requests(one.requests)))
        .collect();
    if !unpriced.is_empty() {
        why = format!("{why}: no price is known for {}", unpriced.join(", "));
    } else if report.left_out > 0 {
        why.push_str(": all of it was left out");
    } else if report.unbilled > 0 {
        why.push_str(": every call ended in an error, which is not billed");
    } else {
        why.push_str(": it is empty");
    }
    anyhow::anyhow!(why)
}

/// `35%` or `35`.
fn share(text: &str) -> Result<u8, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    number
        .parse()
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "a share from 0% to 100%, such as 35%".to_owned())
}

/// The day whose prices hold for what is still to be done.
#[expect(
    clippy::disallowed_methods,
    reason = "there need be no server whose clock could be asked"
)]
fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_in_percent() {
        assert_eq!(share("35%"), Ok(35));
        assert_eq!(share("100"), Ok(100));
        for wrong in ["101", "-1", "0.35", "a", ""] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
