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
        measure
    }
}

/// A handle shared by whoever counts.
pub(crate) type Shared = Arc<Measure>;
