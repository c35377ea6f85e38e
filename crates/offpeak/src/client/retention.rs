//! `offpeak retention`: how long requests and results are kept.

use offpeak_wire::{Retention, RetentionRequest};
use reqwest::Method;

use super::http::Client;
use crate::exit::{Ended, Exit};
use crate::output::Output;

/// The commands of `retention`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show how long requests and results are kept
    Show,
    /// Set it, the whole of it: what is left out is as the deployment has it
    Set {
        /// Days for requests and metadata, from 1 to 400
        #[arg(long, value_name = "DAYS")]
        inputs: Option<u32>,
        /// Days for results, from 1 to 400
        #[arg(long, value_name = "DAYS")]
        results: Option<u32>,
        /// Delete message batches at Anthropic once all of their results were read
        #[arg(long)]
        delete_upstream: bool,
    },
}

pub(super) async fn run(command: Command, client: &Client, output: Output) -> Ended {
    let holds: Retention = match command {
        Command::Show => client.get("/v1/retention").await?,
        Command::Set {
            inputs,
            results,
            delete_upstream,
        } => {
            let request = client.request(Method::PUT, "/v1/retention");
            let body = RetentionRequest {
                inputs_days: inputs,
                results_days: results,
                delete_upstream,
            };
            client.read(request.json(&body)).await?
        }
    };
    if output.json {
        output.value(&holds)?;
        return Ok(Exit::Ok);
    }
    let whose = |own| if own { "yours" } else { "the deployment's" };
    let rows = vec![
        vec![
            "requests, metadata".to_owned(),
            format!("{} days", holds.inputs_days),
            whose(holds.own_inputs).to_owned(),
        ],
        vec![
            "results".to_owned(),
            format!("{} days", holds.results_days),
            whose(holds.own_results).to_owned(),
        ],
        vec![
            "at Anthropic".to_owned(),
            if holds.delete_upstream {
                "deleted 72 hours after the results were read".to_owned()
            } else {
                "29 days".to_owned()
            },
            whose(holds.delete_upstream).to_owned(),
        ],
    ];
    output.table(&["WHAT", "KEPT", "WHOSE"], &rows)?;
    Ok(Exit::Ok)
}
