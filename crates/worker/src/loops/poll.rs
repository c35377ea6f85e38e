//! Looks at the batches that Anthropic holds: one list call sees a thousand.
//!
//! It only reads upstream. If the process dies here, nothing is lost: the next
//! look sees the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::Error as CallError;
use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus};
use offpeak_domain::incident::Kind;
use offpeak_domain::reconcile;
use offpeak_domain::results::LOST;
use offpeak_store::batch::Key;
use offpeak_store::incident::{self, Note};
use offpeak_store::open_batch::{self, Counts, Open};
use offpeak_store::{point, uncertain};
use time::OffsetDateTime;

use super::workspace;
use crate::outcome::{Outcome, Seen, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};
use crate::{Error, Result};

/// Batches looked at in one tick.
const BATCHES: i64 = 1000;
/// How much older than our oldest open batch a page may reach before the
/// listing stops: room for a list that is not quite in order.
const MARGIN: Duration = Duration::from_mins(5);

pub(crate) struct Poll(pub(crate) Arc<Setting>);

impl Poll {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let now = self.0.clock.now().await?;
        let mut outcome = Outcome::default();
        let (mut failed, mut held, mut leads) = (None, None, false);
        for upstream in self.0.upstreams().iter() {
            let Some(led) = self.0.lead(&format!("poll/{}", upstream.id)).await? else {
                continue;
            };
            leads = true;
            let poll = Self(led.setting());
            match poll.look_at_due(upstream, now, &mut outcome.seen).await {
                Ok(ended) => outcome.done += ended,
                Err(Error::Upstream(CallError::Held { wait })) => {
                    held = Some(held.map_or(wait, |least: Duration| least.min(wait)));
                }
                // One upstream in trouble does not keep the others waiting.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !leads {
            return Ok(outcome);
        }
        if outcome.done > 0 {
            outcome.wakes.push(Loop::Ingest);
        }
        if let Some(wait) = held {
            // What is due stays so until then.
            outcome.wait = Wait::For(wait.max(Duration::from_secs(1)));
        } else if let Some(next) = open_batch::next_due(&self.0.system).await? {
            outcome.wait = match Wait::until(now, next) {
                // Due, and not ours to look at: another process leads there.
                Wait::Now if outcome.done == 0 => Wait::For(Duration::from_secs(1)),
                wait => wait,
            };
        }
        Ok(outcome)
    }

    async fn look_at_due(
        &self,
        upstream: &Upstream,
        now: OffsetDateTime,
        metrics: &mut Seen,
    ) -> Result<u64> {
        let due = open_batch::due(&self.0.system, upstream.id, now, BATCHES).await?;
        if due.is_empty() {
            return Ok(0);
        }
        self.look(upstream, due, now, metrics).await
    }

    /// Looks at these batches. Returns how many of them have ended.
    async fn look(
        &self,
        upstream: &Upstream,
        due: Vec<Open>,
        now: OffsetDateTime,
        metrics: &mut Seen,
    ) -> Result<u64> {
        let oldest = due.first().map_or(now, |open| open.created_at) - MARGIN;
        let mut open: HashMap<String, Open> = due
            .into_iter()
            .map(|open| (open.upstream_batch_id.clone(), open))
            .collect();
        let mut still_open: Vec<Open> = Vec::new();
        let mut ended = 0;
        let mut after: Option<String> = None;
        let (mut ahead, mut shown) = (time::Duration::ZERO, Vec::new());
        while !open.is_empty() {
            let answer = upstream.batches(after.as_deref()).await?;
            // By Anthropic's own clock, where it says what time it is there.
            ahead = answer.date.map_or(ahead, |date| date - now);
            let page = answer.value;
            for seen in &page.data {
                let Some(ours) = open.remove(&seen.id) else {
                    continue;
                };
                if !ours.listed {
                    metrics.visible.push(age(&ours, now + ahead));
                    shown.push(ours.key);
                }
                if ours.missing {
                    uncertain::found(&self.0.system, ours.key).await?;
                }
                if seen.processing_status == ProcessingStatus::Ended {
                    ended += u64::from(self.ended(ours.key, seen, now).await?);
                } else {
                    still_open.push(ours);
                }
            }
            let past = page.data.last().is_none_or(|last| last.created_at < oldest);
            if past || !page.has_more || page.last_id.is_none() {
                break;
            }
            after = page.last_id;
        }
        point!("poll.listed");
        if !shown.is_empty() {
            open_batch::listed(&self.0.system, &shown, now).await?;
        }
        let hidden: Vec<Duration> = open
            .values()
            .filter(|ours| !ours.listed)
            .map(|ours| age(ours, now + ahead))
            .collect();
        self.warn_of(&hidden);
        metrics.hidden.extend(hidden);
        // What is due and the list does not show is asked for by its id: the list
        // may lag. The others have their own time.
        for ours in open.into_values().filter(|open| open.due) {
            match upstream.batch(&ours.upstream_batch_id).await {
                Ok(seen) if seen.processing_status == ProcessingStatus::Ended => {
                    ended += u64::from(self.ended(ours.key, &seen, now).await?);
                }
                #[cfg(feature = "torture")]
                Err(error)
                    if of_read(&error) == Reading::Missing
                        && offpeak_store::mutant!("trust_one_404") =>
                {
                    offpeak_store::torture::never_was(&self.0.system, ours.key).await?;
                }
                // A guess may have been wrong from the beginning.
                Err(error) if of_read(&error) == Reading::Missing && !ours.verified => {
                    if !missing(&self.0, ours.key, &ours.upstream_batch_id, now).await? {
                        still_open.push(ours);
                    }
                }
                Err(error)
                    if of_read(&error) == Reading::Missing
                        && now > ours.expires_at + LOST
                        && workspace::is_same(
                            &self.0,
                            upstream,
                            ours.key,
                            ours.created_at,
                            now,
                        )
                        .await? =>
                {
                    tracing::error!(
                        batch = %ours.key.batch, upstream_batch = ours.upstream_batch_id,
                        "Anthropic does not know this batch any more: its results will not come"
                    );
                    let lost = Note {
                        kind: Kind::ResultsLost,
                        at: now,
                        upstream: Some(upstream.id),
                        tenant: Some(ours.key.tenant),
                        batch: Some(ours.key.batch),
                        upstream_batch_id: Some(&ours.upstream_batch_id),
                        detail: "Anthropic does not know it any more, and it was never seen to end",
                    };
                    incident::note(&self.0.system, &lost).await?;
                    let none = Counts::default();
                    ended +=
                        u64::from(open_batch::ended(&self.0.system, ours.key, now, none).await?);
                }
                answer => {
                    if ours.missing && answer.is_ok() {
                        uncertain::found(&self.0.system, ours.key).await?;
                    }
                    still_open.push(ours);
                }
            }
        }
        for (every, batches) in by_interval(&still_open, now, self.0.options.poll_every) {
            open_batch::look_again(&self.0.system, &batches, now + every).await?;
        }
        Ok(ended)
    }

    /// A batch that stays out of the list for long says that a refutation may
    /// come too early.
    fn warn_of(&self, hidden: &[Duration]) {
        let settle_time = self.0.options.settle_time;
        if let Some(longest) = hidden.iter().max().filter(|age| **age > settle_time / 10) {
            tracing::warn!(
                ?longest,
                ?settle_time,
                batches = hidden.len(),
                "created batches are not listed for longer than a tenth of the settle time: raise \
                 settle_time in [reliability] to ten times that, or sends may be paid twice"
            );
        }
    }

    async fn ended(&self, key: Key, seen: &MessageBatch, now: OffsetDateTime) -> Result<bool> {
        let counts = seen.request_counts;
        let int = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let counts = Counts {
            succeeded: int(counts.succeeded),
            errored: int(counts.errored),
            canceled: int(counts.canceled),
            expired: int(counts.expired),
        };
        let ended_at = seen.ended_at.unwrap_or(now);
        let news = open_batch::ended(&self.0.system, key, ended_at, counts).await?;
        point!("poll.ended");
        tracing::info!(batch = %key.batch, upstream_batch = seen.id, ?counts, "batch ended");
        Ok(news)
    }
}

/// Anthropic does not know what this batch had only recognised. After several
/// looks over the settle time it is let go of, and the send is uncertain again:
/// true then.
pub(super) async fn missing(
    setting: &Setting,
    key: Key,
    upstream_batch_id: &str,
    now: OffsetDateTime,
) -> Result<bool> {
    let Some(seen) = uncertain::missing(&setting.system, key, now).await? else {
        return Ok(false);
    };
    if !reconcile::is_gone(seen.looks, seen.since, now, setting.options.settle_time) {
        return Ok(false);
    }
    uncertain::disown(&setting.system, key, upstream_batch_id).await?;
    tracing::warn!(
        batch = %key.batch, looks = seen.looks,
        "Anthropic does not know the recognised message batch any more: the send is uncertain again"
    );
    Ok(true)
}

fn age(batch: &Open, now: OffsetDateTime) -> Duration {
    Duration::try_from(now - batch.created_at).unwrap_or_default()
}

/// A batch is looked at every `every` while it is young, and less and less
/// often, down to a fifth of that, as it ages: a twentieth of its age, in whole
/// multiples of `every`, so that batches of any age are looked at together.
fn by_interval(open: &[Open], now: OffsetDateTime, every: Duration) -> HashMap<Duration, Vec<Key>> {
    let mut groups: HashMap<Duration, Vec<Key>> = HashMap::new();
    for batch in open {
        let age = age(batch, now);
        let times = (age.as_nanos() / 20)
            .checked_div(every.as_nanos())
            .map_or(1, |times| times.clamp(1, 5));
        groups
            .entry(every * u32::try_from(times).unwrap_or(1))
            .or_default()
            .push(batch.key);
    }
    groups
}
