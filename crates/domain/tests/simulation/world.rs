//! One run: processes that tick, freeze and die, messages that are lost, late
//! or out of order, and what must hold after each step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::job::Outcome;
use offpeak_domain::retry;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Flaw;
use crate::store::{Job, Place, Send, Store};
use crate::time::{MINUTE, Ms, SECOND};
use crate::upstream::{Answer, Kind, Manner, Upstream};

pub(crate) const SETTLE: Ms = 15 * MINUTE;
pub(crate) const WITHIN: Ms = 5 * MINUTE;
const LEASE: Ms = 15 * SECOND;
/// Until then things go wrong.
const CALM: Ms = 60 * MINUTE;
/// By then every job has ended, whatever went wrong before.
const LATEST: Ms = 24 * 60 * MINUTE;

#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A process does one round of everything, if it lives.
    Tick {
        process: usize,
        life: u32,
    },
    /// It says that it lives.
    Renew {
        process: usize,
        life: u32,
    },
    /// The next step of something that a process has begun.
    Step {
        process: usize,
        life: u32,
        step: Step,
    },
    /// The last byte of a create arrives.
    Arrive {
        process: usize,
        life: u32,
        batch: usize,
        send: Send,
        jobs: Vec<usize>,
    },
    Submit {
        tenant: usize,
    },
    Cancel,
    Stranger,
    Kill {
        process: usize,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Plans from the facts of an earlier moment are stored.
    Claim { tenant: usize, most: u32 },
    /// Up to the last byte of the body.
    LastByte {
        batch: usize,
        send: Send,
        jobs: Vec<usize>,
    },
    /// What a create came to is written down; again if nobody knows whether it was.
    Write {
        batch: usize,
        send: Send,
        answer: Answer,
    },
    /// A complete listing is at hand, begun at that time.
    Judge { begun: Ms, shown: Vec<usize> },
    /// So many lines of a batch are settled.
    Settle { batch: usize, from: usize },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due(Ms, u64, usize);

pub(crate) struct World {
    pub(crate) now: Ms,
    pub(crate) rng: StdRng,
    pub(crate) store: Store,
    pub(crate) upstream: Upstream,
    pub(crate) flaw: Option<Flaw>,
    /// Counts the lives of each process.
    pub(crate) lives: Vec<u32>,
    pub(crate) tenants: usize,
    pub(crate) max_items: u32,
    last_submit: Ms,
    queue: BinaryHeap<Reverse<Due>>,
    events: Vec<Option<Event>>,
    trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64, flaw: Option<Flaw>, trace: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let processes = rng.random_range(1..=3);
        let mut world = Self {
            now: 0,
            store: Store {
                leases: vec![0; processes],
                ..Store::default()
            },
            upstream: Upstream {
                remotes: Vec::new(),
                manner: Manner::draw(&mut rng, SETTLE),
            },
            flaw,
            lives: vec![0; processes],
            tenants: rng.random_range(1..=3),
            max_items: rng.random_range(1..=4),
            last_submit: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            rng,
            trace,
        };
        for process in 0..processes {
            world.live(process);
            for _ in 0..world.rng.random_range(0..4) {
                let at = world.rng.random_range(0..CALM);
                world.at(at, Event::Kill { process });
            }
        }
        for _ in 0..world.rng.random_range(1..=6) {
            let at = world.rng.random_range(0..CALM / 2);
            let tenant = world.rng.random_range(0..world.tenants);
            world.last_submit = world.last_submit.max(at);
            world.at(at, Event::Submit { tenant });
        }
        for _ in 0..world.rng.random_range(0..3) {
            let at = world.rng.random_range(0..CALM);
            world.at(at, Event::Cancel);
        }
        if world.upstream.manner.shared {
            for _ in 0..4 {
                let at = world.rng.random_range(0..CALM);
                world.at(at, Event::Stranger);
            }
        }
        world
    }

    /// Runs until everything has ended; what is wrong then, or on the way.
    pub(crate) fn run(mut self) -> Result<(), String> {
        while let Some(Reverse(Due(at, _, index))) = self.queue.pop() {
            self.now = at;
            if at > LATEST {
                return Err(format!("not everything has ended: {:?}", self.open()));
            }
            let Some(event) = self.events[index].take() else {
                continue;
            };
            if self.trace {
                println!("{:>9} {event:?}", self.now);
            }
            self.happen(event);
            self.placed_once()?;
            if at > self.last_submit && self.is_done() {
                break;
            }
        }
        self.right_books()
    }

    pub(crate) fn at(&mut self, at: Ms, event: Event) {
        let index = self.events.len();
        self.events.push(Some(event));
        self.queue
            .push(Reverse(Due(at.max(self.now), index as u64, index)));
    }

    /// The next step of a process: soon, late, or after a freeze; a process that
    /// dies meanwhile never takes it.
    pub(crate) fn then(&mut self, process: usize, step: Step) {
        let mut wait = self.rng.random_range(1..2 * SECOND);
        if self.now < CALM && self.rng.random_bool(0.03) {
            wait = self.rng.random_range(0..40 * MINUTE);
        }
        let life = self.lives[process];
        self.at(
            self.now + wait,
            Event::Step {
                process,
                life,
                step,
            },
        );
    }

    pub(crate) fn troubled(&self) -> bool {
        self.now < CALM
    }

    fn live(&mut self, process: usize) {
        self.lives[process] += 1;
        let life = self.lives[process];
        self.at(self.now, Event::Renew { process, life });
        self.at(self.now + 10, Event::Tick { process, life });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Renew { process, life } if life == self.lives[process] => {
                self.store.leases[process] = self.now + LEASE;
                let frozen = self.troubled() && self.rng.random_bool(0.01);
                let wait = if frozen {
                    self.rng.random_range(0..20 * MINUTE)
                } else {
                    5 * SECOND
                };
                // Seldom while nothing can happen.
                let idle = if self.is_waiting() { 2 * MINUTE } else { 0 };
                if idle > 0 {
                    self.store.leases[process] = self.now + idle + LEASE;
                }
                self.at(self.now + wait.max(idle), Event::Renew { process, life });
            }
            Event::Tick { process, life } if life == self.lives[process] => {
                self.tick(process);
                // Seldom while nothing can happen: a run has to be short.
                let range = if self.is_waiting() {
                    30 * SECOND..4 * MINUTE
                } else {
                    5 * SECOND..30 * SECOND
                };
                let wait = self.rng.random_range(range);
                self.at(self.now + wait, Event::Tick { process, life });
            }
            Event::Step {
                process,
                life,
                step,
            } if life == self.lives[process] => self.step(process, step),
            Event::Renew { .. } | Event::Tick { .. } | Event::Step { .. } => {}
            Event::Arrive {
                process,
                life,
                batch,
                send,
                jobs,
            } => {
                let troubled = self.troubled();
                if !troubled {
                    self.upstream.manner.trouble = 0.0;
                }
                let answer = self
                    .upstream
                    .create(Some(batch), &jobs, self.now, &mut self.rng);
                // The answer goes to a process that may be dead by then.
                let wait = self.rng.random_range(1..5 * SECOND);
                let step = Step::Write {
                    batch,
                    send,
                    answer,
                };
                self.at(
                    self.now + wait,
                    Event::Step {
                        process,
                        life,
                        step,
                    },
                );
            }
            Event::Submit { tenant } => {
                for _ in 0..self.rng.random_range(1..=4) {
                    self.store.jobs.push(Job {
                        tenant,
                        place: Place::Ready,
                        tries: 0,
                        not_before: self.now,
                        since: self.now,
                        max_items: None,
                    });
                }
            }
            Event::Cancel => {
                let jobs = self.store.jobs.len();
                if jobs > 0 {
                    let job = self.rng.random_range(0..jobs);
                    self.store.cancel(job);
                }
            }
            Event::Stranger => {
                let jobs = vec![0; self.rng.random_range(1..=4)];
                self.upstream.create(None, &jobs, self.now, &mut self.rng);
            }
            Event::Kill { process } => {
                let down = self.rng.random_range(0..2 * MINUTE);
                self.lives[process] += 1;
                let life = self.lives[process];
                self.at(self.now + down, Event::Renew { process, life });
                self.at(self.now + down + 10, Event::Tick { process, life });
            }
        }
    }

    /// Jobs that have not ended.
    fn open(&self) -> Vec<usize> {
        let jobs = self.store.jobs.iter().enumerate();
        jobs.filter(|(_, job)| !matches!(job.place, Place::Ended(_)))
            .map(|(job, _)| job)
            .collect()
    }

    /// Whether everything waits for Anthropic, or for time to pass.
    fn is_waiting(&self) -> bool {
        let ready = |job: &Job| job.place == Place::Ready && job.not_before <= self.now;
        let moving = |state| matches!(state, State::Planned | State::Sending | State::Ended);
        !self.store.jobs.iter().any(ready)
            && !self.store.batches.iter().any(|batch| moving(batch.state))
    }

    fn is_done(&self) -> bool {
        self.open().is_empty()
            && self.store.batches.iter().all(|batch| {
                matches!(batch.state, State::Ingested) || (batch.freed && !batch.state.is_open())
            })
    }

    /// Each job stands in one place, in one batch at most.
    fn placed_once(&self) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for (number, batch) in self.store.batches.iter().enumerate() {
            for &job in &batch.inflight {
                if batch.canceled.contains(&job) {
                    continue;
                }
                if seen.insert(job, number).is_some()
                    || self.store.jobs[job].place != Place::Inflight(number)
                {
                    return Err(format!("job {job} does not stand in batch {number} alone"));
                }
            }
        }
        Ok(())
    }

    /// What was billed, was billed once, and is booked.
    fn right_books(&self) -> Result<(), String> {
        let mut billed: BTreeMap<usize, usize> = BTreeMap::new();
        let mut due = BTreeSet::new();
        for (number, remote) in self.upstream.remotes.iter().enumerate() {
            let Some(batch) = remote.of else { continue };
            if self.is_absorbed(number) {
                continue;
            }
            for &(job, kind) in &remote.lines {
                if kind == Kind::Succeeded {
                    *billed.entry(job).or_default() += 1;
                    due.insert((job, batch));
                }
            }
        }
        if let Some((job, times)) = billed.iter().find(|(_, times)| **times > 1) {
            return Err(format!("job {job} was paid {times} times"));
        }
        let booked: BTreeSet<_> = self.store.ledger.iter().copied().collect();
        if booked.len() != self.store.ledger.len() {
            return Err("something was booked twice".to_owned());
        }
        if booked != due {
            return Err(format!("booked {booked:?}, billed {due:?}"));
        }
        let unpaid = |job: usize| !billed.contains_key(&job);
        for (number, job) in self.store.jobs.iter().enumerate() {
            if job.place == Place::Ended(Outcome::Completed) && unpaid(number) {
                return Err(format!("job {number} is complete and was never answered"));
            }
        }
        Ok(())
    }

    /// Whether what this one billed is the deployment's own: no list that anybody saw
    /// had shown it when its send was refuted, longer than the settle time after it
    /// was stored. If a job is settled by it all the same, it is booked and not due.
    fn is_absorbed(&self, remote: usize) -> bool {
        let remote = &self.upstream.remotes[remote];
        let refuted = remote.of.and_then(|of| self.store.batches[of].refuted_at);
        refuted.is_some_and(|refuted| {
            refuted > remote.arrived_at + SETTLE && remote.seen_at.is_none_or(|seen| seen > refuted)
        })
    }

    pub(crate) fn backoff(&mut self, tries: u32) -> Ms {
        let wait: Duration = retry::backoff(tries, self.rng.random());
        u64::try_from(wait.as_millis()).unwrap_or(0)
    }
}
