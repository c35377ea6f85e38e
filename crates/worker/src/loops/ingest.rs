//! Reads the results of ended batches, line by line, and settles them in chunks.
//!
//! Reading a batch from line 1 again is always legal: a line whose job is not in
//! flight any more changes nothing. If the process dies here, the batch's term
//! runs out and the next reader begins anew.

mod close;
mod download;
mod peek;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::Line;
use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::id::JobId;
use offpeak_domain::job::Lane;
use offpeak_domain::job_type::OutputChecker;
use offpeak_domain::quarantine::{Counts, Tally};
use offpeak_domain::results;
use offpeak_store::batch;
use offpeak_store::open_batch::{self, Ended};
use offpeak_store::settle::{Chunk, Released};
use offpeak_store::{point, uncertain};
use tokio::time::MissedTickBehavior;

use self::close::facts;
use self::download::{Download, Next};
use self::peek::PEEK;
pub(crate) use self::peek::peek;
use super::poll;
use crate::chunk::{self, Lines, Sorted};
use crate::outcome::{Outcome, Seen, Wait};
use crate::worker::{Loop, Setting};
use crate::{Error, Result};

/// Lines that are read before the chunk being settled gets its turn.
const BURST: usize = 50;

/// Times that a chunk is settled again because another transaction was in the way.
const CONFLICTS: u32 = 3;

pub(crate) struct Ingest(pub(crate) Arc<Setting>);

/// What one read of a batch came to.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    settled: u64,
    /// Lines whose job was not in flight any more.
    replayed: u64,
    /// Jobs that ended after their deadline.
    late: u64,
    /// Lines that were put aside.
    flawed: u32,
    /// Jobs by what their lines said, in a download that came to its end.
    tally: Tally,
    /// How Anthropic counts them, if it knows the batch.
    counted: Option<Counts>,
    /// The adopted message batch is somebody else's.
    disowned: bool,
}

impl Ingest {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let term = self.0.options.ingest_term;
        let (system, readable) = (&self.0.system, self.0.readable());
        let (ended, _reading) = {
            // Of two loops of this process, the second knows what the first has taken.
            let mut reading = self.0.reading.lock().await;
            let (process, own) = (self.0.process, reading.keys());
            let taken = open_batch::take_ended(system, process, term, &readable, &own).await?;
            let Some(ended) = taken else {
                return Ok(Outcome::default());
            };
            let begun = reading.begin(ended.key);
            (ended, begun)
        };
        point!("ingest.taken");
        // Boxed: once a batch, and every tick would be as large as this one.
        let done = tokio::select! {
            done = Box::pin(self.read_out(&ended)) => done,
            lost = self.keep(&ended) => Err(lost),
        };
        match done {
            Ok(outcome) => Ok(outcome),
            // Somebody else has it now. What was settled stays settled.
            Err(Error::Store(moved @ offpeak_store::Error::Moved(_))) => {
                tracing::info!(%moved, "its results are left to whoever reads them");
                Ok(Outcome::default())
            }
            Err(error) => {
                let (pause, why) = (self.pause_after(&ended, &error).await, error.to_string());
                open_batch::give_back(&self.0.system, &ended, pause, None, &why).await?;
                Err(error)
            }
        }
    }

    /// Reads it to its end and draws the line.
    async fn read_out(&self, ended: &Ended) -> Result<Outcome> {
        let done = |done| Outcome {
            done,
            wait: Wait::Now,
            wakes: vec![Loop::Share],
            ..Outcome::default()
        };
        let read = match Box::pin(self.read(ended)).await {
            #[cfg(feature = "torture")]
            Err(Error::Upstream(error))
                if of_read(&error) == Reading::Missing
                    && offpeak_store::mutant!("trust_one_404") =>
            {
                offpeak_store::torture::never_was(&self.0.system, ended.key).await?;
                return Ok(done(1));
            }
            // A guess may have been wrong from the beginning.
            Err(Error::Upstream(error))
                if of_read(&error) == Reading::Missing
                    && !ended.verified
                    && self.was_wrong(ended).await? =>
            {
                return Ok(Outcome {
                    wakes: vec![Loop::Rescue],
                    ..done(1)
                });
            }
            // Gone at Anthropic: nothing to read is all there is to read.
            Err(Error::Upstream(error))
                if of_read(&error) == Reading::Missing
                    && ended.verified
                    && facts(ended).unknown(self.0.clock.now().await?).is_none() =>
            {
                Read::default()
            }
            read => read?,
        };
        point!("ingest.read");
        self.close(ended, read).await?;
        Ok(Outcome {
            seen: Seen {
                missed: read.late,
                ..Seen::default()
            },
            ..done(read.settled)
        })
    }

    /// Whether Anthropic does not know what was only recognised, for long enough.
    async fn was_wrong(&self, ended: &Ended) -> Result<bool> {
        let now = self.0.clock.now().await?;
        poll::missing(&self.0, ended.key, &ended.upstream_batch_id, now).await
    }

    /// Renews the term while results come down, however slowly. Ends when the
    /// batch is not this process's any more.
    async fn keep(&self, ended: &Ended) -> Error {
        let term = self.0.options.ingest_term;
        let mut renewing = tokio::time::interval(term / 4);
        renewing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is over at once, and the batch was taken just now.
        renewing.tick().await;
        loop {
            renewing.tick().await;
            match open_batch::keep(&self.0.system, ended, self.0.process, term).await {
                Ok(true) => {}
                Ok(false) => return offpeak_store::Error::Moved(ended.key.batch).into(),
                // A database that is away ends the read by itself, if it has to.
                Err(error) => {
                    tracing::warn!(batch = %ended.key.batch, %error, "term not renewed");
                }
            }
        }
    }

    /// How long to wait after this until it is read again.
    async fn pause_after(&self, ended: &Ended, error: &Error) -> Duration {
        let pause = match (error, self.0.clock.now().await) {
            (Error::Upstream(error), Ok(now)) if of_read(error) == Reading::Missing => {
                facts(ended).unknown(now)
            }
            _ => None,
        };
        pause.unwrap_or(results::PAUSE)
    }

    /// Reads all lines that there are, settling as it goes: while one chunk is
    /// settled the next one comes down, so two are held and no more: three times
    /// `chunk_bytes` and the line that was read last, however long lines are.
    async fn read(&self, ended: &Ended) -> Result<Read> {
        let upstreams = self.0.upstreams();
        let Some(upstream) = upstreams.iter().find(|one| one.id == ended.upstream) else {
            return Err(Error::NoCredential);
        };
        let batch = upstream.batch(&ended.upstream_batch_id).await?;
        // Archived batches are still told of, without their results. Without the
        // date of that, an ended batch has none for a moment at most.
        if batch.results_url.is_none()
            && (batch.archived_at.is_some() || self.is_past_keeping(ended).await?)
        {
            return Ok(Read::default());
        }
        let mut download = Download::new(upstream.results(&batch).await?, ended.verified);
        let mut read = Read {
            counted: Some(Counts {
                succeeded: batch.request_counts.succeeded,
                errored: batch.request_counts.errored,
                canceled: batch.request_counts.canceled,
                expired: batch.request_counts.expired,
            }),
            ..Read::default()
        };
        let mut before = Lines::default();
        loop {
            if !before.leaves_room(self.0.options.chunk_bytes) {
                self.settle(ended, std::mem::take(&mut before), &mut read)
                    .await?;
            }
            // A chunk that cannot be settled ends the download at once. One that
            // breaks off does not take the chunk before it along.
            let ((lines, end), ()) = tokio::try_join!(
                async { Ok::<_, Error>(self.fill(ended, &mut download).await) },
                self.settle(ended, before, &mut read),
            )?;
            before = lines;
            let Some(end) = end else { continue };
            // Whole lines that came before a break count: a download that breaks
            // at every attempt still gets on.
            self.settle(ended, before, &mut read).await?;
            read.disowned = end?;
            read.tally = download.tally;
            return Ok(read);
        }
    }

    /// The next chunk, and how the download ended with it, if it did: whether
    /// the message batch proved to be somebody else's.
    async fn fill(&self, ended: &Ended, download: &mut Download) -> (Lines, Option<Result<bool>>) {
        let (most, bytes) = (self.0.options.chunk_lines, self.0.options.chunk_bytes);
        let mut lines = Lines::default();
        loop {
            match self.next(ended, download).await {
                Ok(Next::Ours(line)) => {
                    lines.extend(download.take_broken());
                    for flawed in download.nameless.drain(..) {
                        lines.push_other(flawed);
                    }
                    if line.is_broken_off() {
                        download.broken = Some(line);
                    } else {
                        lines.push(line);
                    }
                }
                Ok(Next::Other(flawed)) => {
                    lines.extend(download.take_broken());
                    lines.push_other(flawed);
                }
                Ok(Next::Nothing) => continue,
                Ok(Next::Disowned) => return (lines, Some(Ok(true))),
                Ok(Next::End) => {
                    // With it every job has a line, so nothing was cut off behind
                    // it. Else it is read again, and no job fails by a cut.
                    let all = download.tally.jobs() >= u64::from(ended.items);
                    lines.extend(download.take_broken().filter(|line| all && line.terminated));
                    return (lines, Some(Ok(false)));
                }
                Err(error) => return (lines, Some(Err(error))),
            }
            if lines.is_full(most, bytes) {
                return (lines, None);
            }
            if lines.len().is_multiple_of(BURST) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads one line and tells whose it is.
    async fn next(&self, ended: &Ended, download: &mut Download) -> Result<Next> {
        let Some(line) = download.results.next_line().await? else {
            // Whatever is named in it is not ours.
            if !download.verified && download.strange > 0 {
                return self.disown(ended).await;
            }
            return Ok(Next::End);
        };
        let terminated = match &line {
            Line::Whole { terminated, .. } | Line::Oversized { terminated, .. } => *terminated,
        };
        match chunk::sort(line, ended.key.batch) {
            Sorted::Ours(mut line) => {
                if !download.verified {
                    open_batch::verified(&self.0.system, ended).await?;
                    download.verified = true;
                }
                line.again = download.again(&line, ended.items);
                Ok(Next::Ours(line))
            }
            // Nothing of it was settled: no line before this one was ours.
            Sorted::Foreign(flawed) if !download.verified => {
                download.strange += 1;
                download.put_by(flawed);
                if download.strange < PEEK {
                    Ok(Next::Nothing)
                } else {
                    self.disown(ended).await
                }
            }
            Sorted::Unreadable(flawed) if !download.verified => {
                download.put_by(flawed);
                Ok(Next::Nothing)
            }
            // The end of what was cut off, and no line.
            Sorted::Unreadable(_) if !terminated => Ok(Next::Nothing),
            Sorted::Foreign(flawed) | Sorted::Unreadable(flawed) => Ok(Next::Other(flawed)),
        }
    }

    /// Settles these lines in one transaction. If the database refuses what
    /// stands in them, they are halved until the one bad line is alone; that
    /// one fails its job, and the rest lands.
    async fn settle(&self, ended: &Ended, lines: Lines, read: &mut Read) -> Result<()> {
        if lines.len() == 0 {
            return Ok(());
        }
        let mut parts = vec![lines];
        let mut conflicts = 0;
        while let Some(part) = parts.pop() {
            match self.settle_part(ended, &part, read).await {
                // Not the whole download again for that.
                Err(Error::Store(error)) if error.is_conflict() && conflicts < CONFLICTS => {
                    conflicts += 1;
                    tracing::warn!(batch = %ended.key.batch, %error, "chunk settled once more");
                    parts.push(part);
                }
                Err(Error::Store(error)) if error.is_about_data() => match part.halves() {
                    Ok((first, second)) => parts.extend([second, first]),
                    Err(alone) => {
                        tracing::error!(batch = %ended.key.batch, %error, "unusable result line");
                        self.settle_part(ended, &alone.into_unreadable(), read)
                            .await?;
                    }
                },
                done => done?,
            }
        }
        Ok(())
    }

    async fn settle_part(&self, ended: &Ended, lines: &Lines, read: &mut Read) -> Result<()> {
        let setting = &self.0;
        let now = setting.clock.now().await?;
        let jobs = lines.jobs();
        let settling = async {
            let term = setting.options.ingest_term;
            let (mut chunk, mut released) =
                Chunk::begin(&setting.system, ended, term, &jobs).await?;
            let settled = released.len() as u64;
            let replays = lines.replays(&released);
            let odd = chunk.odd(&replays).await?;
            let flawed = lines.flawed(&released, &odd);
            if !flawed.is_empty() {
                let upstream_batch = &ended.upstream_batch_id;
                chunk
                    .quarantine(now, ended.upstream, upstream_batch, &flawed)
                    .await?;
            }
            let fits = self.fits(ended, lines, &released).await?;
            let day = ended.ended_at.date();
            let of = (Lane::Batch, day);
            let effects = lines.effects(setting, of, &mut released, &fits);
            let late = chunk::late(&effects, now);
            chunk.commit(now, day, &effects).await?;
            point!("ingest.chunk");
            Ok((settled, replays.len() as u64, flawed, late))
        };
        let (settled, replayed, flawed, late) = bounded(settling).await?;
        read.late += late;
        read.settled += settled;
        read.replayed += replayed;
        read.flawed = read
            .flawed
            .saturating_add(u32::try_from(flawed.len()).unwrap_or(u32::MAX));
        if let Some(first) = flawed.first() {
            tracing::warn!(
                batch = %ended.key.batch, lines = flawed.len(), first = %first.flaw,
                "flawed result lines were put aside"
            );
        }
        Ok(())
    }

    /// Which answers fit the schemas that stand in their jobs' params. These may
    /// be far longer than the answers, so they are read a few at a time.
    async fn fits(
        &self,
        ended: &Ended,
        lines: &Lines,
        released: &HashMap<JobId, Released>,
    ) -> Result<HashMap<JobId, bool>> {
        let mut fits = HashMap::new();
        // Jobs of one type share a schema: compiled once a chunk.
        let mut checker = OutputChecker::new();
        let mut rest: Vec<(JobId, u64)> = released
            .values()
            .filter(|row| row.structured)
            .map(|row| (row.job, row.params_bytes()))
            .collect();
        while !rest.is_empty() {
            let (mut jobs, mut bytes) = (Vec::new(), 0);
            while bytes < self.0.options.upload_chunk
                && let Some((job, length)) = rest.pop()
            {
                bytes += length;
                jobs.push(job);
            }
            let params = batch::params(&self.0.system, ended.key.tenant, &jobs).await?;
            lines.check(&params.into_iter().collect(), &mut checker, &mut fits);
        }
        Ok(fits)
    }

    /// What it had recognised is somebody else's.
    async fn disown(&self, ended: &Ended) -> Result<Next> {
        uncertain::disown(&self.0.system, ended.key, &ended.upstream_batch_id).await?;
        Ok(Next::Disowned)
    }
}

/// A connection that hangs silently must not hold a batch for the length of a
/// tick: whatever settles a chunk takes seconds.
async fn bounded<T>(settling: impl Future<Output = Result<T>>) -> Result<T> {
    const LONGEST: Duration = Duration::from_secs(90);
    tokio::time::timeout(LONGEST, settling)
        .await
        .unwrap_or(Err(Error::TooLong(LONGEST)))
}
