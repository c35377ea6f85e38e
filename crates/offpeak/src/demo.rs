//! `offpeak demo`, which is `make run`: the main job on real documents. It runs
//! `offpeak dev` in this process and from then on is a plain HTTP client of it:
//! the licence texts of this project's dependencies are classified and their
//! READMEs summarized.
//!
//! If it dies half-way, the jobs go on at the next start, under the same
//! idempotency keys: nothing is submitted or paid twice.

mod documents;
mod estimate;
mod licence;
mod report;
mod run;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::client::{Client, Connection, Progress, Target};
use crate::config::{Config, Environment};
use crate::dev::{Dev, data_folder};
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, count};
use crate::signals;

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// End when all is done, instead of staying up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// With a real key: go ahead without asking
    #[arg(long)]
    yes: bool,
    /// At most so many licences, and as many READMEs
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Address and port of the API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Runs it.
pub async fn run(
    args: Args,
    mut config: Config,
    environment: &Environment,
    output: Output,
) -> Ended {
    if let Some(listen) = &args.listen {
        config.server.listen.clone_from(listen);
    }
    let say = move |line: &str| output.talk(line);
    let started = Dev::start_unless_stopped(&config, environment, &say).await?;
    let Some(mut dev) = started else {
        return Ok(Exit::Interrupted);
    };
    let target = dev.target.clone();
    let ended = tokio::select! {
        ended = work(&args, &config, environment, &target, output) => ended,
        () = signals::stop() => {
            output.talk("\nstopping; `make run` picks up what has been submitted");
            Ok(Exit::Interrupted)
        }
        error = dev.broke() => Err(Failure::server(error)),
    };
    dev.stop().await.map_err(Failure::server)?;
    ended
}

async fn work(
    args: &Args,
    config: &Config,
    environment: &Environment,
    target: &Target,
    output: Output,
) -> Ended {
    let connection = Connection {
        url: target.url.clone(),
        key: target.key.clone().into(),
    };
    let client = Client::new(connection)?;
    let real = target.standin_url.is_none();
    if real {
        output.talk(&format!("Anthropic: {}", config.api_name()));
    } else {
        output.talk("Anthropic: the STAND-IN. ANSWERS ARE MADE UP, nothing is billed.");
    }

    let documents = documents::collect(environment, args.limit)
        .await
        .map_err(Failure::usage)?;
    output.talk(&format!(
        "{} licence texts and {} READMEs of this project's dependencies",
        count(documents.licences.len() as u64),
        count(documents.readmes.len() as u64)
    ));
    let estimate = estimate::of(&client, &documents, config, output).await?;
    if real {
        output.talk(&estimate::paragraph(&estimate));
        if !agreed(args.yes, output)? {
            output.talk("nothing was submitted");
            return Ok(Exit::Ok);
        }
    }

    let folder = data_folder(config);
    let mut progress = Progress::new(output.json);
    let done = run::to_the_end(&client, &documents, &folder, &mut progress).await?;
    progress.clear();
    drop(progress);
    let summary = report::show(
        &client,
        &documents,
        &done,
        target,
        estimate::cost(&estimate),
        output,
    )
    .await?;
    let all_completed = summary.completed == summary.jobs;
    if !args.exit {
        output.talk(&format!(
            "\nThe API stays up at {} until Ctrl-C. In another terminal:\n  \
             target/debug/offpeak groups\n  target/debug/offpeak usage\n  \
             target/debug/offpeak submit README.md --type summarize --watch",
            target.url
        ));
        std::future::pending::<()>().await;
    }
    report::last_line(&summary, output)?;
    Ok(if all_completed {
        Exit::Ok
    } else {
        Exit::SomeFailed
    })
}

/// Whether money may be spent.
fn agreed(yes: bool, output: Output) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(anyhow::anyhow!(
            "this costs money and nobody can be asked: say --yes (make run ARGS=--yes), or unset \
             ANTHROPIC_API_KEY for the stand-in"
        )));
    }
    let mut error = std::io::stderr().lock();
    write!(error, "Go ahead? [y/N] ")?;
    error.flush()?;
    drop(error);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        output.talk("");
    }
    Ok(yes)
}
