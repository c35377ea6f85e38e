//! The one request that goes ahead of a batch whose prefix it brings into
//! Anthropic's cache.
//!
//! It is one direct call, at the normal price, with `max_tokens: 0`. Its intent is
//! committed before it leaves, and it is sent once: if this process dies with it
//! under way, nobody asks again, the batch goes without, and what the call may
//! have cost is the deployment's own.

use std::time::Duration;

use bytes::Bytes;
use offpeak_anthropic::disposition::{Disposition, of_create};
use offpeak_anthropic::shape::Succeeded;
use offpeak_domain::cache::{Mark, opening};
use offpeak_domain::job::Lane;
use offpeak_domain::price::Usage;
use offpeak_store::batch::{self, Marked};
use offpeak_store::prime::{self, Begin, Ended, Sending};
use offpeak_store::sendable::{Priming, Sendable};
use offpeak_store::settle::Measured;
use offpeak_store::{Error as StoreError, System, point};

use crate::price::{self, without_price};
use crate::upstream::Upstream;
use crate::worker::Setting;
use crate::{Error, Result};

/// Longest time that the call may take. It brings no answer, so it reads a long
/// prompt and is done.
const WITHIN: Duration = Duration::from_mins(1);

/// Sends what goes ahead of this batch, if anything does. True when the batch
/// itself may be sent now.
pub(crate) async fn go_ahead(
    setting: &Setting,
    upstream: &Upstream,
    batch: &Sendable,
    alive: &System,
) -> Result<bool> {
    let sending = match batch.priming {
        Priming::None => return Ok(true),
        Priming::Abandoned(at) => {
            // Whoever sent it is gone, or was held up beyond its time.
            return end(setting, batch, at, &unknown(setting, batch)).await;
        }
        Priming::Due => {
            let begin = Begin {
                upstream: upstream.id,
                now: setting.clock.now().await?,
                within: WITHIN,
                primer: setting.process,
                primer_lease: &setting.alive_lease(),
            };
            prime::begin(alive, batch.key, &begin).await?
        }
    };
    let Some(sending) = sending else {
        return Ok(false);
    };
    point!("prime.intent");
    let ended = match body(setting, &sending).await? {
        None => Ended::Refused,
        Some(body) => {
            let answer = upstream.prime(body, WITHIN).await;
            point!("prime.answered");
            match answer {
                Ok(answer) => read(setting, batch, &answer),
                Err(error) => {
                    tracing::warn!(batch = %batch.key.batch, %error, "not primed");
                    match of_create(&error) {
                        Disposition::Uncertain => unknown(setting, batch),
                        _ => Ended::Refused,
                    }
                }
            }
        }
    };
    end(setting, batch, sending.at, &ended).await
}

/// The request: what the batch's first job begins with, marked as all of them.
async fn body(setting: &Setting, sending: &Sending) -> Result<Option<Bytes>> {
    let Some(Marked { mark, at }) = sending.marked else {
        return Ok(None);
    };
    let key = sending.key;
    let items = batch::items_after(&setting.system, key, None, 1).await?;
    let jobs: Vec<_> = items.iter().map(|item| item.job).collect();
    let params = batch::params(&setting.system, key.tenant, &jobs).await?;
    Ok(params
        .first()
        .and_then(|(_, params)| opening(params, at, mark))
        .map(Bytes::from))
}

/// What an answer says that it cost. One that says nothing may have cost all.
fn read(setting: &Setting, batch: &Sendable, answer: &[u8]) -> Ended {
    match Succeeded::parse(answer) {
        Ok(message) => {
            // PostgreSQL's text has no NUL, and a name has an end.
            let model = message.model.chars().filter(|c| *c != '\0').take(200);
            let measured = measured(
                setting,
                batch,
                &price::usage(&message.usage),
                &message.model,
            );
            Ended::Primed(model.collect(), measured)
        }
        Err(error) => {
            tracing::warn!(batch = %batch.key.batch, %error, "what primed cannot be read");
            unknown(setting, batch)
        }
    }
}

/// What it would have cost to write the prefix, as far as its length is known.
fn unknown(setting: &Setting, batch: &Sendable) -> Ended {
    let tokens = u64::from(batch.prefix_tokens);
    let mut usage = Usage::default();
    match batch.mark {
        Mark::None => {}
        Mark::FiveMinutes => usage.cache_write_5m = tokens,
        Mark::OneHour => usage.cache_write_1h = tokens,
    }
    let measured = measured(setting, batch, &usage, &batch.model);
    Ended::Unknown(batch.model.clone(), measured)
}

/// At the normal price; by the model that answered, else by the one asked for.
fn measured(setting: &Setting, batch: &Sendable, usage: &Usage, answered: &str) -> Measured {
    let day = batch.as_of.date();
    let at = |model| price::measured(&setting.prices, usage, model, day, Lane::Direct);
    at(answered)
        .or_else(|_| at(&batch.model))
        .unwrap_or_else(|error| {
            tracing::error!(batch = %batch.key.batch, %error, "booked without a price");
            without_price(usage)
        })
}

async fn end(
    setting: &Setting,
    batch: &Sendable,
    at: time::OffsetDateTime,
    ended: &Ended,
) -> Result<bool> {
    let now = setting.clock.now().await.unwrap_or(batch.as_of);
    match prime::end(&setting.system, batch, at, now, ended).await {
        Ok(()) => {
            point!("prime.booked");
            Ok(true)
        }
        // Somebody was faster, and says that it was given up.
        Err(StoreError::Moved(_)) => Ok(false),
        Err(error) => Err(Error::from(error)),
    }
}
