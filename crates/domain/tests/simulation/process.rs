//! What a process does: the loops, cut at every point at which it may die.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::id::{BucketId, TenantId};
use offpeak_domain::job::Outcome;
use offpeak_domain::plan::{BucketFacts, Budget, Held, Limits, TenantShare, plan};
use offpeak_domain::price::Usage;
use offpeak_domain::reconcile::{Candidate, Clocks, SKEW, Uncertain, Verdict, reconcile};
use offpeak_domain::settle::{Line, Rules, Settlement, Standing, is_billed, settle};
use rand::RngExt;
use uuid::Uuid;

use crate::Flaw;
use crate::store::{Batch, Place, Send};
use crate::time::{Ms, SECOND, at};
use crate::upstream::{Answer, Kind};
use crate::world::{Event, SETTLE, Step, WITHIN, World};

/// Lines settled in one transaction.
const CHUNK: usize = 2;

impl World {
    pub(crate) fn tick(&mut self, process: usize) {
        self.store.abandon(self.now);
        self.store.free(self.now);
        self.form(process);
        self.submit(process);
        self.poll();
        self.ingest(process);
        self.rescue(process);
    }

    fn form(&mut self, process: usize) {
        let mut facts = Vec::new();
        let mut shares = Vec::new();
        for tenant in 0..self.tenants {
            let ready: Vec<_> = self
                .store
                .jobs
                .iter()
                .filter(|job| job.tenant == tenant && job.place == Place::Ready)
                .filter(|job| job.not_before <= self.now)
                .collect();
            let since = ready.iter().map(|job| job.since);
            let (Some(oldest), Some(newest)) = (since.clone().min(), since.max()) else {
                continue;
            };
            let id = Uuid::from_u128(tenant as u128 + 1);
            facts.push(BucketFacts {
                tenant: TenantId::from_uuid(id),
                bucket: BucketId::from_uuid(id),
                items: ready.len() as u64,
                bytes: 100 * ready.len() as u64,
                oldest: at(oldest),
                newest: at(newest),
                earliest_deadline: None,
                item_cap: ready.iter().filter_map(|job| job.max_items).min(),
            });
            shares.push(TenantShare {
                tenant: TenantId::from_uuid(id),
                weight: 100,
                vtime: 0,
                held: Held::default(),
            });
        }
        let limits = Limits {
            max_items: self.max_items,
            ..Limits::default()
        };
        let budget = Budget {
            creates_left: 3,
            creates_per_minute: 50,
            queue_left: 1_000,
            shared: None,
        };
        for close in plan(at(self.now), &facts, &shares, &limits, &budget).close {
            let tenant = usize::try_from(close.tenant.as_uuid().as_u128() - 1).unwrap_or(0);
            let most = close.max_items;
            self.then(process, Step::Claim { tenant, most });
        }
    }

    fn submit(&mut self, process: usize) {
        let Some(batch) = self.store.begin_send(process, self.now, WITHIN) else {
            return;
        };
        let row = &self.store.batches[batch];
        let (Some(send), jobs) = (row.send, row.inflight.iter().copied().collect()) else {
            return;
        };
        self.then(process, Step::LastByte { batch, send, jobs });
    }

    fn poll(&mut self) {
        for batch in 0..self.store.batches.len() {
            let row = &self.store.batches[batch];
            let remote = row.remote.map(|remote| &self.upstream.remotes[remote]);
            if remote.is_some_and(|remote| remote.ends_at <= self.now) {
                self.store.ended(batch);
            }
        }
    }

    fn ingest(&mut self, process: usize) {
        for batch in 0..self.store.batches.len() {
            if self.store.batches[batch].state == State::Ended {
                self.then(process, Step::Settle { batch, from: 0 });
            }
        }
    }

    fn rescue(&mut self, process: usize) {
        let due = self.store.batches.iter().any(|batch| {
            batch.state == State::Uncertain
                && batch
                    .last_listing
                    .is_none_or(|last| last + 60 * SECOND <= self.now)
        });
        if !due {
            return;
        }
        let begun = self.now;
        let visible: Vec<usize> = self
            .upstream
            .remotes
            .iter()
            .enumerate()
            .filter(|(_, remote)| remote.visible_at <= begun)
            .map(|(remote, _)| remote)
            .collect();
        // A listing may leave out what others show.
        let flaps = self.upstream.manner.flaps;
        let shown = visible
            .into_iter()
            .filter(|_| !self.rng.random_bool(flaps))
            .collect();
        self.then(process, Step::Judge { begun, shown });
    }

    pub(crate) fn step(&mut self, process: usize, step: Step) {
        match step {
            Step::Claim { tenant, most } => self.store.claim(tenant, most, self.now),
            Step::LastByte { batch, send, jobs } => self.last_byte(process, batch, send, jobs),
            Step::Write {
                batch,
                send,
                answer,
            } => self.write(process, batch, send, answer),
            Step::Judge { begun, shown } => self.judge(begun, &shown),
            Step::Settle { batch, from } => self.settle(process, batch, from),
        }
    }

    fn last_byte(&mut self, process: usize, batch: usize, send: Send, jobs: Vec<usize>) {
        if !self.store.still_sending(batch, send, self.now) {
            let answer = Answer::NotStored;
            let step = Step::Write {
                batch,
                send,
                answer,
            };
            return self.then(process, step);
        }
        let lost = self.troubled() && self.rng.random_bool(self.upstream.manner.trouble / 3.0);
        let life = self.lives[process];
        if lost {
            // Nothing arrives, and nothing comes back.
            let answer = Answer::Unclear;
            let step = Step::Write {
                batch,
                send,
                answer,
            };
            let at = send.deadline.max(self.now);
            return self.at(
                at,
                Event::Step {
                    process,
                    life,
                    step,
                },
            );
        }
        let wait = self.rng.random_range(1..900);
        self.at(
            self.now + wait,
            Event::Arrive {
                process,
                life,
                batch,
                send,
                jobs,
            },
        );
    }

    fn write(&mut self, process: usize, batch: usize, send: Send, answer: Answer) {
        // A commit of which nobody knows whether it took place is offered again.
        let fate = self.rng.random_range(0..20);
        if fate != 0 {
            self.write_once(batch, send, answer);
        }
        if fate <= 1 && self.troubled() {
            let step = Step::Write {
                batch,
                send,
                answer,
            };
            self.then(process, step);
        } else if fate == 0 {
            self.write_once(batch, send, answer);
        }
    }

    fn write_once(&mut self, batch: usize, send: Send, answer: Answer) {
        let until = self.now + self.backoff(1);
        match answer {
            Answer::Stored(remote) => {
                self.store.stored(batch, remote, true);
            }
            Answer::NotStored => self.store.not_created(batch, send, until, self.flaw),
            Answer::TooLarge => self.store.refused(batch, send),
            Answer::Unclear if self.flaw == Some(Flaw::RetryCreate) => {
                self.store.not_created(batch, send, until, None);
            }
            Answer::Unclear => self.store.unknown(batch, send),
        }
    }

    /// The reconciler: what has ended names itself, the rest is judged.
    fn judge(&mut self, begun: Ms, shown: &[usize]) {
        for &remote in shown {
            self.upstream.remotes[remote]
                .seen_at
                .get_or_insert(self.now);
        }
        let certain = |batch: &&Batch| batch.verified || self.flaw == Some(Flaw::GuessHides);
        let known: BTreeSet<usize> = self
            .store
            .batches
            .iter()
            .filter(certain)
            .filter_map(|batch| batch.remote)
            .chain(self.store.foreign.iter().copied())
            .collect();
        let mut strangers = Vec::new();
        for &remote in shown.iter().filter(|remote| !known.contains(*remote)) {
            let seen = &self.upstream.remotes[remote];
            if seen.ends_at > begun {
                strangers.push(remote);
                continue;
            }
            match seen.of {
                Some(batch)
                    if matches!(
                        self.store.batches[batch].state,
                        State::Sending | State::Uncertain
                    ) =>
                {
                    self.store.stored(batch, remote, true);
                }
                // It had taken another for its own, and this one names it.
                Some(batch)
                    if self.store.guesses(batch) && self.flaw != Some(Flaw::GuessIsFinal) =>
                {
                    self.store.disown(batch);
                    self.store.stored(batch, remote, true);
                }
                _ => {
                    self.store.foreign.insert(remote);
                }
            }
        }
        let open: Vec<(usize, Send)> = (0..self.store.batches.len())
            .filter(|&batch| {
                let state = self.store.batches[batch].state;
                matches!(state, State::Sending | State::Uncertain)
            })
            .filter_map(|batch| Some((batch, self.store.batches[batch].send?)))
            .collect();
        let mut taken = HashSet::new();
        for &(batch, send) in &open {
            if self.store.batches[batch].state != State::Uncertain {
                continue;
            }
            match self.verdict(batch, send, &open, &strangers, &taken, begun) {
                Verdict::Adopt(index) => {
                    taken.insert(index);
                    let certain = self.flaw == Some(Flaw::TrustGuess);
                    self.store.stored(batch, strangers[index], certain);
                }
                Verdict::Refute => self.store.refute(batch, send, self.now),
                Verdict::Wait { in_sight } => {
                    let in_sight = in_sight && self.flaw != Some(Flaw::SeenCounts);
                    let counts = begun > send.deadline;
                    self.store.listed(batch, send, begun, in_sight, counts);
                }
            }
        }
    }

    fn verdict(
        &self,
        batch: usize,
        send: Send,
        open: &[(usize, Send)],
        strangers: &[usize],
        taken: &HashSet<usize>,
        begun: Ms,
    ) -> Verdict {
        let ahead = time::Duration::milliseconds(self.upstream.manner.skew);
        let guessed: HashSet<usize> = self
            .store
            .batches
            .iter()
            .filter_map(|batch| batch.remote)
            .collect();
        let candidates: Vec<Candidate> = strangers
            .iter()
            .enumerate()
            .map(|(index, &remote)| Candidate {
                created_at: at(self.upstream.remotes[remote].created_at) - ahead,
                total: self.upstream.remotes[remote].total,
                known: false,
                guessed: taken.contains(&index) || guessed.contains(&strangers[index]),
            })
            .collect();
        let items = self.store.batches[batch].items;
        let margin = u64::try_from(SKEW.as_millis()).unwrap_or(0);
        let alike = open
            .iter()
            .filter(|(other, _)| *other != batch && self.store.batches[*other].items == items)
            .filter(|(_, other)| {
                other.sent_at <= send.deadline + 2 * margin
                    && send.sent_at <= other.deadline + 2 * margin
            })
            .count();
        let mut settle = Duration::from_millis(SETTLE);
        let mut listings =
            (begun > send.deadline).then(|| self.store.batches[batch].listings_with(begun));
        match self.flaw {
            Some(Flaw::ShortSettle) => settle = Duration::from_mins(1),
            Some(Flaw::ListingsBefore) => {
                let mut seen = self.store.batches[batch].listings_with(begun);
                (seen.count, seen.first) = (9, at(send.deadline + 1));
                seen.last = seen.first + settle;
                listings = Some(seen);
            }
            _ => {}
        }
        let send = Uncertain {
            items,
            sent_at: at(send.sent_at),
            deadline: at(send.deadline),
        };
        reconcile(
            &send,
            &candidates,
            alike,
            listings,
            settle,
            Clocks::Compared,
        )
    }

    /// Settles a chunk of an ended batch's lines, then goes on; a download may
    /// break off, and the process may be gone before the next chunk.
    fn settle(&mut self, process: usize, batch: usize, from: usize) {
        let row = &self.store.batches[batch];
        let (State::Ended, Some(remote)) = (row.state, row.remote) else {
            return;
        };
        let remote = self.upstream.remotes[remote].clone();
        if remote.of != Some(batch) {
            return self.store.disown(batch);
        }
        self.store.batches[batch].verified = true;
        let until = (from + CHUNK).min(remote.lines.len());
        for &(job, kind) in &remote.lines[from..until] {
            self.line(batch, job, kind);
        }
        let cut = self.troubled() && self.rng.random_bool(self.upstream.manner.cut);
        if until < remote.lines.len() && !cut {
            return self.then(process, Step::Settle { batch, from: until });
        }
        if self.flaw == Some(Flaw::CountLines) {
            self.store.batches[batch].inflight.clear();
        }
        self.store.finish(batch);
    }

    fn line(&mut self, batch: usize, job: usize, kind: Kind) {
        let row = &mut self.store.batches[batch];
        let gone = row.inflight.remove(&job);
        if !gone && self.flaw != Some(Flaw::SettleAlways) {
            return;
        }
        let has_ended = row.canceled.remove(&job);
        let line = match kind {
            Kind::Succeeded => Line::Succeeded {
                stop_reason: Some("end_turn".to_owned()),
                usage: Usage::default(),
                schema_ok: None,
                empty_content: false,
            },
            Kind::Invalid => errored("invalid_request_error"),
            Kind::Overloaded => errored("overloaded_error"),
            Kind::Expired => Line::Expired,
        };
        if is_billed(&line) {
            self.store.ledger.push((job, batch));
        }
        let standing = Standing {
            tries: self.store.jobs[job].tries,
            has_ended,
            is_one_of_two: false,
        };
        let random = self.rng.random();
        let (now, row) = (self.now, &mut self.store.jobs[job]);
        match settle(&line, standing, Rules::default(), random) {
            Settlement::Complete => row.place = Place::Ended(Outcome::Completed),
            Settlement::Fail(_) => row.place = Place::Ended(Outcome::Failed),
            Settlement::Requeue {
                counts,
                not_before_after,
            } => {
                row.place = Place::Ready;
                row.tries += u32::from(counts);
                let wait = u64::try_from(not_before_after.as_millis()).unwrap_or(0);
                row.not_before = now + wait;
                row.since = now;
            }
            Settlement::SetAside | Settlement::LeaveToOther { .. } => {}
        }
    }
}

fn errored(error_type: &str) -> Line {
    Line::Errored {
        error_type: error_type.to_owned(),
    }
}
