//! The worker's metrics. Loops do not know of them: the driver counts ticks,
//! and [`crate::Upstream`] counts calls.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::outcome::Seen;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Tick {
    pub(crate) r#loop: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OfLoop {
    pub(crate) r#loop: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Bound {
    bound: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OfKind {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct CameTo {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct From {
    from: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Call {
    pub(crate) call: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct BreakerOf {
    pub(crate) upstream: String,
    pub(crate) call: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct HeldOf {
    pub(crate) upstream: String,
    pub(crate) reason: &'static str,
}

/// Handles to the metrics; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub(crate) ticks: Family<Tick, Counter>,
    pub(crate) done: Family<OfLoop, Counter>,
    pub(crate) seconds: Family<OfLoop, Histogram>,
    pub(crate) calls: Family<Call, Counter>,
    pub(crate) breaker_open: Family<BreakerOf, Gauge>,
    pub(crate) sends_held: Family<HeldOf, Gauge>,
    pub(crate) queue_jobs: Gauge,
    pub(crate) queue_age: Gauge<f64, AtomicU64>,
    visible: Family<Bound, Histogram>,
    incidents: Family<OfKind, Gauge>,
    waiting: Gauge,
    absorbed: Counter,
    direct: Family<CameTo, Counter>,
    escalated: Family<From, Counter>,
    missed: Counter,
}

impl Measure {
    /// Registers the worker's metrics under `offpeak_…`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let measure = Self {
            ticks: Family::default(),
            done: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 9))
            }),
            calls: Family::default(),
            breaker_open: Family::default(),
            sends_held: Family::default(),
            queue_jobs: Gauge::default(),
            queue_age: Gauge::default(),
            visible: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1.0, 2.0, 13))
            }),
            incidents: Family::default(),
            waiting: Gauge::default(),
            absorbed: Counter::default(),
            direct: Family::default(),
            escalated: Family::default(),
            missed: Counter::default(),
        };
        registry.register("offpeak_ticks", "Ticks of each loop", measure.ticks.clone());
        registry.register(
            "offpeak_done",
            "Things done by each loop",
            measure.done.clone(),
        );
        registry.register(
            "offpeak_tick_seconds",
            "Time of a tick",
            measure.seconds.clone(),
        );
        registry.register(
            "offpeak_upstream_calls",
            "Calls to Anthropic's API",
            measure.calls.clone(),
        );
        registry.register(
            "offpeak_breaker_open",
            "1 while calls of this kind wait, because they failed or were told to",
            measure.breaker_open.clone(),
        );
        registry.register(
            "offpeak_sends_held",
            "1 while no batch is made for this upstream, by reason",
            measure.sends_held.clone(),
        );
        registry.register(
            "offpeak_queue_jobs",
            "Jobs waiting to be put into a batch",
            measure.queue_jobs.clone(),
        );
        registry.register(
            "offpeak_queue_age_seconds",
            "How long the first waiting job has waited",
            measure.queue_age.clone(),
        );
        registry.register(
            "offpeak_batch_visible_seconds",
            "Age of a created batch at the first listing that showed it (bound=at_most), and at \
             each listing before that did not (bound=at_least)",
            measure.visible.clone(),
        );
        registry.register(
            "offpeak_incidents_open",
            "Incidents that nobody has resolved",
            measure.incidents.clone(),
        );
        registry.register(
            "offpeak_results_waiting",
            "Batches that ended over an hour ago and are not all read",
            measure.waiting.clone(),
        );
        registry.register(
            "offpeak_absorbed_lines",
            "Lines billed by late twins, which no tenant pays",
            measure.absorbed.clone(),
        );
        registry.register(
            "offpeak_direct_calls",
            "Direct calls, by what came of them",
            measure.direct.clone(),
        );
        registry.register(
            "offpeak_escalations",
            "Jobs called for because their deadline neared, from the queue or from a batch",
            measure.escalated.clone(),
        );
        registry.register(
            "offpeak_deadlines_missed",
            "Jobs that ended after their deadline, or because of it",
            measure.missed.clone(),
        );
        measure
    }

    /// Takes over what a tick saw.
    pub(crate) fn seen(&self, seen: &Seen) {
        for (bound, ages) in [("at_most", &seen.visible), ("at_least", &seen.hidden)] {
            for age in ages {
                self.visible
                    .get_or_create(&Bound { bound })
                    .observe(age.as_secs_f64());
            }
        }
        if let Some(incidents) = &seen.incidents {
            // A kind of which none is left open does not stay as it was.
            self.incidents.clear();
            for (kind, open) in incidents {
                let kind = kind.clone();
                self.incidents
                    .get_or_create(&OfKind { kind })
                    .set(i64::try_from(*open).unwrap_or(i64::MAX));
            }
        }
        if let Some(waiting) = seen.waiting {
            self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
        self.absorbed.inc_by(seen.absorbed);
        if let Some(outcome) = seen.called {
            self.direct.get_or_create(&CameTo { outcome }).inc();
        }
        for (from, n) in [("queue", seen.escalated.0), ("batch", seen.escalated.1)] {
            if n > 0 {
                self.escalated.get_or_create(&From { from }).inc_by(n);
            }
        }
        self.missed.inc_by(seen.missed);
    }
}

/// A handle shared by whoever counts.
pub(crate) type Shared = Arc<Measure>;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::Measure;
    use crate::outcome::Seen;

    #[test]
    fn what_a_tick_saw_is_shown_and_a_kind_that_is_over_is_not() {
        let mut registry = Registry::default();
        let measure = Measure::register(&mut registry);
        measure.seen(&Seen {
            visible: vec![Duration::from_secs(30)],
            hidden: vec![Duration::from_secs(3), Duration::from_secs(9)],
            incidents: Some(vec![("late_twin".to_owned(), 2)]),
            waiting: Some(4),
            absorbed: 7,
            called: Some("answered"),
            escalated: (3, 5),
            missed: 2,
        });
        let shown = |registry: &Registry| {
            let mut text = String::new();
            encode(&mut text, registry).unwrap();
            text
        };
        let text = shown(&registry);
        for line in [
            "offpeak_batch_visible_seconds_count{bound=\"at_most\"} 1",
            "offpeak_batch_visible_seconds_count{bound=\"at_least\"} 2",
            "offpeak_incidents_open{kind=\"late_twin\"} 2",
            "offpeak_results_waiting 4",
            "offpeak_absorbed_lines_total 7",
            "offpeak_direct_calls_total{outcome=\"answered\"} 1",
            "offpeak_escalations_total{from=\"queue\"} 3",
            "offpeak_escalations_total{from=\"batch\"} 5",
            "offpeak_deadlines_missed_total 2",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        measure.seen(&Seen {
            incidents: Some(Vec::new()),
            ..Seen::default()
        });
        assert!(!shown(&registry).contains("late_twin"));
    }
}
