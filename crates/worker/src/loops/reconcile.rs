//! Compares what Anthropic holds with a database that may have forgotten it:
//! after a failover, a restore, or a restart of the server. Until that is done,
//! nothing is sent (`batch::begin_send` asks in its own statement).
//!
//! It never sends and never cancels. What is listed and unknown keeps back the
//! jobs that may be in it, until it has ended and its lines say whose it is. If
//! the process dies here, the listing is made again.

use std::sync::Arc;

use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus};
use offpeak_domain::comparison::{ALIVE_EVERY, Cause, Database, Standing, Step, first_free};
use offpeak_domain::comparison::{since, step};
use offpeak_domain::incident::Kind;
use offpeak_store::hold::{self, Hold};
use offpeak_store::incident::Note;
use offpeak_store::{comparison, mutant, point, uncertain};
use time::OffsetDateTime;

use super::stranger::{self, Whose};
use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};

pub(crate) struct Reconcile(pub(crate) Arc<Setting>);

/// What is to be done for one upstream.
struct Due {
    present: Database,
    standing: Option<Standing>,
    step: Step,
    /// When one of what is held is to be looked at.
    look: Option<OffsetDateTime>,
    /// Whether a sign of life is due.
    alive: bool,
}

impl Due {
    fn is_nothing(&self, now: OffsetDateTime) -> bool {
        let waits = match self.step {
            Step::Rest => !self.alive,
            Step::Wait(until) => until > now,
            Step::Begin | Step::Doubt(_) | Step::Notice(_) | Step::List => false,
        };
        waits && self.look.is_none_or(|look| look > now)
    }

    fn next(&self, now: OffsetDateTime) -> OffsetDateTime {
        let step = match self.step {
            Step::Wait(until) => until,
            Step::Rest => now + ALIVE_EVERY,
            Step::Begin | Step::Doubt(_) | Step::Notice(_) | Step::List => now,
        };
        self.look.map_or(step, |look| look.min(step))
    }
}

impl Reconcile {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let now = self.0.clock.now().await?;
        let mut outcome = Outcome::default();
        let mut next: Option<OffsetDateTime> = None;
        let mut failed = None;
        for upstream in self.0.upstreams().iter() {
            match self.of(upstream, now, &mut outcome).await {
                Ok(then) => next = [next, Some(then)].into_iter().flatten().min(),
                // One upstream in trouble does not keep the others waiting.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        outcome.wait = match next {
            _ if outcome.done > 0 => Wait::Now,
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
    ) -> Result<OffsetDateTime> {
        let due = self.due(upstream, now).await?;
        upstream.show_held("hold", due.look.is_some());
        if due.is_nothing(now) {
            return Ok(due.next(now));
        }
        let Some(led) = self.0.lead(&format!("reconcile/{}", upstream.id)).await? else {
            return Ok(now + self.0.options.list_every);
        };
        let leader = Self(led.setting());
        // Asked again: another process may have been faster.
        let due = leader.due(upstream, now).await?;
        leader.act(upstream, &due, now, outcome).await?;
        leader.follow(upstream, now, outcome).await?;
        Ok(leader.due(upstream, now).await?.next(now))
    }

    async fn due(&self, upstream: &Upstream, now: OffsetDateTime) -> Result<Due> {
        let system = &self.0.system;
        let present = comparison::present(system).await?;
        let standing = comparison::standing(system, upstream.id).await?;
        let settle = self.0.options.settle_time;
        let before = match standing {
            Some(_) => None,
            None => comparison::before(system, upstream.id).await?,
        };
        Ok(Due {
            step: step(now, &present, standing.as_ref(), before, settle),
            look: hold::next_look(system, upstream.id).await?,
            alive: standing
                .as_ref()
                .is_some_and(|standing| now >= standing.alive_at + ALIVE_EVERY),
            present,
            standing,
        })
    }

    async fn act(
        &self,
        upstream: &Upstream,
        due: &Due,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let system = &self.0.system;
        match due.step {
            Step::Begin => {
                comparison::begin(system, upstream.id, now).await?;
                outcome.done += 1;
                outcome.wakes.extend([Loop::Form, Loop::Submit]);
            }
            Step::Doubt(alive_at) => {
                comparison::doubt(system, upstream.id, alive_at).await?;
                outcome.done += 1;
            }
            Step::Rest if due.alive => comparison::alive(system, upstream.id, now).await?,
            Step::Rest | Step::Wait(_) => {}
            Step::Notice(cause) => {
                self.notice(upstream, due, cause, now).await?;
                outcome.done += 1;
            }
            Step::List => {
                self.compare(upstream, due, now, outcome).await?;
                outcome.done += 1;
            }
        }
        Ok(())
    }

    /// Writes down that a comparison begins, and says why.
    async fn notice(
        &self,
        upstream: &Upstream,
        due: &Due,
        cause: Cause,
        now: OffsetDateTime,
    ) -> Result<()> {
        let was = due.standing.as_ref().and_then(|one| one.compared.as_ref());
        let detail = format!(
            "it was {}, and is {} (system, timeline, table)",
            was.map_or("unknown", |was| &was.incarnation),
            due.present.incarnation
        );
        let note = Note {
            kind: Kind::DatabaseChanged,
            at: now,
            upstream: Some(upstream.id),
            tenant: None,
            batch: None,
            upstream_batch_id: None,
            detail: &detail,
        };
        let note = (cause == Cause::Changed).then_some(&note);
        let system = &self.0.system;
        comparison::notice(system, upstream.id, &due.present, cause, now, note).await?;
        match cause {
            Cause::Changed => tracing::error!(
                upstream = %upstream.id, %detail,
                "the database is another one: nothing is sent before Anthropic's list was compared"
            ),
            Cause::Asked | Cause::Restarted => tracing::warn!(
                upstream = %upstream.id, %cause,
                "nothing is sent before Anthropic's list was compared with the database"
            ),
        }
        Ok(())
    }

    /// Makes one complete listing. After the last one may be sent.
    async fn compare(
        &self,
        upstream: &Upstream,
        due: &Due,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let Some(standing) = &due.standing else {
            return Ok(());
        };
        let Some(mut under_way) = standing.under_way.clone() else {
            return Ok(());
        };
        let since = since(standing.alive_at, self.0.options.send_within);
        let (system, of) = (&self.0.system, &under_way.of);
        if mutant!("no_reconcile") {
            return Ok(comparison::done(system, upstream.id, of, now).await?);
        }
        let begun = self.list(upstream, since, under_way.cause, outcome).await?;
        point!("reconcile.listed");
        comparison::listed(system, upstream.id, of, begun).await?;
        under_way.listings += 1;
        under_way.listed_at = Some(begun);
        if under_way.is_done(self.0.options.settle_time) {
            comparison::done(system, upstream.id, &under_way.of, now).await?;
            tracing::warn!(
                upstream = %upstream.id, listings = under_way.listings,
                "Anthropic's list was compared with the database: batches are sent again"
            );
            outcome.wakes.extend([Loop::Form, Loop::Submit]);
        }
        Ok(())
    }

    /// Lists everything since then, the newest first, so that of several tries of
    /// one job the last is met first. Returns when the listing began.
    async fn list(
        &self,
        upstream: &Upstream,
        since: OffsetDateTime,
        cause: Cause,
        outcome: &mut Outcome,
    ) -> Result<OffsetDateTime> {
        let newest = stranger::newest(&self.0, upstream).await?;
        let (begun, ahead) = (newest.asked, newest.ahead);
        let since = since + ahead.unwrap_or_default();
        let mut page = newest.page;
        loop {
            let past = page.data.last().is_none_or(|last| last.created_at < since);
            let ids: Vec<String> = page.data.iter().map(|seen| seen.id.clone()).collect();
            let mut known = uncertain::known(&self.0.system, upstream.id, &ids).await?;
            // What is only guessed to be a batch's may hold other jobs, which
            // were forgotten.
            known.retain(|known| !(known.guessed && cause.is_full()));
            for seen in page.data {
                if seen.created_at < since || known.iter().any(|known| known.id == seen.id) {
                    continue;
                }
                if self.is_clear(upstream, &seen, begun, outcome).await? {
                    continue;
                }
                // In a shared workspace it may be anybody's, and after an ordinary
                // restart nothing is missing here.
                if cause.is_full() || upstream.is_dedicated(&self.0.options) {
                    self.hold(upstream, &seen, cause, ahead, begun).await?;
                }
            }
            let Some(after) = page.last_id.filter(|_| page.has_more && !past) else {
                return Ok(begun);
            };
            page = upstream.batches(Some(&after)).await?.value;
        }
    }

    /// Whether it is known by its lines whose it is, which is settled then.
    async fn is_clear(
        &self,
        upstream: &Upstream,
        seen: &MessageBatch,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<bool> {
        if seen.processing_status != ProcessingStatus::Ended {
            return Ok(false);
        }
        let whose = stranger::settle(&self.0, upstream, seen, now).await?;
        if matches!(whose, Whose::OfSend(_) | Whose::Recovered) {
            outcome.wakes.push(Loop::Poll);
        }
        Ok(!matches!(whose, Whose::Unclear))
    }

    /// Keeps back what may be in it.
    async fn hold(
        &self,
        upstream: &Upstream,
        seen: &MessageBatch,
        cause: Cause,
        ahead: Option<time::Duration>,
        begun: OffsetDateTime,
    ) -> Result<()> {
        let hold = Hold {
            upstream: upstream.id,
            upstream_batch_id: seen.id.clone(),
            created_at: seen.created_at,
            // Times that cannot be compared keep back everything that there is.
            first_free: first_free(ahead.map_or(begun, |ahead| seen.created_at - ahead)),
        };
        if hold::put(&self.0.system, &hold, cause, begun).await? {
            tracing::warn!(
                upstream_batch = seen.id, created_at = %seen.created_at,
                "an unknown batch at Anthropic may hold our jobs: those from before it wait until \
                 it has ended"
            );
        }
        Ok(())
    }

    /// Looks at what is held, as far as that is due.
    async fn follow(
        &self,
        upstream: &Upstream,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let system = &self.0.system;
        let mut gone = hold::let_known_go(system, upstream.id).await?;
        // Each is put off to later when it is looked at, so this comes to an end.
        while let Some(id) = hold::due(system, upstream.id, now).await? {
            let later = now + self.0.options.poll_every;
            hold::look_again(system, upstream.id, &id, later).await?;
            let seen = match upstream.batch(&id).await {
                Ok(seen) => seen,
                // Also when Anthropic does not know it: that may be a credential
                // of another workspace, and proves nothing.
                Err(error) => {
                    tracing::warn!(upstream_batch = id, %error, "a held batch is not to be had");
                    continue;
                }
            };
            if self.is_clear(upstream, &seen, now, outcome).await? {
                hold::let_go(system, upstream.id, &id).await?;
                tracing::info!(
                    upstream_batch = id,
                    "a held batch is known, and holds up nothing"
                );
                gone += 1;
            }
        }
        if gone > 0 {
            outcome.done += gone;
            outcome.wakes.extend([Loop::Form, Loop::Submit]);
        }
        Ok(())
    }
}
