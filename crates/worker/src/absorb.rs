//! Reads what a late twin billed: its lines are priced as any others and booked
//! as the deployment's own cost. Nothing of them is kept but usage and money.

use std::collections::HashSet;

use offpeak_anthropic::Line;
use offpeak_anthropic::shape::{MessageBatch, ResultKind, ResultLine};
use offpeak_domain::id::JobId;
use offpeak_domain::job::Lane;
use offpeak_domain::settle;
use offpeak_store::incident::Note;
use offpeak_store::point;
use offpeak_store::twin::{self, Absorbed, Named};
use time::Date;

use crate::Result;
use crate::chunk::{Whose, whose};
use crate::price::{measured, usage, without_price};
use crate::upstream::Upstream;
use crate::worker::Setting;

/// What one whole read came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    /// Lines of our form.
    pub(crate) lines: u64,
    /// Those that were billed.
    pub(crate) billed: u64,
    /// Those that were not booked before.
    pub(crate) booked: u64,
    /// Lines that cannot be read; they may have been billed as well.
    unreadable: u64,
}

impl Read {
    /// For the operator.
    pub(crate) fn in_words(&self, seen: &MessageBatch) -> String {
        let mut text = format!(
            "its jobs went on without it; {} of its {} requests were billed",
            self.billed,
            seen.request_counts.total()
        );
        if seen.cancel_initiated_at.is_some() {
            text.push_str(", the rest was canceled");
        }
        if self.unreadable > 0 {
            let unreadable = self.unreadable;
            text = format!("{text}; {unreadable} lines could not be read and may be billed too");
        }
        text
    }
}

/// Reads all lines that there are, a chunk at a time, but those of the jobs whose
/// results are taken elsewhere.
pub(crate) async fn read(
    setting: &Setting,
    upstream: &Upstream,
    seen: &MessageBatch,
    named: Option<&Named>,
    but: &HashSet<JobId>,
    note: &Note<'_>,
) -> Result<Read> {
    let day = seen.ended_at.unwrap_or(seen.created_at).date();
    let mut results = upstream.results(seen).await?;
    let mut read = Read::default();
    let mut chunk = Vec::new();
    while let Some(line) = results.next_line().await? {
        let bytes = match line {
            Line::Whole { bytes, .. } => Some(bytes),
            Line::Oversized { .. } => None,
        };
        read.lines += 1;
        let Some(said) = bytes.as_deref().and_then(|bytes| billed(bytes, named)) else {
            read.unreadable += 1;
            continue;
        };
        if but.contains(&said.job) {
            continue;
        }
        if let Some(usage) = settle::billed_usage(&said.line) {
            read.billed += 1;
            chunk.push(Absorbed {
                measured: price(setting, usage, &said.model, named, day),
                custom_id: said.custom_id,
                model: said.model,
            });
        }
        if chunk.len() >= setting.options.chunk_lines {
            read.booked += twin::absorb(&setting.system, note, day, &chunk).await?;
            chunk.clear();
        }
    }
    read.booked += twin::absorb(&setting.system, note, day, &chunk).await?;
    point!("sweep.booked");
    Ok(read)
}

struct Said {
    job: JobId,
    custom_id: String,
    model: String,
    line: settle::Line,
}

/// What a line says about money; nothing when it is not readable, or names
/// another batch than the one that is read.
fn billed(bytes: &[u8], named: Option<&Named>) -> Option<Said> {
    let Whose::Ours(id) = whose(bytes) else {
        return None;
    };
    if named.is_some_and(|named| named.key.batch != id.batch) {
        return None;
    }
    let parsed = ResultLine::parse(bytes).ok()?;
    let (model, line) = match &parsed.result {
        ResultKind::Succeeded(message) => {
            let line = settle::Line::Succeeded {
                stop_reason: message.stop_reason.as_ref().map(ToString::to_string),
                usage: usage(&message.usage),
                schema_ok: None,
                empty_content: message.content_empty,
            };
            // PostgreSQL's text has no NUL, and a name has an end.
            let model = message.model.chars().filter(|c| *c != '\0').take(200);
            (model.collect(), line)
        }
        ResultKind::Errored(error) => {
            let error_type = error.error_type.to_string();
            (String::new(), settle::Line::Errored { error_type })
        }
        ResultKind::Canceled => (String::new(), settle::Line::Canceled),
        ResultKind::Expired => (String::new(), settle::Line::Expired),
        ResultKind::Other(_) => return None,
    };
    Some(Said {
        job: id.job,
        custom_id: id.to_string(),
        model,
        line,
    })
}

/// By the model that answered, else by the one that was asked for; with neither
/// known, tokens are booked as without a known price, loudly.
fn price(
    setting: &Setting,
    usage: &offpeak_domain::price::Usage,
    answered: &str,
    named: Option<&Named>,
    day: Date,
) -> offpeak_store::settle::Measured {
    let asked = named.map_or(answered, |named| &named.model);
    measured(&setting.prices, usage, answered, day, Lane::Batch)
        .or_else(|_| measured(&setting.prices, usage, asked, day, Lane::Batch))
        .unwrap_or_else(|error| {
            tracing::error!(%error, "absorbed without a price");
            without_price(usage)
        })
}
