//! A download of results: what is remembered of it beside the lines held.

use std::collections::HashSet;

use offpeak_domain::id::JobId;
use offpeak_domain::quarantine::Tally;
use offpeak_store::quarantine::{self, Flawed};

use crate::chunk::Ours;
use crate::upstream;

/// Lines beyond its own that are remembered of a download.
pub(super) const NAMELESS: usize = quarantine::KEPT;

/// A batch's results on their way down.
pub(super) struct Download {
    pub(super) results: upstream::Download,
    /// Whether the batch is known to be ours.
    pub(super) verified: bool,
    /// Jobs that had a line in it.
    seen: HashSet<JobId>,
    /// And what those said.
    pub(super) tally: Tally,
    /// Lines that name nothing or something else, while the batch is not known
    /// to be ours.
    pub(super) nameless: Vec<Flawed>,
    /// How many of them name something else.
    pub(super) strange: usize,
    /// A line that ends in the middle: the next one tells whether it was cut.
    pub(super) broken: Option<Ours>,
}

/// What comes next in a download.
pub(super) enum Next {
    Ours(Ours),
    /// Nobody's, or somebody else's within a batch of ours.
    Other(Flawed),
    /// Not ours, before anything says that the batch is ours.
    Nothing,
    /// Its lines name somebody else's jobs, and none of ours.
    Disowned,
    End,
}

impl Download {
    pub(super) fn new(results: upstream::Download, verified: bool) -> Self {
        Self {
            results,
            verified,
            seen: HashSet::new(),
            tally: Tally::default(),
            nameless: Vec::new(),
            strange: 0,
            broken: None,
        }
    }

    /// Whether a line of this job stood in this download before; remembers it.
    /// More jobs than were sent are not remembered without end: a line that is
    /// taken for the first one twice meets the database's answer.
    pub(super) fn again(&mut self, line: &Ours, items: u32) -> bool {
        let room = usize::try_from(items).unwrap_or(0) + NAMELESS;
        let again = self.seen.contains(&line.job());
        if !again {
            line.count(&mut self.tally);
            if self.seen.len() < room {
                self.seen.insert(line.job());
            }
        }
        again
    }

    /// Remembers a line that is not ours, for when another one says that the
    /// batch is.
    pub(super) fn put_by(&mut self, flawed: Flawed) {
        if self.nameless.len() < NAMELESS {
            self.nameless.push(flawed);
        }
    }

    pub(super) fn take_broken(&mut self) -> Option<Ours> {
        self.broken.take()
    }
}
