//! Finds out what became of sends whose outcome nobody knows, and frees the
//! jobs of batches that Anthropic does not hold.
//!
//! It only reads upstream and never sends. Doubt waits: a send is adopted when
//! one message batch can be meant or names our jobs, refuted when complete
//! listings over the settle time show nothing. If the process dies here, the
//! next tick counts on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus};
use offpeak_domain::reconcile::{self, Candidate, Clocks, Listings, Verdict, reconcile};
use offpeak_store::uncertain::{self, Doubt, Listed, Pace, Send};
use offpeak_store::{batch, call, mutant, point, release};
use time::OffsetDateTime;

use super::direct;
use super::stranger::{self, Whose};
use super::workspace;
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
    strangers: Vec<Stranger>,
    /// When it began.
    begun: OffsetDateTime,
    /// How far Anthropic's clock is ahead of ours; none when it did not say, or
    /// said it too long after we looked at ours.
    ahead: Option<time::Duration>,
    /// By what the listing is compared with a send; none when that says nothing.
    clocks: Option<Clocks>,
}

impl Listing {
    /// Whether it began after the sender of this one had given up.
    fn is_after(&self, send: &Send) -> bool {
        self.clocks.is_some() && self.now() > self.there(send).deadline
    }

    /// When it began, on the clock that sends are compared on: Anthropic's, or
    /// ours where nobody knows what time it is there.
    fn now(&self) -> OffsetDateTime {
        self.begun + self.ahead.unwrap_or_default()
    }

    /// A send on that clock: by what Anthropic's was ahead when the send was made,
    /// where that is known. Our own may have been set in between.
    fn there(&self, send: &Send) -> reconcile::Uncertain {
        let ahead = self.ahead.map(|ahead| send.ahead.unwrap_or(ahead));
        let ahead = ahead.unwrap_or_default();
        reconcile::Uncertain {
            items: u64::from(send.items),
            sent_at: send.sent_at + ahead,
            deadline: send.deadline + ahead,
        }
    }

    /// The listings that were made for a send after its sender had given up.
    fn all_for(&self, send: &Send) -> Option<Listings> {
        let ahead = self.ahead.map(|ahead| send.listing_ahead.unwrap_or(ahead));
        let ahead = ahead.unwrap_or_default();
        self.is_after(send).then(|| Listings {
            count: send.listings + 1,
            first: send.first_listing_at.map_or(self.now(), |at| at + ahead),
            last: self.now(),
        })
    }
}

/// A message batch that is not certainly somebody's.
struct Stranger {
    seen: MessageBatch,
    /// A batch of ours has recognised it by time and count, and may be wrong.
    guessed: bool,
}

/// What one listing settled.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    sends: u64,
    twins: u64,
}

impl Rescue {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("rescue").await? else {
            return Ok(Outcome::default());
        };
        let now = self.0.clock.now().await?;
        let abandoned = if mutant!("abandon_never") {
            0
        } else {
            batch::abandon_sends(&led.setting().system, now).await?
        };
        if abandoned > 0 {
            point!("rescue.abandoned");
            tracing::warn!(
                batches = abandoned,
                "sends abandoned: their outcome is unknown"
            );
        }
        let lost = self.calls(&led.setting(), now).await?;
        let freed = release::free_some(&led.setting().system, now, CHUNK).await?;
        if freed > 0 {
            point!("rescue.freed");
        }
        let options = &self.0.options;
        let pace = Pace {
            often: options.list_every,
            young: options.list_often_for,
            later: options.list_later,
        };
        let mut settled = Settled::default();
        let mut next: Option<OffsetDateTime> = None;
        let mut failed = None;
        for upstream in self.0.upstreams().iter() {
            let system = &self.0.system;
            let doubt = uncertain::doubt(system, upstream.id, now, &pace).await?;
            if let Some(doubt) = doubt.filter(|doubt| doubt.list_at <= now) {
                let Some(led) = self.0.lead(&format!("rescue/{}", upstream.id)).await? else {
                    continue;
                };
                match Self(led.setting()).settle(upstream, &doubt, now).await {
                    Ok(done) => {
                        settled.sends += done.sends;
                        settled.twins += done.twins;
                    }
                    // One upstream in trouble does not keep the others waiting.
                    Err(error) => failed = Some(error),
                }
            }
            let left = uncertain::doubt(system, upstream.id, now, &pace).await?;
            next = [next, left.map(|doubt| doubt.list_at)]
                .into_iter()
                .flatten()
                .min();
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let mut wakes = Vec::new();
        if freed > 0 {
            wakes.push(Loop::Form);
        }
        if freed + lost > 0 {
            wakes.push(Loop::Share);
        }
        if settled.sends > 0 {
            wakes.push(Loop::Poll);
        }
        if settled.twins > 0 {
            wakes.push(Loop::Sweep);
        }
        let wait = match (freed + settled.sends > 0, next) {
            (true, _) => Wait::Now,
            (false, None) => Wait::Idle,
            (false, Some(next)) => Wait::until(now, next.max(now + options.list_every)),
        };
        Ok(Outcome {
            done: abandoned + lost + freed + settled.sends,
            wait,
            wakes,
            ..Outcome::default()
        })
    }

    /// Direct calls that were left behind: nobody can find out what came of them.
    async fn calls(&self, led: &Setting, now: OffsetDateTime) -> Result<u64> {
        let mut lost = 0;
        for (upstream, call) in call::left_behind(&led.system, now, SENDS).await? {
            let why = "the process that made the call went away, or was held up for too long";
            lost += u64::from(direct::lost(led, upstream, &call, None, why).await?);
            point!("rescue.lost_call");
        }
        Ok(lost)
    }

    /// Looks for the uncertain sends of an upstream in a complete listing.
    async fn settle(
        &self,
        upstream: &Upstream,
        doubt: &Doubt,
        now: OffsetDateTime,
    ) -> Result<Settled> {
        let mut listing = self.list(upstream, doubt).await?;
        point!("rescue.listed");
        let strangers = std::mem::take(&mut listing.strangers);
        let (named, twins, strangers) = self.read_ended(upstream, strangers, now).await?;
        // Read after the listing: what it shows may belong to a send that was
        // not uncertain when the listing began, or still is not.
        let sends = uncertain::sends(&self.0.system, upstream.id, SENDS).await?;
        let mut settled = named;
        let mut taken = HashSet::new();
        for send in sends.iter().filter(|send| send.uncertain) {
            let verdict = listing
                .clocks
                .map(|clocks| self.judge(send, &sends, &strangers, &taken, &listing, clocks));
            let absent = matches!(
                verdict,
                Some(Verdict::Refute | Verdict::Wait { in_sight: false })
            );
            if absent && listing.is_after(send) {
                let (setting, sent_at) = (&self.0, send.sent_at);
                if !workspace::is_same(setting, upstream, send.key, sent_at, now).await? {
                    let (begun, ahead) = (listing.begun, listing.ahead);
                    uncertain::listed(&self.0.system, send, begun, ahead, Listed::Nothing).await?;
                    continue;
                }
            }
            match verdict {
                Some(Verdict::Adopt(index)) => {
                    taken.insert(index);
                    settled += u64::from(
                        stranger::adopt(&self.0, send.key, &strangers[index].seen, false, now)
                            .await?,
                    );
                }
                Some(Verdict::Refute) => {
                    settled += u64::from(uncertain::refute(&self.0.system, send).await?);
                    point!("rescue.refuted");
                    tracing::warn!(batch = %send.key.batch, "send refuted: its jobs are free");
                }
                Some(Verdict::Wait { in_sight: false }) if mutant!("trust_one_listing") => {
                    uncertain::refute(&self.0.system, send).await?;
                }
                Some(Verdict::Wait { in_sight }) => {
                    let listed = if in_sight {
                        Listed::InSight
                    } else if listing.is_after(send) {
                        Listed::Absent
                    } else {
                        Listed::Nothing
                    };
                    uncertain::listed(&self.0.system, send, listing.begun, listing.ahead, listed)
                        .await?;
                }
                // Times cannot be compared: only results can tell.
                None => {
                    let system = &self.0.system;
                    uncertain::listed(system, send, listing.begun, None, Listed::Nothing).await?;
                }
            }
        }
        Ok(Settled {
            sends: settled,
            twins,
        })
    }

    /// What has ended says itself whose it is. Returns how many sends that
    /// settled, how many twins it found, and the strangers that are left.
    async fn read_ended(
        &self,
        upstream: &Upstream,
        strangers: Vec<Stranger>,
        now: OffsetDateTime,
    ) -> Result<(u64, u64, Vec<Stranger>)> {
        let (mut settled, mut twins, mut left) = (0, 0, Vec::new());
        for one in strangers {
            if one.seen.processing_status != ProcessingStatus::Ended {
                left.push(one);
                continue;
            }
            match stranger::settle(&self.0, upstream, &one.seen, now).await? {
                // Not readable just now: it may still be one of ours.
                Whose::Unclear => left.push(one),
                Whose::OfSend(_) | Whose::Recovered => settled += 1,
                Whose::Twin(_) | Whose::Unheard(_) => twins += 1,
                Whose::Known | Whose::Foreign => {}
            }
        }
        Ok((settled, twins, left))
    }

    fn judge(
        &self,
        send: &Send,
        sends: &[Send],
        strangers: &[Stranger],
        taken: &HashSet<usize>,
        listing: &Listing,
        clocks: Clocks,
    ) -> Verdict {
        let candidates: Vec<Candidate> = strangers
            .iter()
            .enumerate()
            .map(|(index, one)| Candidate {
                created_at: one.seen.created_at,
                total: one.seen.request_counts.total(),
                known: false,
                guessed: one.guessed || taken.contains(&index),
            })
            .collect();
        let there = listing.there(send);
        let alike = sends
            .iter()
            .filter(|other| other.key != send.key && other.items == send.items)
            .filter(|other| listing.there(other).overlaps(&there))
            .count();
        let listings = listing.all_for(send);
        let settle = self.0.options.settle_time;
        reconcile(&there, &candidates, alike, listings, settle, clocks)
    }

    /// Lists all message batches since the oldest send in doubt, and a margin.
    async fn list(&self, upstream: &Upstream, doubt: &Doubt) -> Result<Listing> {
        let newest = stranger::newest(&self.0, upstream).await?;
        let mut listing = Listing {
            strangers: Vec::new(),
            begun: newest.asked,
            ahead: newest.ahead,
            clocks: match newest.ahead {
                Some(_) => Some(Clocks::Compared),
                None => newest.undated.then_some(Clocks::Apart),
            },
        };
        if newest.undated {
            tracing::warn!(
                upstream = %upstream.id,
                "Anthropic's answers have no date, as behind a gateway that drops the header: a \
                 create without an answer is recognised by its results only, and whatever was \
                 made within a day of it keeps its jobs waiting"
            );
        }
        let skew = listing.clocks.unwrap_or(Clocks::Compared).skew();
        let here = doubt.since_here.unwrap_or(listing.begun);
        let there = here + listing.ahead.unwrap_or_default();
        let since = doubt.since_there.map_or(there, |since| since.min(there)) - skew;
        let mut page = newest.page;
        loop {
            let ids: Vec<String> = page.data.iter().map(|seen| seen.id.clone()).collect();
            let known: HashMap<String, bool> = uncertain::known(&self.0.system, upstream.id, &ids)
                .await?
                .into_iter()
                .map(|known| (known.id, known.guessed))
                .collect();
            let past = page.data.last().is_none_or(|last| last.created_at < since);
            for seen in page.data {
                // What is only guessed to be another's may be this one's.
                let guessed = known.get(&seen.id).copied();
                if seen.created_at >= since && guessed != Some(false) {
                    let guessed = guessed.unwrap_or(false);
                    listing.strangers.push(Stranger { seen, guessed });
                }
            }
            let Some(after) = page.last_id.filter(|_| page.has_more && !past) else {
                return Ok(listing);
            };
            page = upstream.batches(Some(&after)).await?.value;
        }
    }
}
