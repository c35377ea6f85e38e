//! Finds out what became of sends whose outcome nobody knows, and frees the
//! jobs of batches that Anthropic does not hold.
//!
//! It only reads upstream and never sends. Doubt waits: a send is adopted when
//! one message batch can be meant or names our jobs, refuted when complete
//! listings over the settle time show nothing. If the process dies here, the
//! next tick counts on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus};
use offpeak_domain::batch::State;
use offpeak_domain::reconcile::{self, Candidate, Listings, SKEW, Verdict, reconcile};
use offpeak_store::batch::{self, Key, Stored};
use offpeak_store::uncertain::{self, Send};
use offpeak_store::{Error as StoreError, release};
use time::OffsetDateTime;

use super::ingest;
use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};

/// Jobs freed in one transaction.
const CHUNK: i64 = 1000;
/// Sends without an answer looked at together.
const SENDS: i64 = 1000;

pub(crate) struct Rescue(pub(crate) Arc<Setting>);

/// A complete listing: what we do not know of it.
struct Listing {
    strangers: Vec<MessageBatch>,
    /// How far Anthropic's clock is ahead of ours; none when it did not say.
    ahead: Option<time::Duration>,
}

impl Rescue {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("rescue").await? else {
            return Ok(Outcome::default());
        };
        let now = self.0.clock.now().await?;
        let abandoned = batch::abandon_sends(&led.setting().system, now).await?;
        if abandoned > 0 {
            tracing::warn!(
                batches = abandoned,
                "sends abandoned: their outcome is unknown"
            );
        }
        let freed = release::free_some(&led.setting().system, now, CHUNK).await?;
        let (mut settled, mut doubt) = (0, 0);
        let mut failed = None;
        for upstream in &self.0.upstreams {
            let every = self.0.options.list_every;
            let due = uncertain::due(&self.0.system, upstream.id, now, every).await?;
            if let Some(since) = due {
                let Some(led) = self.0.lead(&format!("rescue/{}", upstream.id)).await? else {
                    continue;
                };
                match Self(led.setting()).settle(upstream, since, now).await {
                    Ok(done) => settled += done,
                    // One upstream in trouble does not keep the others waiting.
                    Err(error) => failed = Some(error),
                }
            }
            doubt += uncertain::count(&self.0.system, upstream.id).await?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let mut wakes = Vec::new();
        if freed > 0 {
            wakes.push(Loop::Form);
        }
        if settled > 0 {
            wakes.push(Loop::Poll);
        }
        let wait = match (freed + settled > 0, doubt) {
            (true, _) => Wait::Now,
            (false, 0) => Wait::Idle,
            (false, _) => Wait::For(self.0.options.list_every),
        };
        Ok(Outcome {
            done: abandoned + freed + settled,
            wait,
            wakes,
            queue: None,
        })
    }

    /// Looks for the uncertain sends of an upstream in a complete listing.
    /// Returns how many it settled.
    async fn settle(
        &self,
        upstream: &Upstream,
        since: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<u64> {
        let listing = self.list(upstream, since, now).await?;
        let (named, strangers) = self.read_ended(upstream, listing.strangers, now).await?;
        // Read after the listing: what it shows may belong to a send that was
        // not uncertain when the listing began, or still is not.
        let sends = uncertain::sends(&self.0.system, upstream.id, SENDS).await?;
        let mut settled = named;
        let mut taken = HashSet::new();
        for send in sends.iter().filter(|send| send.uncertain) {
            let verdict = match listing.ahead {
                Some(ahead) => self.judge(send, &sends, &strangers, &taken, ahead, now),
                // Times cannot be compared: only results can tell.
                None => Verdict::Wait,
            };
            match verdict {
                Verdict::Adopt(index) => {
                    taken.insert(index);
                    settled +=
                        u64::from(self.adopt(send.key, &strangers[index], false, now).await?);
                }
                Verdict::Refute => {
                    settled += u64::from(uncertain::refute(&self.0.system, send).await?);
                    tracing::warn!(batch = %send.key.batch, "send refuted: its jobs are free");
                }
                Verdict::Wait => {
                    let counts = listing.ahead.is_some() && now > send.deadline;
                    uncertain::not_listed(&self.0.system, send, now, counts).await?;
                }
            }
        }
        Ok(settled)
    }

    /// What has ended says itself whose it is. Returns how many sends that
    /// settled, and the strangers that are left.
    async fn read_ended(
        &self,
        upstream: &Upstream,
        strangers: Vec<MessageBatch>,
        now: OffsetDateTime,
    ) -> Result<(u64, Vec<MessageBatch>)> {
        let (mut settled, mut left) = (0, Vec::new());
        for seen in strangers {
            if seen.processing_status != ProcessingStatus::Ended {
                left.push(seen);
                continue;
            }
            let Some(id) = ingest::peek(upstream, &seen).await? else {
                // Not readable just now: it may still be one of ours.
                left.push(seen);
                continue;
            };
            let ours = match id {
                Some(id) => uncertain::named(&self.0.system, upstream.id, id.batch).await?,
                None => None,
            };
            match ours {
                Some((key, State::Sending | State::Uncertain)) => {
                    settled += u64::from(self.adopt(key, &seen, true, now).await?);
                }
                Some((key, state)) => {
                    tracing::error!(
                        batch = %key.batch, upstream_batch = seen.id, %state,
                        "a late twin: Anthropic holds a batch whose jobs went on without it"
                    );
                    uncertain::foreign(&self.0.system, upstream.id, &seen.id).await?;
                }
                None => uncertain::foreign(&self.0.system, upstream.id, &seen.id).await?,
            }
        }
        Ok((settled, left))
    }

    fn judge(
        &self,
        send: &Send,
        sends: &[Send],
        strangers: &[MessageBatch],
        taken: &HashSet<usize>,
        ahead: time::Duration,
        now: OffsetDateTime,
    ) -> Verdict {
        let candidates: Vec<Candidate> = strangers
            .iter()
            .enumerate()
            .map(|(index, seen)| Candidate {
                created_at: seen.created_at - ahead,
                total: seen.request_counts.total(),
                known: taken.contains(&index),
            })
            .collect();
        let overlaps = |other: &Send| {
            other.sent_at - SKEW <= send.deadline + SKEW
                && send.sent_at - SKEW <= other.deadline + SKEW
        };
        let alike = sends
            .iter()
            .filter(|other| other.key != send.key && other.items == send.items)
            .filter(|other| overlaps(other))
            .count();
        let listings = (now > send.deadline).then(|| Listings {
            count: send.listings + 1,
            first: send.first_listing_at.unwrap_or(now),
            last: now,
        });
        reconcile(
            &reconcile::Uncertain {
                items: u64::from(send.items),
                sent_at: send.sent_at,
                deadline: send.deadline,
            },
            &candidates,
            alike,
            listings,
            self.0.options.settle_time,
        )
    }

    /// Lists all message batches since `since`, on our clock, and a margin.
    async fn list(
        &self,
        upstream: &Upstream,
        since: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Listing> {
        let mut listing = Listing {
            strangers: Vec::new(),
            ahead: None,
        };
        let mut after: Option<String> = None;
        loop {
            let answer = upstream.batches(after.as_deref()).await?;
            let page = answer.value;
            // The first page's answer is the nearest to `now`.
            if after.is_none() {
                listing.ahead = answer.date.map(|date| date - now);
            }
            let since = since + listing.ahead.unwrap_or_default() - SKEW;
            let ids: Vec<String> = page.data.iter().map(|seen| seen.id.clone()).collect();
            let known: HashSet<String> = uncertain::known(&self.0.system, upstream.id, &ids)
                .await?
                .into_iter()
                .collect();
            let past = page.data.last().is_none_or(|last| last.created_at < since);
            listing.strangers.extend(
                page.data
                    .into_iter()
                    .filter(|seen| seen.created_at >= since && !known.contains(&seen.id)),
            );
            if past || !page.has_more || page.last_id.is_none() {
                return Ok(listing);
            }
            after = page.last_id;
        }
    }

    /// False when the batch is not looking for it any more, or somebody has it
    /// for certain: the next listing sees what is true then.
    async fn adopt(
        &self,
        key: Key,
        seen: &MessageBatch,
        verified: bool,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let stored = Stored {
            upstream_batch_id: &seen.id,
            created_at: seen.created_at,
            expires_at: seen.expires_at,
            next_poll_at: now + Duration::from_secs(1),
            verified,
            body_hash: None,
        };
        match batch::stored(&self.0.system, key, &stored).await {
            Ok(()) => {}
            Err(StoreError::Moved(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        tracing::info!(batch = %key.batch, upstream_batch = seen.id, verified, "send adopted");
        Ok(true)
    }
}
