use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How somebody follows.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Connected {
    pub(super) kind: &'static str,
}

/// What was sent.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Sent {
    pub(super) frame: &'static str,
}

/// Why a client was told to read anew.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Missed {
    pub(super) why: &'static str,
}

/// Counts and times of live connections, of all tenants together.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) connections: Family<Connected, Gauge>,
    pub(super) frames: Family<Sent, Counter>,
    pub(super) resyncs: Family<Missed, Counter>,
    pub(super) too_slow: Counter,
    pub(super) seconds: Histogram,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            connections: Family::default(),
            frames: Family::default(),
            resyncs: Family::default(),
            too_slow: Counter::default(),
            seconds: Histogram::new([
                0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0,
            ]),
        }
    }
}

impl Measured {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "offpeak_live_connections",
            "Connections that are open, and submits that wait for their result",
            self.connections.clone(),
        );
        registry.register(
            "offpeak_live_frames",
            "Frames handed to connections",
            self.frames.clone(),
        );
        registry.register(
            "offpeak_live_resyncs",
            "Times that a client had to read anew what it shows",
            self.resyncs.clone(),
        );
        registry.register(
            "offpeak_live_too_slow",
            "Connections closed because their client did not read",
            self.too_slow.clone(),
        );
        registry.register(
            "offpeak_live_seconds",
            "Time from an event to the frame that tells it; long after a client was away",
            self.seconds.clone(),
        );
    }
}
