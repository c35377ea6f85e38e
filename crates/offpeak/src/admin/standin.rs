//! `offpeak standin`: the stand-in alone, for other programs' tests.

use std::path::PathBuf;
use std::time::Duration;

use offpeak_standin::{Script, Standin};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::dev::run_standin;
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;
use crate::{engine, signals};

/// Arguments of `standin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: String,
    /// Where it keeps batches and journal (default: <data folder>/standin-alone)
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Shortest time of a batch, such as 2s
    #[arg(long, value_name = "TIME", value_parser = crate::config::length)]
    turnaround_min: Option<Duration>,
    /// Longest time of a batch
    #[arg(long, value_name = "TIME", value_parser = crate::config::length)]
    turnaround_max: Option<Duration>,
    /// What it is to do differently and what is to go wrong, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

pub(super) async fn run(args: Args, config: &Config, output: Output) -> Ended {
    let (min, max) = match (args.turnaround_min, args.turnaround_max) {
        (Some(min), Some(max)) => (min, max),
        // Named alone, each goes before the other's default.
        (Some(min), None) => (min, config.dev.turnaround_max.max(min)),
        (None, Some(max)) => (config.dev.turnaround_min.min(max), max),
        (None, None) => (config.dev.turnaround_min, config.dev.turnaround_max),
    };
    if min > max {
        return Err(Failure::usage(anyhow::anyhow!(
            "--turnaround-min is longer than --turnaround-max"
        )));
    }
    let state = args
        .state
        .unwrap_or_else(|| config.dev.data.join("standin-alone"));
    let script = args.script.as_deref().map(Script::read).transpose();
    let mut script = script.map_err(Failure::usage)?;
    if let Some(script) = &mut script
        && (args.turnaround_min.is_some() || args.turnaround_max.is_some())
    {
        script.turnaround = None;
    }
    let standin = Standin::open(offpeak_standin::Options {
        turnaround: min..max,
        script,
        ..offpeak_standin::Options::new(state)
    })
    .map_err(Failure::usage)?;
    let listener = engine::listen(&args.listen).await.map_err(Failure::usage)?;
    let url = format!("http://{}", listener.local_addr()?);
    if output.json {
        output.value(&serde_json::json!({ "url": url, "pid": std::process::id() }))?;
    } else {
        output.talk("a stand-in of Anthropic's API: ANSWERS ARE MADE UP, any key is let in");
        output.line(&format!("export ANTHROPIC_BASE_URL={url}"))?;
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(run_standin(standin, listener, stop.clone()));
    signals::stop().await;
    stop.cancel();
    serving.await.map_err(Failure::server)?;
    Ok(Exit::Ok)
}
