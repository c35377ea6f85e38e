//! The database as the rules see it: rows, and the conditions under which each
//! statement of the store takes effect. Every call is one transaction.

use std::collections::BTreeSet;

use offpeak_domain::batch::{Event, State};
use offpeak_domain::job::Outcome;
use offpeak_domain::reconcile::Listings;

use crate::Flaw;
use crate::time::{Ms, at};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ready,
    Inflight(usize),
    Ended(Outcome),
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) tenant: usize,
    pub(crate) place: Place,
    pub(crate) tries: u32,
    pub(crate) not_before: Ms,
    pub(crate) since: Ms,
    pub(crate) max_items: Option<u32>,
}

/// Which send of a batch: a batch that was not stored is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) sender: usize,
    pub(crate) sent_at: Ms,
    pub(crate) deadline: Ms,
}

#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) state: State,
    /// Jobs that are still in flight in it.
    pub(crate) inflight: BTreeSet<usize>,
    /// Of these, the ones that a user has canceled.
    pub(crate) canceled: BTreeSet<usize>,
    pub(crate) items: u64,
    pub(crate) not_before: Ms,
    pub(crate) send: Option<Send>,
    pub(crate) listings: Option<(u32, Ms, Ms)>,
    pub(crate) last_listing: Option<Ms>,
    pub(crate) remote: Option<usize>,
    pub(crate) verified: bool,
    /// When it was refuted.
    pub(crate) refuted_at: Option<Ms>,
    /// Refuted or rejected, and its jobs are free.
    pub(crate) freed: bool,
}

impl Batch {
    pub(crate) fn listings_with(&self, now: Ms) -> Listings {
        let (count, first) = self
            .listings
            .map_or((0, now), |(count, first, _)| (count, first));
        Listings {
            count: count + 1,
            first: at(first),
            last: at(now),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) jobs: Vec<Job>,
    pub(crate) batches: Vec<Batch>,
    /// Booked: (job, batch).
    pub(crate) ledger: Vec<(usize, usize)>,
    /// Upstream's batches that are nothing to adopt.
    pub(crate) foreign: BTreeSet<usize>,
    /// When the lease of each process runs out.
    pub(crate) leases: Vec<Ms>,
}

impl Store {
    /// Takes the event if the state machine allows it.
    fn event(&mut self, batch: usize, event: Event) -> bool {
        match self.batches[batch].state.on(event) {
            Ok(state) => {
                self.batches[batch].state = state;
                true
            }
            Err(_) => false,
        }
    }

    fn state(&self, batch: usize) -> State {
        self.batches[batch].state
    }

    /// Moves up to `most` ready jobs of a tenant into a new batch.
    pub(crate) fn claim(&mut self, tenant: usize, most: u32, now: Ms) {
        let taken: BTreeSet<usize> = (0..self.jobs.len())
            .filter(|&job| {
                let job = &self.jobs[job];
                job.tenant == tenant && job.place == Place::Ready && job.not_before <= now
            })
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect();
        if taken.is_empty() {
            return;
        }
        let batch = self.batches.len();
        for &job in &taken {
            self.jobs[job].place = Place::Inflight(batch);
        }
        self.batches.push(Batch {
            state: State::Planned,
            items: taken.len() as u64,
            inflight: taken,
            canceled: BTreeSet::new(),
            not_before: now,
            send: None,
            listings: None,
            last_listing: None,
            remote: None,
            verified: true,
            refuted_at: None,
            freed: false,
        });
    }

    /// Commits the intent to send the oldest batch that may be sent.
    pub(crate) fn begin_send(&mut self, sender: usize, now: Ms, within: Ms) -> Option<usize> {
        if self.leases[sender] <= now {
            return None;
        }
        let batch = (0..self.batches.len()).find(|&batch| {
            self.state(batch) == State::Planned && self.batches[batch].not_before <= now
        })?;
        self.event(batch, Event::SendStarted);
        let row = &mut self.batches[batch];
        row.send = Some(Send {
            sender,
            sent_at: now,
            deadline: now + within,
        });
        row.listings = None;
        row.last_listing = None;
        for job in std::mem::take(&mut row.canceled) {
            row.inflight.remove(&job);
        }
        row.items = row.inflight.len() as u64;
        if row.inflight.is_empty() {
            row.state = State::Rejected;
            row.freed = true;
            return None;
        }
        Some(batch)
    }

    pub(crate) fn still_sending(&self, batch: usize, send: Send, now: Ms) -> bool {
        let row = &self.batches[batch];
        row.state == State::Sending && row.send == Some(send) && now < send.deadline
    }

    /// Anthropic holds it. Who has it for certain takes it from a mere guess.
    pub(crate) fn stored(&mut self, batch: usize, remote: usize, verified: bool) -> bool {
        let holder = (0..self.batches.len()).find(|&b| self.batches[b].remote == Some(remote));
        match holder {
            Some(holder) if holder == batch => return true,
            Some(holder) if self.batches[holder].verified || !verified => return false,
            Some(holder) => self.disown(holder),
            None => {}
        }
        // An answer or a line is Created, a recognition Adopted; both lead there.
        let event = match self.state(batch) {
            State::Sending => Event::Created,
            _ => Event::Adopted,
        };
        if !self.event(batch, event) {
            return false;
        }
        self.batches[batch].remote = Some(remote);
        self.batches[batch].verified = verified;
        true
    }

    pub(crate) fn not_created(&mut self, batch: usize, send: Send, until: Ms, flaw: Option<Flaw>) {
        let row = &self.batches[batch];
        let same = row.send == Some(send) || flaw == Some(Flaw::AnswerOfAnySend);
        if !same || !matches!(row.state, State::Sending | State::Uncertain) {
            return;
        }
        self.event(batch, Event::NotCreated);
        self.batches[batch].send = None;
        self.batches[batch].not_before = until;
    }

    pub(crate) fn unknown(&mut self, batch: usize, send: Send) {
        if self.batches[batch].send == Some(send) && self.state(batch) == State::Sending {
            self.event(batch, Event::CreateUnknown);
        }
    }

    pub(crate) fn refused(&mut self, batch: usize, send: Send) {
        if self.batches[batch].send == Some(send) {
            self.event(batch, Event::CreateRefused);
        }
    }

    /// Declares uncertain what was being sent too long, or by the dead.
    pub(crate) fn abandon(&mut self, now: Ms) {
        for batch in 0..self.batches.len() {
            let Some(send) = self.batches[batch].send else {
                continue;
            };
            let gone = send.deadline < now || self.leases[send.sender] <= now;
            if self.state(batch) == State::Sending && gone {
                self.event(batch, Event::CreateUnknown);
            }
        }
    }

    /// Jobs of batches that Anthropic does not hold wait again.
    pub(crate) fn free(&mut self, now: Ms) {
        for batch in 0..self.batches.len() {
            let row = &mut self.batches[batch];
            if row.freed || !matches!(row.state, State::Refuted | State::Rejected) {
                continue;
            }
            row.freed = true;
            let rejected = row.state == State::Rejected;
            let items = row.items;
            let canceled = std::mem::take(&mut row.canceled);
            for job in std::mem::take(&mut row.inflight) {
                if canceled.contains(&job) {
                    continue;
                }
                let job = &mut self.jobs[job];
                if rejected && items == 1 {
                    job.place = Place::Ended(Outcome::Failed);
                    continue;
                }
                job.place = Place::Ready;
                job.since = now;
                if rejected {
                    job.max_items = u32::try_from(items / 2).ok();
                }
            }
        }
    }

    pub(crate) fn refute(&mut self, batch: usize, send: Send, now: Ms) {
        let same = self.batches[batch].send == Some(send);
        if same && self.state(batch) == State::Uncertain && self.event(batch, Event::Refuted) {
            self.batches[batch].refuted_at = Some(now);
        }
    }

    pub(crate) fn listed(
        &mut self,
        batch: usize,
        send: Send,
        now: Ms,
        in_sight: bool,
        counts: bool,
    ) {
        let row = &mut self.batches[batch];
        if row.send != Some(send) || row.state != State::Uncertain {
            return;
        }
        row.last_listing = Some(now);
        if in_sight {
            row.listings = None;
        } else if counts {
            let (count, first) = row
                .listings
                .map_or((0, now), |(count, first, _)| (count, first));
            row.listings = Some((count + 1, first, now));
        }
    }

    /// Whether it has only recognised its message batch, and may be wrong.
    pub(crate) fn guesses(&self, batch: usize) -> bool {
        !self.batches[batch].verified && self.state(batch).on(Event::Disowned).is_ok()
    }

    /// The adopted message batch is not this one.
    pub(crate) fn disown(&mut self, batch: usize) {
        if !self.batches[batch].verified && self.event(batch, Event::Disowned) {
            let row = &mut self.batches[batch];
            row.remote = None;
            row.verified = true;
            row.listings = None;
            row.last_listing = None;
        }
    }

    pub(crate) fn ended(&mut self, batch: usize) {
        self.event(batch, Event::Ended);
    }

    /// Whether no job of it is in flight any more; then it is done.
    pub(crate) fn finish(&mut self, batch: usize) {
        if self.state(batch) == State::Ended && self.batches[batch].inflight.is_empty() {
            self.event(batch, Event::IngestCompleted);
        }
    }

    pub(crate) fn cancel(&mut self, job: usize) {
        match self.jobs[job].place {
            Place::Ready => {}
            Place::Inflight(batch) => {
                self.batches[batch].canceled.insert(job);
            }
            Place::Ended(_) => return,
        }
        self.jobs[job].place = Place::Ended(Outcome::Canceled);
    }
}
