//! The last state of what one client shows: changes are folded by id, and sent
//! no faster than the client keeps up. No IO here, and no clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use offpeak_domain::id::{BatchId, JobId, OperationId};
use offpeak_domain::money::Pico;
use offpeak_domain::{batch, job, operation};
use offpeak_store::stream::{Event, What};
use offpeak_wire::live::{BatchRow, JobRow, OperationRow};
use time::OffsetDateTime;

use super::topics::Topics;
use crate::{batches, jobs, operations};

/// Rows that wait for a client that is too far behind, at most. More, and it reads
/// anew what it shows.
const MAX_WAITING: usize = 4_096;
/// Rows from which on nothing is taken in before some are sent, unless the client is
/// too far behind: who keeps up never has too many, whatever happens at once.
const FULL: usize = 2_048;
/// Rows of one frame, at most: what a connection keeps of its longest frame.
const MAX_ROWS: usize = 160;
/// Rows are sent no more often than this.
const APART: Duration = Duration::from_millis(50);
/// A client that acknowledges gets nothing new while a frame waits for longer.
const UNACKED: Duration = Duration::from_secs(2);
/// Frames that are remembered until they are acknowledged, at most: the oldest
/// ones decide.
const MAX_UNACKED: usize = 64;
/// Jobs that one client watches, at most.
pub(super) const MAX_WATCHED: usize = 200;

/// Where a job stands, as of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The number of the event, or of the last one before it was read.
    pub(crate) rev: u64,
    pub(crate) state: job::State,
    pub(crate) at: OffsetDateTime,
    pub(crate) label: Option<Box<str>>,
    pub(crate) cost: Option<Pico>,
}

/// What one frame says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Every change up to here has been sent, or was overtaken.
    pub(crate) seq: u64,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) batches: Vec<BatchRow>,
    pub(crate) operations: Vec<OperationRow>,
}

/// What waits for one client.
#[derive(Debug)]
pub(crate) struct View {
    topics: Topics,
    /// With the last `rev` that was put among the rows.
    watched: HashMap<JobId, u64>,
    /// Watched, but not read yet.
    asked: Vec<JobId>,
    jobs: HashMap<JobId, Row>,
    batches: HashMap<BatchId, (u64, batch::State, OffsetDateTime)>,
    operations: HashMap<OperationId, (u64, operation::State, OffsetDateTime)>,
    /// The last event that was looked at.
    folded: u64,
    /// As [`Rows::seq`].
    sent: u64,
    flushed: Option<Instant>,
    acknowledges: bool,
    unacked: VecDeque<(u64, Instant)>,
}

impl View {
    /// One that has everything up to the event `seq`.
    pub(crate) fn new(topics: Topics, seq: u64) -> Self {
        Self {
            topics,
            watched: HashMap::new(),
            asked: Vec::new(),
            jobs: HashMap::new(),
            batches: HashMap::new(),
            operations: HashMap::new(),
            folded: seq,
            sent: seq,
            flushed: None,
            acknowledges: false,
            unacked: VecDeque::new(),
        }
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// From where a next connection would go on.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Rows that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.len() + self.batches.len() + self.operations.len()
    }

    /// Whether some rows are to be sent before more events are taken in; of a client
    /// that is too far behind the last state is kept instead. Where memory is
    /// `pressed`, one page is enough.
    pub(crate) fn is_full(&self, now: Instant, pressed: bool) -> bool {
        let most = if pressed { 1 } else { FULL };
        self.waiting() >= most && !self.is_blocked(now)
    }

    /// Looks at no event up to here: none concerns it.
    pub(crate) fn pass(&mut self, last: u64) {
        self.folded = self.folded.max(last);
        self.settle();
    }

    /// Takes in events. False when more changed than is kept: then nothing waits
    /// any more, and the client has to read anew.
    pub(crate) fn fold(
        &mut self,
        events: &[Event],
        last: u64,
        now: Instant,
        pressed: bool,
    ) -> bool {
        let folded = self.folded;
        for event in events.iter().filter(|event| event.seq > folded) {
            self.take(event);
        }
        self.folded = self.folded.max(last);
        let too_many = self.waiting() > MAX_WAITING;
        if too_many || pressed && self.waiting() > 0 && self.is_blocked(now) {
            self.begin_at(self.folded);
            return false;
        }
        self.settle();
        true
    }

    /// Forgets what waits: the client reads everything anew, and goes on from here.
    pub(crate) fn begin_at(&mut self, seq: u64) {
        (self.jobs, self.batches) = (HashMap::new(), HashMap::new());
        self.operations = HashMap::new();
        (self.folded, self.sent) = (seq, seq);
        self.watched.values_mut().for_each(|rev| *rev = 0);
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::Jobs {
                state, label, jobs, ..
            } => {
                for job in jobs {
                    let topics = &self.topics;
                    let watched =
                        self.watched.contains_key(&job.id) && topics.opens(job.group, job.user);
                    if watched || topics.has_row(job) {
                        let row = Row {
                            rev: event.seq,
                            state: *state,
                            at: event.at,
                            label: label.as_deref().map(Box::from),
                            cost: job.cost.filter(|_| topics.shows_costs()),
                        };
                        self.put(job.id, row);
                    }
                }
            }
            What::Batch { batch, state } if self.topics.batches => {
                self.batches.insert(*batch, (event.seq, *state, event.at));
            }
            What::Operation { operation, state } if self.topics.counts_jobs() => {
                let last = (event.seq, *state, event.at);
                self.operations.insert(*operation, last);
            }
            What::Operation { .. }
            | What::Batch { .. }
            | What::Usage(_)
            | What::Budget(_)
            | What::Other => {}
        }
    }

    fn put(&mut self, id: JobId, row: Row) {
        // What was read may be ahead of the events that are still to come.
        if let Some(known) = self.watched.get_mut(&id) {
            if *known >= row.rev {
                return;
            }
            *known = row.rev;
        }
        self.jobs.insert(id, row);
    }

    /// What the client shows from now on.
    pub(crate) fn watch(&mut self, ids: Vec<JobId>) {
        let ids: HashSet<JobId> = ids.into_iter().collect();
        self.watched.retain(|id, _| ids.contains(id));
        self.asked.retain(|id| ids.contains(id));
        for id in ids {
            // Between the client's reading and this, it may have changed unseen.
            self.watched.entry(id).or_insert_with(|| {
                self.asked.push(id);
                0
            });
        }
    }

    /// Whether watched jobs are to be read.
    pub(crate) fn asks(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Watched jobs that are to be read; each is given out once.
    pub(crate) fn asked(&mut self) -> Option<Vec<JobId>> {
        (!self.asked.is_empty()).then(|| std::mem::take(&mut self.asked))
    }

    /// What was given out could not be read.
    pub(crate) fn ask_again(&mut self) {
        self.asked = self.watched.keys().copied().collect();
    }

    /// How jobs that were asked for stand.
    pub(crate) fn found(&mut self, rows: Vec<(JobId, Row)>) {
        for (id, row) in rows {
            if self.watched.contains_key(&id) {
                self.put(id, row);
            }
        }
    }

    /// What the client has applied.
    pub(crate) fn ack(&mut self, seq: u64) {
        self.acknowledges = true;
        while self.unacked.front().is_some_and(|(sent, _)| *sent <= seq) {
            self.unacked.pop_front();
        }
    }

    /// Whether the client is too far behind to be sent more.
    pub(crate) fn is_blocked(&self, now: Instant) -> bool {
        let waits = |(_, since): &(u64, Instant)| now.saturating_duration_since(*since) > UNACKED;
        self.acknowledges && self.unacked.front().is_some_and(waits)
    }

    /// When rows are to be sent, if nothing else happens.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let waits = self.waiting() > 0;
        let at = self.flushed.map_or(now, |last| last + APART).max(now);
        (waits && !self.is_blocked(at)).then_some(at)
    }

    /// A frame of rows, the oldest changes first; more may wait.
    pub(crate) fn flush(&mut self, now: Instant) -> Option<Rows> {
        if self.due(now)? > now {
            return None;
        }
        let mut jobs: Vec<(u64, JobId)> =
            self.jobs.iter().map(|(id, row)| (row.rev, *id)).collect();
        if jobs.len() > MAX_ROWS {
            jobs.select_nth_unstable(MAX_ROWS);
            jobs.truncate(MAX_ROWS);
        }
        jobs.sort_unstable();
        let left = MAX_ROWS - jobs.len();
        let mut batches: Vec<BatchId> = self.batches.keys().copied().collect();
        batches.sort_unstable_by_key(|id| self.batches.get(id).map(|(rev, ..)| *rev));
        batches.truncate(left.max(1));
        let rows = Rows {
            jobs: jobs
                .into_iter()
                .filter_map(|(_, id)| Some(job_row(id, self.jobs.remove(&id)?)))
                .collect(),
            batches: batches
                .into_iter()
                .filter_map(|id| {
                    let (rev, state, at) = self.batches.remove(&id)?;
                    Some(BatchRow {
                        id: id.to_string(),
                        rev,
                        state: batches::state(state),
                        at,
                    })
                })
                .collect(),
            // Few, and not for long: a tenant has some running.
            operations: std::mem::take(&mut self.operations)
                .into_iter()
                .map(|(id, (rev, state, at))| OperationRow {
                    id: id.to_string(),
                    rev,
                    state: operations::state(state),
                    at,
                })
                .collect(),
            seq: 0,
        };
        self.settle();
        if self.waiting() == 0 {
            self.flushed = Some(now);
            // Room for a screen; what an overflow took is given back.
            self.jobs.shrink_to(MAX_WATCHED);
        }
        if self.unacked.len() < MAX_UNACKED {
            self.unacked.push_back((self.sent, now));
        }
        Some(Rows {
            seq: self.sent,
            ..rows
        })
    }

    /// Moves on what counts as sent: up to the first change that waits.
    fn settle(&mut self) {
        let jobs = self.jobs.values().map(|row| row.rev);
        let batches = self.batches.values().map(|(rev, ..)| *rev);
        let operations = self.operations.values().map(|(rev, ..)| *rev);
        let first = jobs.chain(batches).chain(operations).min();
        let before = first.map_or(self.folded, |rev| rev.saturating_sub(1).min(self.folded));
        self.sent = self.sent.max(before);
    }
}

fn job_row(id: JobId, row: Row) -> JobRow {
    JobRow {
        id: id.to_string(),
        rev: row.rev,
        state: jobs::state(row.state),
        at: row.at,
        label: row.label.map(String::from),
        cost: row.cost.map(Pico::to_usd_string),
    }
}

#[cfg(test)]
mod tests;
