//! What the demo will cost, before anything is sent: the same estimate as
//! `offpeak estimate` makes, with the server's job types.

use offpeak_domain::estimate::Assumed;
use offpeak_domain::money::Pico;
use offpeak_wire::UsageReport;

use super::documents::Documents;
use super::run;
use crate::client::Client;
use crate::client::estimate::{Reading, Report, Types};
use crate::config::Config;
use crate::exit::Failure;
use crate::output::column::amounts;
use crate::output::{Output, count};

/// Prices both groups.
pub(super) async fn of(
    client: &Client,
    documents: &Documents,
    config: &Config,
    output: Output,
) -> Result<Report, Failure> {
    let prices = config.prices.list().map_err(Failure::usage)?;
    // Today, as the server knows it.
    let today = client.get::<UsageReport>("/v1/usage").await?.as_of.date();
    let types = Types::load(Some(client), output).await?;
    let mut reading = Reading::new(prices, types, today, None);
    let licences = documents.licences.iter().map(run::classify);
    let summaries = documents.readmes.iter().map(run::summarize);
    for (job_type, input) in licences.chain(summaries) {
        let taken = reading.job(job_type, &input);
        taken.map_err(|reason| Failure::usage(anyhow::anyhow!(reason)))?;
    }
    Ok(Report::of(&reading, Assumed::default()))
}

/// One paragraph for the person who is asked.
pub(super) fn paragraph(report: &Report) -> String {
    let shown = amounts(&[cost(report), report.sync()]);
    format!(
        "Estimate: about {} tokens, {} through offpeak ({} synchronously). `offpeak estimate` says \
         on what that is founded.",
        count(report.tokens()),
        shown[0],
        shown[1]
    )
}

/// What it will cost: equal documents are paid once, as the server does it.
pub(super) fn cost(report: &Report) -> Pico {
    report.offpeak()
}
