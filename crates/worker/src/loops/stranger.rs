//! Whose a listed message batch is that no row of ours knows by its id. Once it
//! has ended, its lines name the job and the batch of each request.

use std::time::Duration;

use offpeak_anthropic::shape::{MessageBatch, Page};
use offpeak_domain::batch::State;
use offpeak_domain::id::BatchId;
use offpeak_domain::incident::Kind;
use offpeak_store::batch::{self, Key, Stored};
use offpeak_store::incident::{self, Note};
use offpeak_store::twin::{self, Named};
use offpeak_store::{Error as StoreError, point, uncertain};
use time::OffsetDateTime;

use super::ingest;
use crate::recover::{self, Recovered};
use crate::their_clock::CLOCKS_APART;
use crate::upstream::Upstream;
use crate::worker::Setting;
use crate::{Error, Result};

/// The newest message batches of a workspace: where a listing begins.
pub(super) struct Newest {
    pub(super) page: Page<MessageBatch>,
    /// When it was asked for, on our clock.
    pub(super) asked: OffsetDateTime,
    /// How far Anthropic's clock is ahead of ours; none when it did not say, or
    /// said it too long after we looked at ours.
    pub(super) ahead: Option<time::Duration>,
    /// It did not say, as behind a gateway that drops the header.
    pub(super) undated: bool,
}

/// Begins a listing.
pub(super) async fn newest(setting: &Setting, upstream: &Upstream) -> Result<Newest> {
    let asked = setting.clock.now().await?;
    let answer = upstream.batches(None).await?;
    let late = setting.clock.now().await? - asked;
    let ahead = answer.date.map(|date| date - asked);
    Ok(Newest {
        page: answer.value,
        undated: ahead.is_none(),
        asked,
        ahead: ahead.filter(|_| late < CLOCKS_APART),
    })
}

/// Whose an ended stranger is.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// It does not say so just now.
    Unclear,
    /// Of this send, which waits for it, or is about to be made again.
    OfSend(Key),
    /// It is our batch's own after all: its id was written down meanwhile.
    Known,
    /// Nobody's any more: the jobs of this batch went on without it.
    Twin(Named),
    /// In our form, but of this batch, which no row knows.
    Unheard(BatchId),
    /// As before, and it has its row again, with those of its jobs that waited.
    Recovered,
    /// Somebody else's.
    Foreign,
}

/// Finds out by its lines whose an ended stranger is. Only reads, except that
/// a batch which had merely recognised another message batch lets go of it.
pub(super) async fn whose(
    setting: &Setting,
    upstream: &Upstream,
    seen: &MessageBatch,
) -> Result<Whose> {
    let id = match ingest::peek(upstream, seen).await {
        Ok(Some(id)) => id,
        Ok(None) => return Ok(Whose::Unclear),
        // One that cannot be read does not keep the others of a listing waiting.
        Err(Error::Upstream(error)) => {
            tracing::warn!(upstream_batch = seen.id, %error, "a stranger's results are not readable");
            return Ok(Whose::Unclear);
        }
        Err(error) => return Err(error),
    };
    let Some(id) = id else {
        return Ok(Whose::Foreign);
    };
    let Some(named) = twin::named(&setting.system, upstream.id, id.batch).await? else {
        return Ok(Whose::Unheard(id.batch));
    };
    if named.upstream_batch_id.as_deref() == Some(&seen.id) {
        return Ok(Whose::Known);
    }
    Ok(match named.state {
        // Planned: an earlier create of it was stored against its answer.
        State::Planned | State::Sending | State::Uncertain => Whose::OfSend(named.key),
        State::InProgress | State::Canceling | State::Ended if !named.verified => {
            // What it had recognised by time and count is another's, or its twin.
            let recognised = named.upstream_batch_id.as_deref().unwrap_or_default();
            uncertain::disown(&setting.system, named.key, recognised).await?;
            Whose::OfSend(named.key)
        }
        State::InProgress
        | State::Canceling
        | State::Ended
        | State::Ingested
        | State::Refuted
        | State::Rejected => Whose::Twin(named),
    })
}

/// Settles an ended stranger as far as its lines allow. Returns what it is.
pub(super) async fn settle(
    setting: &Setting,
    upstream: &Upstream,
    seen: &MessageBatch,
    now: OffsetDateTime,
) -> Result<Whose> {
    let whose = match whose(setting, upstream, seen).await? {
        Whose::Unheard(batch) => recovered(setting, upstream, seen, batch, now).await?,
        whose => whose,
    };
    match &whose {
        Whose::Unclear | Whose::Known | Whose::Recovered => {}
        Whose::OfSend(key) => {
            if !adopt(setting, *key, seen, true, now).await? {
                return Ok(Whose::Known);
            }
        }
        Whose::Twin(named) => {
            let detail = format!(
                "Anthropic held {} of {} requests, and its jobs went on without it",
                seen.id,
                seen.request_counts.total()
            );
            let note = Note {
                tenant: Some(named.key.tenant),
                batch: Some(named.key.batch),
                detail: &detail,
                ..late_twin(upstream, &seen.id, now)
            };
            if twin::found(&setting.system, upstream.id, &seen.id, &note).await? {
                tracing::error!(
                    batch = %named.key.batch, upstream_batch = seen.id, state = %named.state,
                    "a late twin: Anthropic holds a batch whose jobs went on without it"
                );
            }
        }
        Whose::Unheard(_) if upstream.is_dedicated(&setting.options) => {
            let note = Note {
                detail: "its requests have ids of our form, and no batch of ours is named by them",
                ..unheard(upstream, &seen.id, now)
            };
            if twin::found(&setting.system, upstream.id, &seen.id, &note).await? {
                tracing::error!(
                    upstream_batch = seen.id,
                    "Anthropic holds a batch in our form that this database does not know"
                );
            }
        }
        // In a shared workspace maybe another offpeak's: said once, not of each of
        // its batches, and not taken for ours.
        Whose::Unheard(_) => {
            let detail = format!(
                "the requests of {} have ids of our form, and no batch of ours is named by them; \
                 there may be more of these, which are not noted",
                seen.id
            );
            let note = Note {
                upstream_batch_id: None,
                detail: &detail,
                ..unheard(upstream, &seen.id, now)
            };
            // Before it counts as known: dying between must not leave it unsaid.
            if incident::note(&setting.system, &note).await? {
                tracing::error!(
                    upstream_batch = seen.id,
                    "Anthropic holds a batch in our form that this database does not know"
                );
            }
            uncertain::foreign(&setting.system, upstream.id, &seen.id).await?;
        }
        Whose::Foreign => uncertain::foreign(&setting.system, upstream.id, &seen.id).await?,
    }
    Ok(whose)
}

/// Takes over what is ours and no row knows, if its jobs still wait.
pub(super) async fn recovered(
    setting: &Setting,
    upstream: &Upstream,
    seen: &MessageBatch,
    batch: BatchId,
    now: OffsetDateTime,
) -> Result<Whose> {
    let note = unheard(upstream, &seen.id, now);
    match recover::recover(setting, upstream, seen, batch, &note, now).await {
        Ok(Recovered::Again) => {
            point!("reconcile.recovered");
            Ok(Whose::Recovered)
        }
        Ok(Recovered::Nothing) => Ok(Whose::Unheard(batch)),
        Ok(Recovered::Unclear) => Ok(Whose::Unclear),
        Err(Error::Upstream(error)) => {
            tracing::warn!(upstream_batch = seen.id, %error, "a lost batch is not readable");
            Ok(Whose::Unclear)
        }
        Err(error) => Err(error),
    }
}

/// What is noted for a twin, without what is known of its batch.
pub(super) fn late_twin<'a>(upstream: &Upstream, id: &'a str, at: OffsetDateTime) -> Note<'a> {
    Note {
        kind: Kind::LateTwin,
        at,
        upstream: Some(upstream.id),
        tenant: None,
        batch: None,
        upstream_batch_id: Some(id),
        detail: "",
    }
}

/// What is noted for a batch of ours that no row knows.
pub(super) fn unheard<'a>(upstream: &Upstream, id: &'a str, at: OffsetDateTime) -> Note<'a> {
    Note {
        kind: Kind::UpstreamUnknownBatch,
        ..late_twin(upstream, id, at)
    }
}

/// Writes down that a send became this message batch. False when the batch is
/// not looking for it any more, or somebody has it for certain: the next
/// listing sees what is true then.
pub(super) async fn adopt(
    setting: &Setting,
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
    match batch::stored(&setting.system, key, &stored).await {
        Ok(()) => {}
        Err(StoreError::Moved(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    point!("rescue.adopted");
    tracing::info!(batch = %key.batch, upstream_batch = seen.id, verified, "send adopted");
    Ok(true)
}
