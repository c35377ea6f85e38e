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
use offpeak_domain::reconcile::{self, Candidate, Listings, SKEW, Verdict, reconcile};
use offpeak_store::batch::{self, Key, Stored};
use offpeak_store::open_batch::{self, Uncertain};
use offpeak_store::release;
use time::OffsetDateTime;

use super::ingest;
use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};

/// Jobs freed in one transaction.
const CHUNK: i64 = 1000;
/// Uncertain sends looked at together.
const SENDS: i64 = 1000;

pub(crate) struct Rescue(pub(crate) Arc<Setting>);

impl Rescue {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        if !self.0.leads("rescue").await? {
            return Ok(Outcome::default());
        }
        let abandoned = batch::abandon_sends(&self.0.system).await?;
        if abandoned > 0 {
            tracing::warn!(
                batches = abandoned,
                "sends abandoned: their outcome is unknown"
            );
        }
        let now = self.0.clock.now().await?;
        let freed = release::free_some(&self.0.system, now, CHUNK).await?;
        let mut settled = 0;
        let mut doubt = false;
        for upstream in &self.0.upstreams {
            let sends = open_batch::uncertain(&self.0.system, upstream.id, SENDS).await?;
            if !sends.is_empty() {
                let done = self.settle(upstream, &sends, now).await?;
                doubt |= done < sends.len() as u64;
                settled += done;
            }
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
            (false, true) => Wait::For(self.0.options.list_every),
            (false, false) => Wait::Idle,
        };
        Ok(Outcome {
            done: abandoned + freed + settled,
            wait,
            wakes,
            queue: None,
        })
    }

    /// Looks for these sends in a complete listing. Returns how many it settled.
    async fn settle(
        &self,
        upstream: &Upstream,
        sends: &[Uncertain],
        now: OffsetDateTime,
    ) -> Result<u64> {
        let Some(since) = sends.iter().map(|send| send.sent_at).min() else {
            return Ok(0);
        };
        let mut strangers = self.strangers(upstream, since - SKEW).await?;
        let mut settled = HashSet::new();
        // What has ended says itself whose it is.
        let ended = strangers
            .extract_if(.., |seen| seen.processing_status == ProcessingStatus::Ended)
            .collect::<Vec<_>>();
        for seen in ended {
            match ingest::peek(upstream, &seen).await? {
                Some(named) => match sends
                    .iter()
                    .find(|send| named.is_some_and(|id| id.batch == send.key.batch))
                {
                    Some(send) => {
                        self.adopt(send.key, &seen, true, now).await?;
                        settled.insert(send.key.batch);
                    }
                    None => open_batch::foreign(&self.0.system, upstream.id, &seen.id).await?,
                },
                // Not readable just now: it may still be one of ours.
                None => strangers.push(seen),
            }
        }
        let mut taken = HashSet::new();
        for send in sends {
            if settled.contains(&send.key.batch) {
                continue;
            }
            match self.judge(send, sends, &strangers, &taken, now) {
                Verdict::Adopt(index) => {
                    taken.insert(index);
                    self.adopt(send.key, &strangers[index], false, now).await?;
                }
                Verdict::Refute => {
                    release::refute(&self.0.system, send.key).await?;
                    tracing::warn!(batch = %send.key.batch, "send refuted: its jobs are free");
                }
                Verdict::Wait => {
                    if now > send.deadline {
                        open_batch::not_listed(&self.0.system, send.key, now).await?;
                    }
                    continue;
                }
            }
            settled.insert(send.key.batch);
        }
        Ok(settled.len() as u64)
    }

    fn judge(
        &self,
        send: &Uncertain,
        sends: &[Uncertain],
        strangers: &[MessageBatch],
        taken: &HashSet<usize>,
        now: OffsetDateTime,
    ) -> Verdict {
        let candidates: Vec<Candidate> = strangers
            .iter()
            .enumerate()
            .map(|(index, seen)| Candidate {
                created_at: seen.created_at,
                total: seen.request_counts.total(),
                known: taken.contains(&index),
            })
            .collect();
        let overlaps = |other: &Uncertain| {
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

    /// Every message batch since `since` that we do not know, from a complete
    /// listing.
    async fn strangers(
        &self,
        upstream: &Upstream,
        since: OffsetDateTime,
    ) -> Result<Vec<MessageBatch>> {
        let mut strangers = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = upstream.batches(after.as_deref()).await?.value;
            let ids: Vec<String> = page.data.iter().map(|seen| seen.id.clone()).collect();
            let known: HashSet<String> = open_batch::known(&self.0.system, upstream.id, &ids)
                .await?
                .into_iter()
                .collect();
            let past = page.data.last().is_none_or(|last| last.created_at < since);
            strangers.extend(
                page.data
                    .into_iter()
                    .filter(|seen| seen.created_at >= since && !known.contains(&seen.id)),
            );
            if past || !page.has_more || page.last_id.is_none() {
                return Ok(strangers);
            }
            after = page.last_id;
        }
    }

    async fn adopt(
        &self,
        key: Key,
        seen: &MessageBatch,
        verified: bool,
        now: OffsetDateTime,
    ) -> Result<()> {
        let stored = Stored {
            upstream_batch_id: &seen.id,
            created_at: seen.created_at,
            expires_at: seen.expires_at,
            next_poll_at: now + Duration::from_secs(1),
            verified,
            body_hash: None,
        };
        batch::stored(&self.0.system, key, &stored).await?;
        tracing::info!(batch = %key.batch, upstream_batch = seen.id, verified, "send adopted");
        Ok(())
    }
}
