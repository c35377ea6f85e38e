//! Sends batches: commits the intent, streams the body, writes down the answer.
//!
//! The order is the whole point. The batch is `sending` in the database before
//! its first byte leaves; a create is sent once, whatever comes back; and an
//! answer that does not prove anything makes the batch `uncertain`, which only
//! `rescue` may settle. If the process dies here, its lease runs out and the
//! batch becomes uncertain as well.

use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::disposition::{Disposition, Pause, of_create};
use offpeak_anthropic::{API_VERSION, Error as Refusal};
use offpeak_domain::{plan, retry};
use offpeak_store::batch::{self, Sendable, Sending, Stored};
use offpeak_store::{release, upstream};
use time::OffsetDateTime;

use crate::outcome::{Outcome, Wait};
use crate::worker::{Loop, Setting};
use crate::{Result, upload};

/// Times that an answer is offered to a database that is away. After that the
/// batch stays `sending`, becomes uncertain and is adopted from the list.
const OFFERS: u32 = 6;
/// Batches looked at to find one that nobody else is sending.
const CANDIDATES: i64 = 8;

pub(crate) struct Submit(pub(crate) Arc<Setting>);

impl Submit {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        // Nothing may be sent by a process that could not say it is alive.
        if !self.0.is_alive().await? {
            return Ok(Outcome::default());
        }
        let now = self.0.clock.now().await?;
        // A few, because another copy of this loop may be faster with the first.
        for batch in batch::sendable(&self.0.system, now, CANDIDATES).await? {
            if self.send(batch).await? {
                return Ok(Outcome {
                    done: 1,
                    wait: Wait::Now,
                    wakes: vec![Loop::Poll, Loop::Rescue],
                    queue: None,
                });
            }
        }
        Ok(Outcome::default())
    }

    /// Sends one batch. False when another process had taken it.
    async fn send(&self, batch: Sendable) -> Result<bool> {
        let setting = &self.0;
        let Some(upstream) = setting
            .upstreams
            .iter()
            .find(|one| one.id == batch.upstream)
        else {
            tracing::warn!(upstream = %batch.upstream, "no credential for this upstream");
            return Ok(false);
        };
        let within = setting.options.send_within;
        let lease = setting.alive_lease();
        let taken = batch::begin_send(
            &setting.system,
            batch.key,
            setting.process,
            &lease,
            within,
            API_VERSION,
            plan::ITEM_OVERHEAD,
        )
        .await?;
        let Some(sending) = taken else {
            return Ok(false);
        };
        let (body, hash) = upload::body(
            setting.system.clone(),
            batch.key,
            setting.options.upload_chunk,
        );
        match upstream
            .create_batch(sending.body_bytes, body, within)
            .await
        {
            Ok(answer) => {
                self.stored(&batch, sending, &answer.value, &hash.finish())
                    .await?;
            }
            Err(error) => self.not_stored(&batch, &error).await?,
        }
        Ok(true)
    }

    /// Anthropic holds it. The answer is offered again while the database is
    /// away: it is the only thing that knows the id.
    async fn stored(
        &self,
        batch: &Sendable,
        sending: Sending,
        answer: &offpeak_anthropic::shape::MessageBatch,
        hash: &[u8],
    ) -> Result<()> {
        let now = self.0.clock.now().await.unwrap_or(answer.created_at);
        let stored = Stored {
            upstream_batch_id: &answer.id,
            created_at: answer.created_at,
            expires_at: answer.expires_at,
            next_poll_at: now + self.0.options.first_poll,
            verified: true,
            body_hash: Some(hash),
        };
        for offer in 1.. {
            match batch::stored(&self.0.system, batch.key, &stored).await {
                Ok(()) => break,
                Err(error) if error.is_transient() && offer < OFFERS => {
                    tracing::warn!(batch = %batch.key.batch, %error, "answer not written yet");
                    let wait = retry::backoff(offer, self.0.unit_random());
                    self.0.pause(wait.min(Duration::from_secs(5))).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        tracing::info!(
            batch = %batch.key.batch, upstream_batch = answer.id, items = sending.items, "batch sent"
        );
        Ok(())
    }

    async fn not_stored(&self, batch: &Sendable, error: &Refusal) -> Result<()> {
        let setting = &self.0;
        let now = setting.clock.now().await?;
        let disposition = of_create(error);
        tracing::warn!(
            batch = %batch.key.batch, %error, request = error.request_id(), ?disposition,
            "batch not sent"
        );
        let why = error.to_string();
        let again = |wait: Duration| self.again(batch, &why, now + wait);
        let backoff = retry::backoff(batch.sends + 1, setting.unit_random());
        match disposition {
            Disposition::Uncertain => {
                batch::create_unknown(&setting.system, batch.key, &why).await?;
            }
            Disposition::Refused(_) => {
                release::reject(&setting.system, batch.key, &why).await?;
            }
            Disposition::NotCreated(_) => again(backoff).await?,
            Disposition::RetryAfter(wait) => again(wait.unwrap_or(backoff)).await?,
            Disposition::Paused(pause) => {
                upstream::pause(&setting.system, batch.upstream, in_words(pause), None).await?;
                again(Duration::ZERO).await?;
            }
        }
        Ok(())
    }

    async fn again(&self, batch: &Sendable, why: &str, not_before: OffsetDateTime) -> Result<()> {
        let sender = self.0.process;
        Ok(batch::not_created(&self.0.system, batch.key, sender, why, not_before).await?)
    }
}

/// What the operator reads beside a paused upstream.
fn in_words(pause: Pause) -> &'static str {
    match pause {
        Pause::SpendLimit => {
            "a spend limit at Anthropic is reached: raise it, then restart offpeak"
        }
        Pause::Authentication => {
            "Anthropic does not accept the API key: set a valid one and restart"
        }
        Pause::Permission => {
            "the API key may not create message batches, or ANTHROPIC_BASE_URL is wrong"
        }
        Pause::Billing => "Anthropic reports a payment problem: settle it, then restart offpeak",
        Pause::Hold => "the Anthropic organization is on hold: ask Anthropic's support",
    }
}
