//! Sums that were read a moment ago: whoever asks for the same at about the same
//! time gets the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offpeak_domain::id::GroupId;
use offpeak_store::stream::counts::Counts;

use super::tape::lock;

/// For how long they are good for others.
const GOOD: Duration = Duration::from_millis(500);
/// Sets of groups that are kept, at most.
const MAX: usize = 64;

/// Of one tenant, by the groups that they were asked for with.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<HashMap<Box<[GroupId]>, Known>>);

/// When they were read, and as of which event.
type Known = (Instant, u64, Arc<Counts>);

impl Sums {
    /// As of at least the event whose number comes with them.
    pub(super) fn known(&self, groups: &[GroupId]) -> Option<(u64, Arc<Counts>)> {
        let known = lock(&self.0);
        let (read, seq, counts) = known.get(groups)?;
        (read.elapsed() < GOOD).then(|| (*seq, Arc::clone(counts)))
    }

    /// Keeps what was asked for at that moment.
    pub(super) fn keep(&self, groups: Box<[GroupId]>, at: Instant, seq: u64, counts: Arc<Counts>) {
        let mut known = lock(&self.0);
        known.retain(|_, (read, ..)| read.elapsed() < GOOD);
        if known.len() < MAX {
            known.insert(groups, (at, seq, counts));
        }
    }
}
