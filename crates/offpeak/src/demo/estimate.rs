//! What the demo will cost at Anthropic, before anything is sent.

use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::Usage;
use offpeak_wire::{JobType, UsageReport};

use super::documents::{Document, Documents};
use crate::client::Client;
use crate::config::Config;
use crate::exit::Failure;
use crate::output::count;

/// English text has about four bytes a token.
const BYTES_PER_TOKEN: u64 = 4;
/// Instructions, categories and schema around a document, in bytes.
const AROUND: u64 = 3000;
/// A category is a handful of tokens, a summary of 60 words about a hundred.
const CLASSIFY_OUTPUT: u64 = 20;
const SUMMARIZE_OUTPUT: u64 = 120;

/// One paragraph for the person who is asked.
pub(super) async fn of(
    client: &Client,
    documents: &Documents,
    config: &Config,
) -> Result<String, Failure> {
    let prices = config.prices.list().map_err(Failure::usage)?;
    // Today, as the server knows it.
    let today = client.get::<UsageReport>("/v1/usage").await?.as_of.date();
    let mut batch = Pico::ZERO;
    let mut direct = Pico::ZERO;
    let mut tokens = 0;
    for (name, list, output) in [
        ("classify", &documents.licences, CLASSIFY_OUTPUT),
        ("summarize", &documents.readmes, SUMMARIZE_OUTPUT),
    ] {
        let job_type: JobType = client.get(&format!("/v1/job-types/{name}")).await?;
        for document in list {
            let usage = Usage {
                input: input(document),
                output,
                ..Usage::default()
            };
            tokens += usage.input + usage.output;
            for (sum, lane) in [(&mut batch, Lane::Batch), (&mut direct, Lane::Direct)] {
                *sum += prices
                    .cost(&usage, &job_type.model, today, lane)
                    .map_err(Failure::usage)?;
            }
        }
    }
    Ok(format!(
        "Estimate: about {} tokens, {} as message batches ({} synchronously), at four bytes a \
         token, {CLASSIFY_OUTPUT} tokens an answer and {SUMMARIZE_OUTPUT} a summary.",
        count(tokens),
        batch.to_rounded_string(),
        direct.to_rounded_string()
    ))
}

fn input(document: &Document) -> u64 {
    (document.text.len() as u64 + AROUND).div_ceil(BYTES_PER_TOKEN)
}
