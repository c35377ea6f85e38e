//! `offpeak export`: everything that the tenant has, as the server sends it.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use offpeak_wire::{ExportKind, ExportLine};
use reqwest::Method;

use super::http::Client;
use super::lines::Lines;
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One JSON object a line: `kind` says what `data` is. Requests, results and \
                        people's names stand in it: keep it as safe as the server."
)]
pub struct Args {
    /// Where to write it; on the standard output without it. It must not exist yet
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    let request = client.request(Method::GET, "/v1/export");
    let answer = client.send(request).await?;
    let mut lines = Lines::of(answer);
    let mut file = args.out.as_deref().map(create).transpose()?;
    let (mut kinds, mut ended) = (0_u64, false);
    while let Some(mut line) = lines.next(client).await? {
        line.extend_from_slice(b"\n");
        match &mut file {
            Some(file) => file.write_all(&line)?,
            None => output.bytes(&line)?,
        }
        let read: ExportLine = serde_json::from_slice(&line).map_err(|_| {
            Failure::server(anyhow::anyhow!("a line that this version cannot read"))
        })?;
        ended = read.kind == ExportKind::End;
        kinds += 1;
    }
    if let Some(mut file) = file {
        file.flush()?;
    }
    if !ended {
        return Err(Failure::server(anyhow::anyhow!(
            "the export broke off after {kinds} lines: remove what was written and repeat the \
             command"
        )));
    }
    if let Some(path) = &args.out {
        output.talk(&format!("{kinds} lines in {}", path.display()));
    }
    Ok(Exit::Ok)
}

/// A file that only its owner may read: it holds all that the tenant has.
fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map(BufWriter::new).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AlreadyExists {
            ": give another name, or move it away"
        } else {
            ""
        };
        Failure::usage(anyhow::anyhow!("{}: {error}{hint}", path.display()))
    })
}
