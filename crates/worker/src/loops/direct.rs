//! Calls for urgent jobs: commits the intent, calls once, writes down the answer.
//!
//! The order is that of `submit`: the call is `sending` in the database before its
//! first byte leaves, and it is made once, whatever comes back. But a call cannot
//! be looked up afterwards. If its answer is lost, or the process dies here, the
//! job's type decides: it fails, or it is called for again, at the deployment's
//! risk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use offpeak_anthropic::disposition::{Absence, Disposition, Refusal, of_create};
use offpeak_anthropic::shape::{ResultKind, ResultLine, errored_line, succeeded_line};
use offpeak_anthropic::{Error as CallError, Line};
use offpeak_domain::breaker::{Call as Kind, LONGEST_TOLD};
use offpeak_domain::id::{BatchId, CustomId, Minter, UpstreamId};
use offpeak_domain::incident;
use offpeak_domain::job::{Failure, Lane, OnUnknown};
use offpeak_domain::job_type::OutputChecker;
use offpeak_domain::retry;
use offpeak_store::batch::Marked;
use offpeak_store::call::{self, Alike, Begin, Call, Candidate, Opened};
use offpeak_store::incident::Note;
use offpeak_store::lease::uptime;
use offpeak_store::settle::{CallEnd, Chunk, Next};
use offpeak_store::turnaround::Took;
use offpeak_store::{Error as StoreError, System, point};
use rand::RngExt;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::caching;
use crate::chunk::{self, Lines, Sorted};
use crate::outcome::{Outcome, Seen, Wait};
use crate::pause::READ_AGAIN;
use crate::price::{measured, usage, without_price};
use crate::upload::put_params;
use crate::upstream::{MayCreate, Upstream};
use crate::worker::{Loop, Setting};
use crate::{Error, Result};

/// Times that an answer is offered to a database that is away. After that the call
/// is left behind, and its outcome unknown.
const OFFERS: u32 = 6;
/// Jobs looked at to find one that nobody else is calling for.
const CANDIDATES: i64 = 16;
/// Until a job is looked at again whose params do not open.
const CLOSED: Duration = Duration::from_mins(10);
/// Between two looks while calls may not be made for a reason of the moment.
const MOMENT: Duration = Duration::from_secs(1);
/// A process that was held up for longer asks whether its call is still its own.
const HELD_UP: Duration = Duration::from_secs(1);

pub(crate) struct Direct(pub(crate) Arc<Setting>);

/// What came of a call.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    /// In a word.
    outcome: &'static str,
    /// Jobs that it ended after their deadline.
    late: u64,
}

/// What an answer says.
enum Answer {
    /// It is, or would be, this line in the results of a batch.
    Line(Vec<u8>),
    /// Nothing came of the call; another may be made then.
    NotMade(OffsetDateTime),
    /// It may have been billed.
    Unknown,
}

impl Direct {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let upstreams = self.0.upstreams();
        // Not always the same one first: its jobs would keep the others waiting.
        let first = self.0.random().random_range(0..upstreams.len().max(1));
        let mut held: Option<Duration> = None;
        for upstream in upstreams.iter().cycle().skip(first).take(upstreams.len()) {
            match self.call_one(upstream).await {
                Ok(Some(came)) => {
                    return Ok(Outcome {
                        done: 1,
                        wait: Wait::Now,
                        wakes: vec![Loop::Share],
                        seen: Seen {
                            called: Some(came.outcome),
                            missed: came.late,
                            ..Seen::default()
                        },
                        ..Outcome::default()
                    });
                }
                Ok(None) => {}
                Err(Error::Upstream(CallError::Held { wait })) => {
                    held = Some(held.map_or(wait, |least| least.min(wait)));
                }
                Err(error) => return Err(error),
            }
        }
        let now = self.0.clock.now().await?;
        let next = call::next_due(&self.0.system).await?;
        let due = next.map(|next| Duration::try_from(next - now).unwrap_or_default());
        Ok(Outcome {
            wait: match (due, held) {
                (None, _) => Wait::Idle,
                (Some(due), held) => Wait::For(due.max(held.unwrap_or(MOMENT)).max(MOMENT)),
            },
            ..Outcome::default()
        })
    }

    /// Calls for one job of this upstream, if one may be called for.
    async fn call_one(&self, upstream: &Upstream) -> Result<Option<Came>> {
        if let Some(wait) = upstream.held(Kind::Message) {
            return Err(CallError::Held { wait }.into());
        }
        let setting = &self.0;
        let now = setting.clock.now().await?;
        // A few, because another copy of this loop may be faster with the first.
        let waiting = call::candidates(&setting.system, upstream.id, now, CANDIDATES).await?;
        if waiting.is_empty() {
            return Ok(None);
        }
        // Nothing may be sent by a process that could not say it is alive.
        let Some(alive) = setting.lead(&setting.alive_lease()).await? else {
            return Ok(None);
        };
        let system = &alive.setting().system;
        for candidate in waiting {
            let may = upstream.may_call().await?;
            match self.call(upstream, &candidate, may, system).await {
                Ok(Some(came)) => return Ok(Some(came)),
                Ok(None) => {}
                // Nobody can send it as it is, and the others need not wait for that.
                Err(Error::Store(error @ StoreError::Unopened { .. })) => {
                    tracing::error!(%error, job = %candidate.job, "it is not called for");
                    call::put_off(system, &candidate, now + CLOSED).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Calls for one job. Nothing when another process was faster, or enough calls
    /// are under way.
    async fn call(
        &self,
        upstream: &Upstream,
        candidate: &Candidate,
        may: MayCreate,
        alive: &System,
    ) -> Result<Option<Came>> {
        let setting = &self.0;
        let within = setting.options.call_within;
        let begun = setting.clock.now().await?;
        let since = uptime();
        let id: BatchId = Minter::new(begun, setting.random()).mint();
        let intent = Begin {
            id,
            upstream: upstream.id,
            now: begun,
            // Its own deadline passes before anybody gives it up.
            within: within + HELD_UP,
            sender: setting.process,
            sender_lease: &setting.alive_lease(),
            parallel: setting.options.parallel_calls,
        };
        let mark = |alike: &Alike| caching::called(setting, alike, begun).decide();
        // The intent is committed only while this process counts as alive.
        let Some(opened) = call::open(alive, candidate, &intent, mark).await? else {
            return Ok(None);
        };
        point!("direct.intent");
        if uptime().saturating_sub(since) > HELD_UP
            && !call::is_sending(&setting.system, &opened.call, setting.process).await?
        {
            // Somebody has said already that nobody knows what came of it.
            return Ok(Some(Came {
                outcome: "given_up",
                late: 0,
            }));
        }
        let Opened {
            call,
            params,
            marked,
        } = opened;
        let params = Bytes::from(params);
        let body = marked.map_or_else(|| params.clone(), |marked| with_mark(&params, marked));
        let answer = upstream.message(may, body, within).await;
        point!("direct.answered");
        let now = setting.clock.now().await.unwrap_or(begun);
        let answer = match answer {
            Ok(message) => Answer::Line(succeeded_line(&name(&call), &message)),
            Err(error) => self.meaning(&call, &error, now),
        };
        let took = Took {
            upstream: upstream.id,
            lane: Lane::Direct,
            begun,
            items: 1,
            time: Duration::try_from(now - begun).unwrap_or_default(),
        };
        let came = self.write(&call, &answer, &params, &took).await?;
        point!("direct.settled");
        Ok(Some(came))
    }

    /// What is to be written down after a call that gave no message.
    fn meaning(&self, call: &Call, error: &CallError, now: OffsetDateTime) -> Answer {
        let disposition = of_create(error);
        let disposition = if self.0.options.overloaded_is_uncertain {
            disposition.doubting_overload()
        } else {
            disposition
        };
        tracing::warn!(
            job = %call.job, %error, request = error.request_id(), ?disposition,
            "direct call without a message"
        );
        let backoff = retry::backoff(2, self.0.unit_random());
        match (disposition, error) {
            (Disposition::Refused(Refusal::TooLarge), _) => {
                Answer::Line(errored(call, "request_too_large", error))
            }
            (Disposition::Refused(Refusal::Invalid), _) => {
                Answer::Line(errored(call, "invalid_request_error", error))
            }
            (Disposition::NotCreated(Absence::Declined), CallError::Api(said))
                if said.status == 404 =>
            {
                Answer::Line(errored(call, "not_found_error", error))
            }
            (Disposition::NotCreated(_), _) => Answer::NotMade(now + backoff),
            (Disposition::RetryAfter(wait), _) => {
                Answer::NotMade(now + wait.map_or(backoff, |wait| wait.min(LONGEST_TOLD)))
            }
            (Disposition::Paused(_), _) => Answer::NotMade(now + READ_AGAIN),
            // An error in the API's own form is the answer: there is no message, and
            // what has failed is not billed. That it ran out of time is none.
            (Disposition::Uncertain, CallError::Api(said))
                if matches!(said.status, 500..=503 | 529)
                    && !self.0.options.overloaded_is_uncertain =>
            {
                Answer::Line(errored(call, &said.kind.to_string(), error))
            }
            (Disposition::Uncertain, _) => Answer::Unknown,
        }
    }

    /// Writes an answer down, and offers it again while the database is away:
    /// nobody else has it.
    async fn write(
        &self,
        call: &Call,
        answer: &Answer,
        params: &Bytes,
        took: &Took,
    ) -> Result<Came> {
        for offer in 1.. {
            match self.write_once(call, answer, params, took).await {
                Err(Error::Store(error))
                    if (error.is_transient() || error.is_conflict()) && offer < OFFERS =>
                {
                    tracing::warn!(job = %call.job, %error, "answer not written yet");
                    let wait = retry::backoff(offer, self.0.unit_random());
                    self.0.pause(wait.min(Duration::from_secs(5))).await;
                }
                done => return done,
            }
        }
        Ok(Came::default())
    }

    async fn write_once(
        &self,
        call: &Call,
        answer: &Answer,
        params: &Bytes,
        took: &Took,
    ) -> Result<Came> {
        let setting = &self.0;
        let came = |outcome| Came { outcome, late: 0 };
        match answer {
            Answer::Line(line) => match self.settle(call, line, params, took, false).await {
                Err(Error::Store(StoreError::Moved(_))) => {
                    self.came_late(call, line).await?;
                    Ok(came("given_up"))
                }
                // The database refuses what stands in it.
                Err(Error::Store(error)) if error.is_about_data() => {
                    tracing::error!(job = %call.job, %error, "unusable answer");
                    self.settle(call, line, params, took, true).await
                }
                settled => settled,
            },
            Answer::NotMade(at) => {
                match call::not_made(&setting.system, call, setting.process, *at).await {
                    Ok(()) | Err(StoreError::Moved(_)) => Ok(came("not_made")),
                    Err(error) => Err(error.into()),
                }
            }
            Answer::Unknown => {
                let why = "the call was made, and no answer came";
                lost(setting, took.upstream, call, Some(setting.process), why).await?;
                Ok(came("unknown"))
            }
        }
    }

    /// Settles the call's line as one of a batch's results.
    async fn settle(
        &self,
        call: &Call,
        line: &[u8],
        params: &Bytes,
        took: &Took,
        unreadable: bool,
    ) -> Result<Came> {
        let setting = &self.0;
        let now = setting.clock.now().await?;
        let whole = Line::Whole {
            bytes: Bytes::copy_from_slice(line),
            terminated: true,
        };
        let mut lines = Lines::default();
        if let Sorted::Ours(ours) = chunk::sort(whole, call.key.batch) {
            lines.push(ours);
        }
        if unreadable {
            lines = lines.into_unreadable();
        }
        let sender = Some(setting.process);
        let (mut chunk, released) =
            Chunk::of_call(&setting.system, call, CallEnd::Done, sender).await?;
        let mut fits = HashMap::new();
        if released.structured {
            let asked = HashMap::from([(call.job, params.to_vec())]);
            lines.check(&asked, &mut OutputChecker::new(), &mut fits);
        }
        let day = now.date();
        let mut released = HashMap::from([(call.job, released)]);
        let effects = lines.effects(setting, (Lane::Direct, day), &mut released, &fits);
        let answered = effects.iter().any(|effect| effect.billed);
        let late = chunk::late(&effects, now);
        if answered {
            chunk.took(took).await?;
        }
        chunk.commit(now, day, &effects).await?;
        Ok(Came {
            outcome: if answered { "answered" } else { "errored" },
            late,
        })
    }

    /// An answer after the call was given up: what it cost is absorbed.
    async fn came_late(&self, call: &Call, line: &[u8]) -> Result<()> {
        let setting = &self.0;
        let now = setting.clock.now().await?;
        let Ok(ResultLine {
            result: ResultKind::Succeeded(said),
            ..
        }) = ResultLine::parse(line)
        else {
            return Ok(());
        };
        let (used, day) = (usage(&said.usage), now.date());
        let booked = measured(&setting.prices, &used, &said.model, day, Lane::Direct)
            .unwrap_or_else(|error| {
                tracing::error!(job = %call.job, %error, "absorbed without a price");
                without_price(&used)
            });
        tracing::warn!(job = %call.job, "a direct call was answered after it was given up");
        let system = &setting.system;
        call::came_late(system, call, (now, day), &said.model, &booked).await?;
        Ok(())
    }
}

/// Nobody knows what came of this call: notes it, and goes on as its job's type
/// says. False when the call has come to an end meanwhile.
pub(super) async fn lost(
    setting: &Setting,
    upstream: UpstreamId,
    call: &Call,
    sender: Option<Uuid>,
    why: &str,
) -> Result<bool> {
    let now = setting.clock.now().await?;
    let begun = Chunk::of_call(&setting.system, call, CallEnd::Unknown, sender).await;
    let (mut chunk, released) = match begun {
        Err(StoreError::Moved(_)) => return Ok(false),
        begun => begun?,
    };
    let name = call.name();
    let note = Note {
        kind: incident::Kind::OutcomeUnknown,
        at: now,
        upstream: Some(upstream),
        tenant: Some(call.key.tenant),
        batch: None,
        upstream_batch_id: Some(&name),
        detail: why,
    };
    chunk.note(&note).await?;
    let failure = Failure::OutcomeUnknown;
    let tries = released.tries + 1;
    let again = call.on_unknown == OnUnknown::Retry && tries < setting.options.rules.max_tries;
    let effect = chunk::without(released, failure).map(|mut effect| {
        let after = retry::backoff(tries, setting.unit_random());
        effect.next = match effect.next {
            Next::End { .. } if again => Next::Again {
                as_outcome: "errored",
                label: Some(failure.label().to_owned()),
                counts: true,
                after,
                max_items: None,
            },
            Next::Leave {
                as_outcome, label, ..
            } if again => Next::Leave {
                as_outcome,
                label,
                after: Some(after),
            },
            next => next,
        };
        effect
    });
    let effects: Vec<_> = effect.into_iter().collect();
    chunk.commit(now, now.date(), &effects).await?;
    tracing::error!(job = %call.job, again, why, "the outcome of a direct call is unknown");
    Ok(true)
}

fn with_mark(params: &[u8], marked: Marked) -> Bytes {
    let mut body = BytesMut::with_capacity(params.len() + marked.mark.text().len());
    put_params(&mut body, params, Some(marked));
    body.freeze()
}

/// An error as a line of a batch's results.
fn errored(call: &Call, kind: &str, error: &CallError) -> Vec<u8> {
    let message = match error {
        // Its request's own affair: kept where only its tenant sees it.
        CallError::Api(error) => error.detail().to_owned(),
        other => other.to_string(),
    };
    errored_line(&name(call), kind, &message, error.request_id())
}

fn name(call: &Call) -> String {
    CustomId {
        job: call.job,
        batch: call.key.batch,
    }
    .to_string()
}
