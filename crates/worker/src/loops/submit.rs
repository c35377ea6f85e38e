//! Sends batches: commits the intent, streams the body, writes down the answer.
//!
//! The order is the whole point. The batch is `sending` in the database before
//! its first byte leaves; a create is sent once, whatever comes back; and an
//! answer that does not prove anything makes the batch `uncertain`, which only
//! `rescue` may settle. If the process dies here, its lease runs out and the
//! batch becomes uncertain as well.

use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::disposition::{Disposition, Refusal as Fault, of_create};
use offpeak_anthropic::{API_VERSION, Error as Refusal};
use offpeak_domain::breaker::{Call, LONGEST_TOLD};
use offpeak_domain::refusal::{self, Verdict};
use offpeak_domain::{plan, retry};
use offpeak_store::batch::{self, Begin, Key, Sent, Stored};
use offpeak_store::incident::Note;
use offpeak_store::lease::uptime;
use offpeak_store::pause::{self as pauses, Pause};
use offpeak_store::sendable::{Sendable, sendable};
use offpeak_store::upstream::OWN;
use offpeak_store::{System, hold, mutant, point, release, twin};
use rand::RngExt;
use time::OffsetDateTime;

use super::stranger;
use crate::outcome::{Outcome, Wait};
use crate::upstream::{MayCreate, Upstream};
use crate::worker::{Loop, Setting};
use crate::{Error, Result, pause, prime, upload};

/// Times that an answer is offered to a database that is away. After that the
/// batch stays `sending`, becomes uncertain and is adopted from the list.
const OFFERS: u32 = 6;
/// Batches looked at to find one that nobody else is sending.
const CANDIDATES: i64 = 8;

pub(crate) struct Submit(pub(crate) Arc<Setting>);

impl Submit {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        // Nothing may be sent by a process that could not say it is alive.
        let Some(alive) = self.0.lead(&self.0.alive_lease()).await? else {
            return Ok(Outcome::default());
        };
        let upstreams = self.0.upstreams();
        // Not always the same one first: its backlog would keep the others waiting.
        let first = self.0.random().random_range(0..upstreams.len().max(1));
        let mut wait = Wait::Idle;
        for upstream in upstreams.iter().cycle().skip(first).take(upstreams.len()) {
            match self.send_one(upstream, &alive.setting().system).await {
                Ok(Taken::Not) => {}
                Ok(taken) => {
                    let mut wakes = vec![Loop::Poll, Loop::Rescue];
                    wakes.extend((taken == Taken::Late).then_some(Loop::Sweep));
                    return Ok(Outcome {
                        done: 1,
                        wait: Wait::Now,
                        wakes,
                        ..Outcome::default()
                    });
                }
                Err(Error::Upstream(Refusal::Held { wait: held })) => {
                    wait = match wait {
                        Wait::For(least) => Wait::For(least.min(held)),
                        Wait::Now | Wait::Rested | Wait::Idle => Wait::For(held),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome {
            wait,
            ..Outcome::default()
        })
    }

    /// Sends one batch of this upstream, if one may be sent.
    async fn send_one(&self, upstream: &Upstream, alive: &System) -> Result<Taken> {
        if let Some(wait) = upstream.held(Call::Create) {
            return Err(Refusal::Held { wait }.into());
        }
        let setting = &self.0;
        let now = setting.clock.now().await?;
        let most = setting.options.max_uncertain;
        // A few, because another copy of this loop may be faster with the first.
        for batch in sendable(&setting.system, upstream.id, now, most, CANDIDATES).await? {
            if !prime::go_ahead(setting, upstream, &batch, alive).await? {
                continue;
            }
            let may = upstream.may_create().await?;
            match self.send(upstream, batch, may, alive).await? {
                Taken::Not => {}
                taken => return Ok(taken),
            }
        }
        Ok(Taken::Not)
    }

    /// Sends one batch.
    async fn send(
        &self,
        upstream: &Upstream,
        batch: Sendable,
        may: MayCreate,
        alive: &System,
    ) -> Result<Taken> {
        let setting = &self.0;
        let within = setting.options.send_within;
        let until = uptime() + within;
        let (now, ahead) = upstream.now(&setting.clock).await?;
        let begin = Begin {
            upstream: upstream.id,
            now,
            ahead,
            within,
            sender: setting.process,
            sender_lease: &setting.alive_lease(),
            api_version: API_VERSION,
            item_overhead: plan::ITEM_OVERHEAD,
            max_uncertain: setting.options.max_uncertain,
        };
        // The intent is committed only while this process counts as alive.
        let taken = batch::begin_send(alive, batch.key, &begin).await?;
        let Some(sending) = taken else {
            return Ok(Taken::Not);
        };
        point!("submit.intent");
        let (body, hash) = upload::body(Arc::clone(setting), &sending, until);
        let patience = within * if mutant!("no_deadline_check") { 100 } else { 1 };
        let answer = upstream
            .create_batch(may, sending.body_bytes, body, patience)
            .await;
        let answer = match answer {
            Err(error)
                if mutant!("retry_create") && of_create(&error) == Disposition::Uncertain =>
            {
                let (body, _) = upload::body(Arc::clone(setting), &sending, until);
                let may = upstream.may_create().await?;
                upstream
                    .create_batch(may, sending.body_bytes, body, within)
                    .await
            }
            answer => answer,
        };
        point!("submit.answered");
        let now = setting.clock.now().await;
        match answer {
            Ok(answer) => {
                let answer = answer.value;
                let now = now.unwrap_or(answer.created_at);
                let hash = hash.finish();
                let stored = Stored {
                    upstream_batch_id: &answer.id,
                    created_at: answer.created_at,
                    expires_at: answer.expires_at,
                    next_poll_at: now + setting.options.first_poll,
                    verified: true,
                    body_hash: Some(&hash),
                };
                let written = self
                    .write(&batch, &sending.sent, &Answer::Stored(stored), "")
                    .await;
                if let Err(Error::Store(offpeak_store::Error::Moved(_))) = written {
                    return self.is_twin(upstream, batch.key, &answer.id, now).await;
                }
                written?;
                tracing::info!(
                    batch = %batch.key.batch, upstream_batch = answer.id, items = sending.items,
                    "batch sent"
                );
            }
            Err(error) => {
                // Without the time, a wait that is too long does no harm.
                let now = now.unwrap_or(batch.as_of);
                let answer = self.meaning(&batch, &error, now);
                self.write(&batch, &sending.sent, &answer, &error.to_string())
                    .await?;
            }
        }
        Ok(Taken::Sent)
    }

    /// The answer came after the batch's jobs had gone on without it: what was
    /// stored is a late twin, unless some other row has it.
    async fn is_twin(
        &self,
        upstream: &Upstream,
        key: Key,
        upstream_batch_id: &str,
        now: OffsetDateTime,
    ) -> Result<Taken> {
        let system = &self.0.system;
        // What a restored database has forgotten is nobody's twin.
        if !hold::is_settled(system, upstream.id, upstream_batch_id).await? {
            return Ok(Taken::Sent);
        }
        let note = Note {
            tenant: Some(key.tenant),
            batch: Some(key.batch),
            detail: "its create was answered after its jobs had gone on without it",
            ..stranger::late_twin(upstream, upstream_batch_id, now)
        };
        if twin::found(system, upstream.id, upstream_batch_id, &note).await? {
            tracing::error!(
                batch = %key.batch, upstream_batch = upstream_batch_id,
                "a create was answered too late: what it stored is a late twin"
            );
        }
        Ok(Taken::Late)
    }

    /// What is to be written down after a create that gave no batch.
    fn meaning(&self, batch: &Sendable, error: &Refusal, now: OffsetDateTime) -> Answer<'static> {
        let disposition = of_create(error);
        let disposition = if self.0.options.overloaded_is_uncertain {
            disposition.doubting_overload()
        } else {
            disposition
        };
        tracing::warn!(
            batch = %batch.key.batch, %error, request = error.request_id(), ?disposition,
            "batch not sent"
        );
        let backoff = retry::backoff(batch.sends + 1, self.0.unit_random());
        match disposition {
            Disposition::Uncertain => Answer::Unknown,
            Disposition::Refused(Fault::Invalid) => Answer::Refused {
                until: now + refusal::PAUSE,
            },
            Disposition::Refused(Fault::TooLarge) => Answer::TooLarge,
            Disposition::NotCreated(_) => Answer::Again(now + backoff),
            Disposition::RetryAfter(wait) => {
                Answer::Again(now + wait.map_or(backoff, |wait| wait.min(LONGEST_TOLD)))
            }
            Disposition::Paused(why) => Answer::Paused(
                pause::in_words(why, batch.upstream != OWN),
                now + pause::how_long(why),
            ),
        }
    }

    /// Writes an answer down, and offers it again while the database is away:
    /// nobody else has it.
    async fn write(
        &self,
        batch: &Sendable,
        sent: &Sent,
        answer: &Answer<'_>,
        why: &str,
    ) -> Result<()> {
        for offer in 1.. {
            let written = self.write_once(batch, sent, answer, why).await;
            point!("submit.written");
            match written {
                Err(error) if error.is_transient() && offer < OFFERS => {
                    tracing::warn!(batch = %batch.key.batch, %error, "answer not written yet");
                    let wait = retry::backoff(offer, self.0.unit_random());
                    self.0.pause(wait.min(Duration::from_secs(5))).await;
                }
                done => return Ok(done?),
            }
        }
        Ok(())
    }

    async fn write_once(
        &self,
        batch: &Sendable,
        sent: &Sent,
        answer: &Answer<'_>,
        why: &str,
    ) -> offpeak_store::Result<()> {
        let system = &self.0.system;
        match answer {
            Answer::Stored(stored) => batch::stored(system, sent.key, stored).await,
            Answer::Unknown => batch::create_unknown(system, sent, why).await,
            Answer::TooLarge => release::reject(system, sent, why, false).await,
            Answer::Refused { until } => {
                let before = pauses::refused_in_row(system, batch.upstream).await?;
                match refusal::judge(batch.items, batch.sends, before) {
                    Verdict::Guilty => release::reject(system, sent, why, true).await,
                    Verdict::Suspend => {
                        self.suspend(batch, sent, why, (pause::REFUSED, *until))
                            .await
                    }
                }
            }
            Answer::Again(at) => batch::not_created(system, sent, why, *at).await,
            Answer::Paused(reason, until) => self.suspend(batch, sent, why, (reason, *until)).await,
        }
    }

    /// Pauses the upstream; the batch is sent again when the pause is over.
    async fn suspend(
        &self,
        batch: &Sendable,
        sent: &Sent,
        why: &str,
        (reason, until): (&str, OffsetDateTime),
    ) -> offpeak_store::Result<()> {
        let found = Pause {
            by: pause::CREATE,
            reason,
            at: batch.as_of,
            until,
        };
        pauses::pause(&self.0.system, batch.upstream, &found).await?;
        tracing::error!(upstream = %batch.upstream, reason, "upstream paused");
        batch::not_created(&self.0.system, sent, why, until).await
    }
}

/// What became of a batch that was to be sent.
#[derive(Clone, Copy, PartialEq)]
enum Taken {
    /// Another process had taken it, or it may not be sent.
    Not,
    /// Its create was made, and what came of it is written down.
    Sent,
    /// Its jobs had gone on without it when the answer came.
    Late,
}

/// What a create came to, as it is written down.
enum Answer<'a> {
    /// Anthropic holds it.
    Stored(Stored<'a>),
    /// Nobody knows.
    Unknown,
    /// Refused for what it holds, or for what its upstream is: then nothing more
    /// is sent there until then.
    Refused { until: OffsetDateTime },
    /// Refused for its size.
    TooLarge,
    /// Nothing was stored; to be sent again then.
    Again(OffsetDateTime),
    /// Nothing was stored, and nothing will be before somebody acts; the next
    /// try, then, is how we learn that somebody has.
    Paused(&'static str, OffsetDateTime),
}
