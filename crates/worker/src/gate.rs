//! What stands between the loops and an upstream: one breaker for each kind of
//! call. What they decide stands in `offpeak_domain::breaker`; here they are
//! told the time and how calls went, and shown in logs and metrics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use offpeak_anthropic::Error;
use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::breaker::{Breaker, Call, LONGEST_TOLD, Permit, Went};
use offpeak_domain::id::UpstreamId;
use prometheus_client::metrics::gauge::Gauge;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::Clock;
use crate::measure::{self, BreakerOf, HeldOf};
use crate::pause::READ_AGAIN;

/// The breakers of one upstream.
pub(crate) struct Gates {
    upstream: UpstreamId,
    measure: measure::Shared,
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    breakers: [Breaker; Call::ALL.len()],
    rng: StdRng,
}

impl Gates {
    pub(crate) fn new(
        upstream: UpstreamId,
        measure: measure::Shared,
        clock: Clock,
        rng: StdRng,
    ) -> Self {
        let gates = Self {
            upstream,
            measure,
            clock,
            inner: Mutex::new(Inner {
                breakers: [Call::Create, Call::Read, Call::Results, Call::Message]
                    .map(Breaker::new),
                rng,
            }),
        };
        for call in Call::ALL {
            gates.gauge(*call).set(0);
        }
        gates
    }

    /// How long no call of this kind will be let through.
    pub(crate) fn held(&self, call: Call) -> Option<Duration> {
        self.with(call, |breaker, now, _| breaker.held(now))
    }

    /// Asks for one call.
    pub(crate) fn ask(&self, call: Call) -> Permit {
        // A probe is a read: it has to wait for them.
        if call != Call::Read
            && self.with(call, |breaker, _, _| breaker.is_open())
            && let Some(wait) = self.held(Call::Read)
        {
            return Permit::Wait(wait);
        }
        self.with(call, |breaker, now, _| breaker.ask(now))
    }

    /// A call that was let through and not made.
    pub(crate) fn unmade(&self, call: Call) {
        self.with(call, |breaker, _, _| breaker.unmade());
    }

    /// How a call went.
    pub(crate) fn went<T>(&self, call: Call, answer: &Result<T, Error>) {
        match self.judge(call, answer) {
            Some(went) => self.with(call, |breaker, now, random| {
                breaker.went(now, went, random);
            }),
            None => self.unmade(call),
        }
    }

    /// How the probe for a kind of call went.
    pub(crate) fn probed<T>(&self, call: Call, answer: &Result<T, Error>) {
        if let Some(went) = self.judge(Call::Read, answer) {
            self.with(call, |breaker, now, random| {
                breaker.probed(now, went, random);
            });
        }
    }

    /// Shows whether nothing is sent for this reason.
    pub(crate) fn show_held(&self, reason: &'static str, held: bool) {
        let of = HeldOf {
            upstream: self.upstream.to_string(),
            reason,
        };
        self.measure
            .sends_held
            .get_or_create(&of)
            .set(i64::from(held));
    }

    fn judge<T>(&self, call: Call, answer: &Result<T, Error>) -> Option<Went> {
        let went = match answer {
            Ok(_) => Some(Went::Well),
            // What needs its owner pauses the upstream, and the way there is fine;
            // but a read that goes on at its own pace would only say it again.
            Err(error) if call != Call::Create && is_paused(error) => Some(Went::Told(READ_AGAIN)),
            Err(error) => judge(error),
        };
        if let Some(Went::Told(wait) | Went::Badly(Some(wait))) = went
            && wait > LONGEST_TOLD
        {
            tracing::warn!(
                upstream = %self.upstream, call = call.as_str(), asked = ?wait,
                waiting = ?LONGEST_TOLD, "Anthropic asks for an absurdly long wait"
            );
        }
        went
    }

    fn with<T>(&self, call: Call, act: impl FnOnce(&mut Breaker, Duration, f64) -> T) -> T {
        let now = self.clock.local();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let random = inner.rng.random();
        let breaker = &mut inner.breakers[call as usize];
        let was_open = breaker.is_open();
        let done = act(breaker, now, random);
        let (is_open, held) = (breaker.is_open(), breaker.held(now));
        drop(inner);
        if was_open != is_open {
            self.gauge(call).set(i64::from(is_open));
            let (upstream, call) = (self.upstream, call.as_str());
            if is_open {
                tracing::warn!(%upstream, call, wait = ?held, "breaker open: calls wait");
            } else {
                tracing::info!(%upstream, call, "breaker closed: calls go on");
            }
        }
        done
    }

    fn gauge(&self, call: Call) -> Gauge {
        let of = BreakerOf {
            upstream: self.upstream.to_string(),
            call: call.as_str(),
        };
        self.measure.breaker_open.get_or_create(&of).clone()
    }
}

impl std::fmt::Debug for Gates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gates")
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

fn is_paused(error: &Error) -> bool {
    matches!(of_read(error), Reading::Paused(_))
}

/// What an error says about the way to the API; nothing, when it is our own
/// fault or nothing was called.
fn judge(error: &Error) -> Option<Went> {
    let status = match error {
        Error::Config { .. } | Error::Body { .. } | Error::NotEnded | Error::Held { .. } => {
            return None;
        }
        Error::Connect { .. } | Error::Timeout { .. } | Error::Slow | Error::Transport { .. } => {
            return Some(Went::Badly(None));
        }
        Error::Unreadable { status, .. } => *status,
        Error::Api(error) => error.status,
    };
    Some(match of_read(error) {
        Reading::Paused(_) | Reading::Missing | Reading::Invalid => Went::Well,
        Reading::After(Some(wait)) if status == 429 => Went::Told(wait),
        Reading::After(told) => Went::Badly(told),
        Reading::Again if matches!(status, 409 | 413) => Went::Well,
        Reading::Again => Went::Badly(None),
    })
}
