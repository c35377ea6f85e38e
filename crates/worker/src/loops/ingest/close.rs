//! Draws the line under a download: everything is there, or it is read again, or
//! what is missing is given up.

use offpeak_domain::incident::Kind;
use offpeak_domain::quarantine::{Counts, Tally};
use offpeak_domain::results;
use offpeak_store::batch;
use offpeak_store::incident::{self, Note};
use offpeak_store::open_batch::{self, Ended};
use offpeak_store::settle::Chunk;
use offpeak_store::{mutant, point};

use super::{Ingest, Read};
use crate::Result;
use crate::chunk;

impl Ingest {
    /// Every line was seen. If jobs are left in flight, the download was short:
    /// it is read again, and given up only after several complete reads.
    pub(super) async fn close(&self, ended: &Ended, read: Read) -> Result<()> {
        let setting = &self.0;
        if read.disowned {
            tracing::warn!(
                batch = %ended.key.batch, upstream_batch = ended.upstream_batch_id,
                "the adopted message batch belongs to somebody else"
            );
            return Ok(());
        }
        let differs = read
            .counted
            .filter(|counted| !read.tally.agrees(u64::from(ended.items), *counted))
            .map(|counted| differing(ended.items, counted, read.tally));
        let note = Note {
            detail: differs.as_deref().unwrap_or_default(),
            ..self.note(ended, Kind::CountsDiffer).await?
        };
        let finished = open_batch::finish(
            &setting.system,
            ended,
            read.flawed,
            differs.is_some().then_some(&note),
        );
        if finished.await? {
            point!("ingest.finished");
            tracing::info!(
                batch = %ended.key.batch, settled = read.settled, replayed = read.replayed,
                flawed = read.flawed, counts = differs.unwrap_or_default(), "batch ingested"
            );
            return Ok(());
        }
        // What was only recognised and has not named one of our jobs is no proof
        // that their results do not exist, until nobody has any.
        let proven = ended.verified
            || read.settled + read.replayed > 0
            || self.is_past_keeping(ended).await?;
        let whole = ended.short_reads + 1 >= setting.options.max_reads && proven;
        if !whole && !mutant!("short_is_whole") {
            let counted = read.counted.map_or(0, |counted| counted.total());
            let pause = results::pause(ended.short_reads + 1, counted, read.tally.jobs());
            let why = "results are missing in the download";
            let short = Some(read.flawed);
            open_batch::give_back(&setting.system, ended, pause, short, why).await?;
            return Ok(());
        }
        self.give_up(ended, read.flawed).await
    }

    /// What is to be noted of a batch, without its words.
    async fn note<'a>(&self, ended: &'a Ended, kind: Kind) -> Result<Note<'a>> {
        Ok(Note {
            kind,
            at: self.0.clock.now().await?,
            upstream: Some(ended.upstream),
            tenant: Some(ended.key.tenant),
            batch: Some(ended.key.batch),
            upstream_batch_id: Some(&ended.upstream_batch_id),
            detail: "",
        })
    }

    /// Whether Anthropic has deleted the results by now.
    pub(super) async fn is_past_keeping(&self, ended: &Ended) -> Result<bool> {
        Ok(facts(ended).is_past_keeping(self.0.clock.now().await?))
    }

    /// Whatever has no line after so many whole reads fails, a chunk at a time.
    async fn give_up(&self, ended: &Ended, flawed: u32) -> Result<()> {
        let setting = &self.0;
        // Before the first job fails: dying halfway must not leave it unsaid.
        let note = Note {
            detail: "Anthropic has no results for some of its jobs, or does not know it any more",
            ..self.note(ended, Kind::ResultsLost).await?
        };
        incident::note(&setting.system, &note).await?;
        let limit = i64::try_from(setting.options.chunk_lines).unwrap_or(500);
        loop {
            let items = batch::items_after(&setting.system, ended.key, None, limit).await?;
            if items.is_empty() {
                break;
            }
            let jobs: Vec<_> = items.iter().map(|item| item.job).collect();
            let now = setting.clock.now().await?;
            let term = setting.options.ingest_term;
            let (chunk, released) = Chunk::begin(&setting.system, ended, term, &jobs).await?;
            let effects: Vec<_> = released
                .into_values()
                .filter_map(chunk::without_line)
                .collect();
            chunk.commit(now, ended.ended_at.date(), &effects).await?;
            tracing::error!(
                batch = %ended.key.batch, jobs = jobs.len(), "results never came: jobs failed"
            );
        }
        open_batch::finish(&setting.system, ended, flawed, None).await?;
        Ok(())
    }
}

/// What a decision about its results goes by.
pub(super) fn facts(ended: &Ended) -> results::Facts {
    results::Facts {
        ended_at: ended.ended_at,
        expires_at: ended.expires_at,
        counted: ended.counted,
    }
}

/// What differs, for a person.
fn differing(items: u32, counted: Counts, tally: Tally) -> String {
    let said = tally.said;
    format!(
        "of {items} requests Anthropic counts {} succeeded, {} errored, {} canceled, {} expired; \
         the results say {}, {}, {}, {}, and {} cannot be read",
        counted.succeeded,
        counted.errored,
        counted.canceled,
        counted.expired,
        said.succeeded,
        said.errored,
        said.canceled,
        said.expired,
        tally.unreadable,
    )
}
