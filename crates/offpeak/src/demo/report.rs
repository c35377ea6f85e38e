//! What came of it: a table of answers, the totals, a last line for scripts.

use std::collections::BTreeSet;

use offpeak_domain::id::CustomId;
use offpeak_domain::money::Pico;
use offpeak_wire::{Group, JobResult, JobState};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::documents::{Document, Documents};
use super::licence;
use super::run::Done;
use crate::client::{Client, Target, each_result};
use crate::exit::Failure;
use crate::output::{Output, count, jobs, money, sums, word};

/// Characters of a summary that are shown in the table.
const SHOWN: usize = 90;

/// The last line, as JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) jobs: u64,
    pub(super) completed: u64,
    failed: u64,
    cost_usd: String,
    sync_usd: String,
    saved_usd: String,
    /// What it was estimated to cost, before anything was sent.
    estimate_usd: String,
    /// Jobs billed more than once by the stand-in's journal; null with the real API.
    billed_twice: Option<u64>,
}

#[derive(Deserialize)]
struct Metadata {
    at: usize,
}

#[derive(Deserialize)]
struct Answer {
    category: String,
}

pub(super) async fn show(
    client: &Client,
    documents: &Documents,
    done: &Done,
    target: &Target,
    estimate: Pico,
    output: Output,
) -> Result<Summary, Failure> {
    let agreeing = if output.json {
        None
    } else {
        let summaries = rows(
            client,
            &done.readmes,
            &documents.readmes,
            |document, result| vec![document.package.clone(), summary(result)],
        );
        output.table(&["PACKAGE", "README IN SHORT"], &summaries.await?)?;
        output.line("")?;
        Some(licences(client, documents, done, output).await?)
    };
    let sum = |of: fn(&Group) -> &str| -> Pico {
        [&done.licences, &done.readmes]
            .into_iter()
            .filter_map(|group| of(group).parse::<Pico>().ok())
            .sum()
    };
    let (a, b) = (&done.licences, &done.readmes);
    let summary = Summary {
        jobs: a.jobs + b.jobs,
        completed: a.counts.completed + b.counts.completed,
        failed: a.counts.failed + b.counts.failed,
        cost_usd: sum(|group| &group.cost).to_usd_string(),
        sync_usd: sum(|group| &group.cost_sync).to_usd_string(),
        saved_usd: sum(|group| &group.saved).to_usd_string(),
        estimate_usd: estimate.to_usd_string(),
        billed_twice: match &target.standin_url {
            Some(url) => Some(billed_twice(url).await?),
            None => None,
        },
    };
    if !output.json {
        output.line("")?;
        output.line(&format!(
            "{}: {} completed, {} failed",
            jobs(summary.jobs),
            count(summary.completed),
            count(summary.failed)
        ))?;
        if let Some((agree, compared)) = agreeing {
            output.line(&format!(
                "{} of {} licence texts agree with the manifest",
                count(agree),
                count(compared)
            ))?;
        }
        output.line(&format!(
            "{} tokens in, {} out",
            count(a.usage.input_tokens + b.usage.input_tokens),
            count(a.usage.output_tokens + b.usage.output_tokens)
        ))?;
        let pretend = if target.standin_url.is_some() {
            " (the stand-in's: nothing was really billed)"
        } else {
            ""
        };
        let [cost, sync, saved] = sums(&summary.cost_usd, &summary.sync_usd, &summary.saved_usd);
        output.line(&format!(
            "cost {cost}, synchronously {sync}, saved {saved}{pretend}"
        ))?;
        output.line(&format!(
            "estimated before anything was sent: {}",
            money(&summary.estimate_usd)
        ))?;
    }
    Ok(summary)
}

/// The line that a script reads.
pub(super) fn last_line(summary: &Summary, output: Output) -> std::io::Result<()> {
    let text = serde_json::to_string(summary)?;
    output.line(&format!("offpeak-demo: {text}"))
}

/// The table of licences; how many agree of how many that can be compared.
async fn licences(
    client: &Client,
    documents: &Documents,
    done: &Done,
    output: Output,
) -> Result<(u64, u64), Failure> {
    let (mut agree, mut compared) = (0, 0);
    let table = rows(
        client,
        &done.licences,
        &documents.licences,
        |document, result| {
            let answered = category(result);
            let verdict = answered
                .as_deref()
                .and_then(|answered| licence::agrees(answered, document.declared.as_deref()));
            if let Some(yes) = verdict {
                compared += 1;
                agree += u64::from(yes);
            }
            vec![
                document.package.clone(),
                document.file.clone(),
                answered.unwrap_or_else(|| failure(result)),
                document.declared.clone().unwrap_or_else(|| "-".to_owned()),
                verdict
                    .map_or("-", |yes| if yes { "yes" } else { "NO" })
                    .to_owned(),
            ]
        },
    )
    .await?;
    output.table(
        &["PACKAGE", "FILE", "CATEGORY", "DECLARED", "AGREES"],
        &table,
    )?;
    Ok((agree, compared))
}

/// One row for each result of a group, in the documents' order.
async fn rows(
    client: &Client,
    group: &Group,
    documents: &[Document],
    mut row: impl FnMut(&Document, &JobResult) -> Vec<String>,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut found = Vec::new();
    each_result(client, &group.id, |line| {
        let Ok(result) = serde_json::from_slice::<JobResult>(line) else {
            return Ok(());
        };
        let at = result
            .metadata
            .as_deref()
            .and_then(|metadata| serde_json::from_str::<Metadata>(metadata.get()).ok());
        if let Some(Metadata { at }) = at
            && let Some(document) = documents.get(at)
        {
            found.push((at, row(document, &result)));
        }
        Ok(())
    })
    .await?;
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

fn category(result: &JobResult) -> Option<String> {
    if result.state != JobState::Completed {
        return None;
    }
    let answer: Answer = serde_json::from_str(result.output.as_ref()?.get()).ok()?;
    Some(answer.category)
}

fn summary(result: &JobResult) -> String {
    let Some(text) = result
        .text
        .as_deref()
        .filter(|_| result.state == JobState::Completed)
    else {
        return failure(result);
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn failure(result: &JobResult) -> String {
    let label = result.label.as_deref().unwrap_or_default();
    format!("({} {label})", word(&result.state))
}

/// Jobs that stand in the stand-in's journal more than once.
async fn billed_twice(standin_url: &str) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Billed {
        custom_id: Option<String>,
    }
    let journal = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(Failure::server)?
        .request(Method::GET, format!("{standin_url}/_standin/journal"))
        .send()
        .await
        .map_err(Failure::server)?
        .text()
        .await
        .map_err(Failure::server)?;
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for line in journal.lines() {
        let billed: Billed = serde_json::from_str(line).map_err(Failure::server)?;
        let job = billed
            .custom_id
            .and_then(|id| id.parse::<CustomId>().ok())
            .map(|id| id.job);
        if let Some(job) = job
            && !seen.insert(job)
        {
            twice.insert(job);
        }
    }
    Ok(twice.len() as u64)
}
