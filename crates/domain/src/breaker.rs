//! Whether an upstream may be called now, learnt from how its last calls went.
//!
//! One [`Breaker`] for each upstream and kind of [`Call`]. It opens after
//! [`IN_ROW`] failures one after another, or when half of at least
//! [`AT_LEAST`] calls within [`WINDOW`] failed. While it is open nothing of its
//! kind is called. When its backoff is over, a list is read as a probe, never a
//! create; after that calls come back in rounds of 1, 2, 4 and so on up to
//! [`FULL`]. A failure in between opens it again, for longer.
//!
//! Reads have a retry budget besides: what is called again after a failure
//! costs a token, and ten calls that went well earn one.
//!
//! Kept in memory. A process that starts finds it closed, which is safe: it
//! learns the same from its own first failures.

use std::collections::VecDeque;
use std::time::Duration;

use crate::label::labels;
use crate::retry;

/// Failures one after another that open it.
pub const IN_ROW: u32 = 5;
/// Calls that a share of failures is judged by, at least.
pub const AT_LEAST: usize = 20;
/// How far back calls are counted.
pub const WINDOW: Duration = Duration::from_mins(1);
/// Calls in one round after which there is no limit any more.
pub const FULL: u32 = 16;
/// A round of the return takes so long at least.
pub const ROUND: Duration = Duration::from_secs(1);
/// The longest wait that an answer may ask for; a longer one is cut to it.
pub const LONGEST_TOLD: Duration = Duration::from_hours(1);
/// A probe that nobody reported on is given up after this long.
const PROBE: Duration = Duration::from_mins(2);
/// Tokens of the retry budget, at most.
const TOKENS: f64 = 10.0;
/// What a call that went well earns: retries are a tenth of requests.
const EARNED: f64 = 0.1;
/// Without any call, one retry comes back in this time: nothing waits for ever.
const REFILL: Duration = Duration::from_mins(1);
/// Outcomes that are remembered, however many fall into the window.
const REMEMBERED: usize = 1000;

labels! {
    /// Kinds of call that fail and come back together.
    pub enum Call as "kind of call", as_str {
        /// Creates of message batches.
        Create = "create",
        /// Lists and single batches.
        Read = "read",
        /// Results downloads.
        Results = "results",
        /// Direct messages.
        Message = "message",
    }
}

/// What a call may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Be made.
    Go,
    /// First read a list, and say how that went.
    Probe,
    /// Not be made for so long.
    Wait(Duration),
}

/// How a call went, as far as the way to the API is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// It was answered, whatever the answer.
    Well,
    /// It was answered: not before so long.
    Told(Duration),
    /// It was not answered as it should, and maybe told when to come back.
    Badly(Option<Duration>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    /// Nothing before `until`; whether a probe is needed then.
    Open {
        until: Duration,
        probe: bool,
    },
    /// A probe is under way since then.
    Probing {
        since: Duration,
    },
    /// Coming back: of `size` calls in this round so many were made and went well.
    Ramp {
        size: u32,
        made: u32,
        well: u32,
        since: Duration,
    },
}

/// What is known of one kind of call at one upstream. Times are any clock that
/// does not go back, as time since its zero.
#[derive(Clone, Debug)]
pub struct Breaker {
    call: Call,
    state: State,
    recent: VecDeque<(Duration, bool)>,
    in_row: u32,
    /// Times that it opened without having closed between.
    opened: u32,
    tokens: f64,
    refilled: Duration,
}

impl Breaker {
    /// A closed one.
    pub fn new(call: Call) -> Self {
        Self {
            call,
            state: State::Closed,
            recent: VecDeque::new(),
            in_row: 0,
            opened: 0,
            tokens: TOKENS,
            refilled: Duration::ZERO,
        }
    }

    /// Whether it holds calls back: it is open, or still waits for its probe.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Probing { .. })
    }

    /// How long no call will be let through, without asking for one.
    pub fn held(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } => Some(until.saturating_sub(now)),
            State::Probing { since } => Some((since + PROBE).saturating_sub(now)),
            State::Ramp { since, .. } if now < since => Some(since.saturating_sub(now)),
            State::Ramp {
                size, made, since, ..
            } if made >= size => Some((since + PROBE).saturating_sub(now)),
            State::Closed | State::Ramp { .. } => None,
        }
        .filter(|wait| !wait.is_zero())
    }

    /// Asks for one call. Whoever gets [`Permit::Go`] makes it and says how it
    /// went, or gives it back by [`Breaker::unmade`].
    pub fn ask(&mut self, now: Duration) -> Permit {
        if let Some(wait) = self.held(now) {
            return Permit::Wait(wait);
        }
        match &mut self.state {
            State::Closed => self.retry(now),
            State::Open { probe: false, .. } => {
                self.state = State::Closed;
                Permit::Go
            }
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Permit::Probe
            }
            State::Ramp { made, since, .. } => {
                // A round whose calls were never reported on begins anew.
                if now >= *since + PROBE {
                    (*made, *since) = (0, now);
                }
                *made += 1;
                Permit::Go
            }
        }
    }

    /// A call that was let through and was not made after all.
    pub fn unmade(&mut self) {
        if let State::Ramp { made, .. } = &mut self.state {
            *made = made.saturating_sub(1);
        }
    }

    /// How the probe went.
    pub fn probed(&mut self, now: Duration, went: Went, unit_random: f64) {
        if !matches!(self.state, State::Probing { .. }) {
            return;
        }
        match went {
            Went::Well => {
                self.state = State::Ramp {
                    size: 1,
                    made: 0,
                    well: 0,
                    since: now,
                };
            }
            Went::Told(wait) => self.open(now, wait.min(LONGEST_TOLD), true),
            Went::Badly(told) => self.reopen(now, told, unit_random),
        }
    }

    /// How a call went.
    pub fn went(&mut self, now: Duration, went: Went, unit_random: f64) {
        match went {
            Went::Well => self.went_well(now),
            // To be told to wait is no failure, and ends no return either.
            Went::Told(wait) => {
                let wait = wait.min(LONGEST_TOLD);
                match self.state {
                    State::Open { until, .. } if until >= now + wait => {}
                    State::Open { probe, .. } => self.open(now, wait, probe),
                    State::Closed => self.open(now, wait, false),
                    State::Probing { .. } | State::Ramp { .. } => self.open(now, wait, true),
                }
            }
            Went::Badly(told) => {
                self.note(now, false);
                self.in_row = self.in_row.saturating_add(1);
                match self.state {
                    State::Closed if self.is_tripped() => self.reopen(now, told, unit_random),
                    State::Closed => {
                        if let Some(wait) = told {
                            self.open(now, wait.min(LONGEST_TOLD), false);
                        }
                    }
                    State::Ramp { .. } => self.reopen(now, told, unit_random),
                    // A call from before it opened says nothing new.
                    State::Open { .. } | State::Probing { .. } => {}
                }
            }
        }
    }

    fn went_well(&mut self, now: Duration) {
        self.note(now, true);
        self.in_row = 0;
        self.tokens = (self.tokens + EARNED).min(TOKENS);
        let State::Ramp {
            size, well, since, ..
        } = &mut self.state
        else {
            return;
        };
        *well += 1;
        if *well < *size {
            return;
        }
        if *size >= FULL {
            self.state = State::Closed;
            self.opened = 0;
            self.recent.clear();
            return;
        }
        self.state = State::Ramp {
            size: *size * 2,
            made: 0,
            well: 0,
            since: (*since + ROUND).max(now),
        };
    }

    /// After a failure each further call costs a token, until one goes well.
    fn retry(&mut self, now: Duration) -> Permit {
        let gone = now.saturating_sub(self.refilled);
        self.refilled = self.refilled.max(now);
        self.tokens = (self.tokens + gone.as_secs_f64() / REFILL.as_secs_f64()).min(TOKENS);
        if self.in_row == 0 || matches!(self.call, Call::Create | Call::Message) {
            return Permit::Go;
        }
        if self.tokens < 1.0 {
            return Permit::Wait(REFILL.mul_f64(1.0 - self.tokens) + Duration::from_millis(1));
        }
        self.tokens -= 1.0;
        Permit::Go
    }

    fn note(&mut self, now: Duration, well: bool) {
        self.recent.push_back((now, well));
        while let Some((at, _)) = self.recent.front()
            && (*at + WINDOW < now || self.recent.len() > REMEMBERED)
        {
            self.recent.pop_front();
        }
    }

    fn is_tripped(&self) -> bool {
        let failed = self.recent.iter().filter(|(_, well)| !well).count();
        self.in_row >= IN_ROW || (self.recent.len() >= AT_LEAST && failed * 2 >= self.recent.len())
    }

    /// Opens for a backoff that grows with each time, or as long as told.
    fn reopen(&mut self, now: Duration, told: Option<Duration>, unit_random: f64) {
        self.opened = self.opened.saturating_add(1);
        let backoff = retry::backoff(self.opened, unit_random);
        let wait = backoff.max(told.unwrap_or_default().min(LONGEST_TOLD));
        self.open(now, wait, true);
    }

    fn open(&mut self, now: Duration, wait: Duration, probe: bool) {
        let until = now + wait;
        self.state = State::Open { until, probe };
        if probe {
            self.recent.clear();
            self.in_row = 0;
        }
    }
}

#[cfg(test)]
mod tests;
