//! Finds what Anthropic holds although its jobs went on without it: a create
//! that was believed to have stored nothing and did, so that the jobs were sent
//! again. It lists everything now and then for a month after such a send,
//! cancels what is still running where that is unmistakable, reads what has
//! ended, and books what it billed as the deployment's own cost.
//!
//! It delivers nothing and touches no job: the second sending has the jobs. If
//! the process dies here, the listing is made again, and a line that was booked
//! is not booked twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus};
use offpeak_domain::reconcile::{Candidate, SKEW, twin_of};
use offpeak_store::hold;
use offpeak_store::incident::Note;
use offpeak_store::twin::{self, Pace, Twin};
use offpeak_store::{point, uncertain};
use time::OffsetDateTime;

use super::stranger::{self, Whose};
use super::tend::RESULTS_KEPT;
use crate::Result;
use crate::absorb::{self, Read};
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};

/// How long after a doubtful send twins are looked for often.
const YOUNG: Duration = Duration::from_hours(48);
/// How many times seldomer they are looked for later.
const SELDOMER: u32 = 24;
/// Sends that are compared with one running stranger.
const SENDS: i64 = 1000;

pub(crate) struct Sweep(pub(crate) Arc<Setting>);

impl Sweep {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let now = self.0.clock.now().await?;
        let mut outcome = Outcome::default();
        let mut next: Option<OffsetDateTime> = None;
        let mut failed = None;
        for upstream in self.0.upstreams().iter() {
            match self.of(upstream, now, &mut outcome).await {
                Ok(then) => next = [next, then].into_iter().flatten().min(),
                // One upstream in trouble does not keep the others waiting.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        outcome.wait = match next {
            _ if outcome.done > 0 => Wait::Now,
            // Whoever does not lead looks again as late as whoever waits.
            Some(next) => Wait::until(now, next.max(now + self.0.options.list_every)),
            None => Wait::Idle,
        };
        Ok(outcome)
    }

    /// Does what is due for one upstream. Returns when the next thing will be.
    async fn of(
        &self,
        upstream: &Upstream,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<Option<OffsetDateTime>> {
        let (system, often) = (&self.0.system, self.0.options.sweep_every);
        let pace = Pace {
            often,
            young: YOUNG,
            seldom: often * SELDOMER,
            forget: RESULTS_KEPT,
        };
        let due = twin::due(system, upstream.id, now, &pace).await?;
        let look = twin::next_look(system, upstream.id).await?;
        let next = [due.map(|due| due.at), look].into_iter().flatten().min();
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        let Some(led) = self.0.lead(&format!("sweep/{}", upstream.id)).await? else {
            return Ok(next);
        };
        Self(led.setting())
            .sweep(upstream, &pace, now, outcome)
            .await
    }

    /// As [`Sweep::of`], for whoever leads.
    async fn sweep(
        &self,
        upstream: &Upstream,
        pace: &Pace,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<Option<OffsetDateTime>> {
        let system = &self.0.system;
        let due = twin::due(system, upstream.id, now, pace).await?;
        if let Some(due) = due.filter(|due| due.at <= now) {
            let found = self.list(upstream, due.since, now, outcome).await?;
            twin::swept(system, upstream.id, now).await?;
            outcome.done += 1 + found;
        }
        // Each is put off to later when it is looked at, so this comes to an end.
        while let Some(one) = twin::unread(system, upstream.id, now).await? {
            outcome.seen.absorbed += self.follow(upstream, &one, now).await?;
            outcome.done += 1;
        }
        let due = twin::due(system, upstream.id, now, pace).await?;
        let look = twin::next_look(system, upstream.id).await?;
        Ok([due.map(|due| due.at), look].into_iter().flatten().min())
    }

    /// Looks at every unknown message batch since `since`, a page at a time.
    /// Returns how many twins and lost sends it found.
    async fn list(
        &self,
        upstream: &Upstream,
        since: OffsetDateTime,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<u64> {
        let newest = stranger::newest(&self.0, upstream).await?;
        let ahead = newest.ahead;
        let since = since + ahead.unwrap_or_default() - SKEW;
        let mut page = newest.page;
        let mut found = 0;
        loop {
            let past = page.data.last().is_none_or(|last| last.created_at < since);
            let ids: Vec<String> = page.data.iter().map(|seen| seen.id.clone()).collect();
            let known = uncertain::known(&self.0.system, upstream.id, &ids).await?;
            let known: HashSet<String> = known.into_iter().map(|known| known.id).collect();
            point!("sweep.listed");
            for seen in &page.data {
                if seen.created_at < since || known.contains(&seen.id) {
                    continue;
                }
                let whose = if seen.processing_status == ProcessingStatus::Ended {
                    stranger::settle(&self.0, upstream, seen, now).await?
                } else {
                    self.running(upstream, seen, ahead, now).await?
                };
                let taken = matches!(whose, Whose::OfSend(_) | Whose::Recovered);
                found += u64::from(taken || matches!(whose, Whose::Twin(_)));
                if taken {
                    outcome.wakes.push(Loop::Poll);
                }
            }
            let Some(after) = page.last_id.filter(|_| page.has_more && !past) else {
                return Ok(found);
            };
            page = upstream.batches(Some(&after)).await?.value;
        }
    }

    /// A stranger that has not ended can be told by time and count alone, and
    /// only where nobody else makes any.
    async fn running(
        &self,
        upstream: &Upstream,
        seen: &MessageBatch,
        ahead: Option<time::Duration>,
        now: OffsetDateTime,
    ) -> Result<Whose> {
        let (Some(ahead), true) = (ahead, upstream.is_dedicated(&self.0.options)) else {
            return Ok(Whose::Unclear);
        };
        let system = &self.0.system;
        // What a restored database has forgotten is nobody's twin.
        if !hold::is_settled(system, upstream.id, &seen.id).await? {
            return Ok(Whose::Unclear);
        }
        let stranger = Candidate {
            created_at: seen.created_at - ahead,
            total: seen.request_counts.total(),
            known: false,
            guessed: false,
        };
        let within = self.0.options.send_within + SKEW * 2;
        let near = twin::near(system, upstream.id, stranger.created_at, within, SENDS).await?;
        let Some(index) = twin_of(&stranger, &near.refuted, &near.open).filter(|_| !near.cut)
        else {
            return Ok(Whose::Unclear);
        };
        let Some(named) = twin::named(system, upstream.id, near.keys[index].batch).await? else {
            return Ok(Whose::Unclear);
        };
        let note = Note {
            tenant: Some(named.key.tenant),
            batch: Some(named.key.batch),
            detail: "it runs at Anthropic although its jobs went on without it, and is canceled",
            ..stranger::late_twin(upstream, &seen.id, now)
        };
        if !twin::found(system, upstream.id, &seen.id, &note).await? {
            return Ok(Whose::Known);
        }
        tracing::error!(
            batch = %named.key.batch, upstream_batch = seen.id,
            "a late twin runs at Anthropic: it is canceled"
        );
        Ok(Whose::Twin(named))
    }

    /// Goes on with one twin: asks for its cancel, waits for its end, reads it.
    /// Returns how many lines it booked.
    async fn follow(&self, upstream: &Upstream, one: &Twin, now: OffsetDateTime) -> Result<u64> {
        let (system, options) = (&self.0.system, &self.0.options);
        let id = &one.upstream_batch_id;
        let soon = now + options.poll_every;
        // First of all: whatever goes wrong, the others have their turn.
        twin::look_again(system, upstream.id, id, soon, false).await?;
        let seen = match upstream.batch(id).await {
            Ok(seen) => seen,
            Err(error) if of_read(&error) == Reading::Missing => {
                if now > one.found_at + RESULTS_KEPT {
                    let gone = "Anthropic does not know it any more";
                    let note = Note {
                        detail: gone,
                        ..stranger::late_twin(upstream, id, now)
                    };
                    twin::read(system, upstream.id, id, &note).await?;
                }
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        if seen.processing_status != ProcessingStatus::Ended {
            if upstream.is_dedicated(options) && !one.cancel_asked {
                // What was canceled once and again is the same to Anthropic.
                upstream.cancel_batch(id).await?;
                twin::cancel_asked(system, upstream.id, id, now).await?;
                tracing::warn!(upstream_batch = id, "a late twin is being canceled");
            }
            return Ok(0);
        }
        self.read(upstream, one, &seen, now).await
    }

    /// Reads an ended twin. Whose it is was a guess while it ran.
    async fn read(
        &self,
        upstream: &Upstream,
        one: &Twin,
        seen: &MessageBatch,
        now: OffsetDateTime,
    ) -> Result<u64> {
        let system = &self.0.system;
        let whose = match stranger::whose(&self.0, upstream, seen).await? {
            Whose::Unheard(batch) => {
                stranger::recovered(&self.0, upstream, seen, batch, now).await?
            }
            whose => whose,
        };
        let (named, note) = match &whose {
            Whose::Unclear if seen.archived_at.is_none() => return Ok(0),
            Whose::Unclear => (None, stranger::late_twin(upstream, &seen.id, now)),
            Whose::Twin(named) => {
                let note = stranger::late_twin(upstream, &seen.id, now);
                (Some(named), note)
            }
            Whose::Unheard(_) => (None, stranger::unheard(upstream, &seen.id, now)),
            Whose::OfSend(_) | Whose::Known | Whose::Recovered | Whose::Foreign => {
                let note = Note {
                    detail: "it was taken for a late twin while it ran, and was none",
                    ..stranger::late_twin(upstream, &seen.id, now)
                };
                twin::acquit(system, upstream.id, &seen.id, &note).await?;
                stranger::settle(&self.0, upstream, seen, now).await?;
                return Ok(0);
            }
        };
        let note = Note {
            tenant: named.map(|named| named.key.tenant),
            batch: named.map(|named| named.key.batch),
            ..note
        };
        let read = if matches!(whose, Whose::Unclear) {
            Read::default()
        } else {
            absorb::read(&self.0, upstream, seen, named, &HashSet::new(), &note).await?
        };
        let complete = read.lines >= seen.request_counts.total() || matches!(whose, Whose::Unclear);
        if !complete && one.short_reads + 1 < self.0.options.max_reads {
            let soon = now + self.0.options.poll_every;
            twin::look_again(system, upstream.id, &seen.id, soon, true).await?;
            return Ok(read.booked);
        }
        let detail = read.in_words(seen);
        let note = Note {
            detail: &detail,
            ..note
        };
        twin::read(system, upstream.id, &seen.id, &note).await?;
        point!("sweep.read");
        tracing::error!(
            upstream_batch = seen.id, batch = ?note.batch, lines = read.lines,
            billed = read.billed, "a late twin was read: what it billed is absorbed"
        );
        Ok(read.booked)
    }
}
