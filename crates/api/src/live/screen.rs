//! What one client shows: rows, the sums beside them, and when the database is to be
//! asked for either.

use std::time::{Duration, Instant};

use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::stream::counts::Counts;
use offpeak_wire::live::Frame;

use super::page::{Page, Stamp};
use super::share::Share;
use super::topics;
use super::view::{Rows, View};
use crate::groups;

/// Between two frames of counts.
const COUNTED: Duration = Duration::from_secs(1);
/// Between two readings of what a client watches, however often it changes its mind.
const WATCHED: Duration = Duration::from_millis(250);
/// Rows that wait for the clients of all, at most; above it each holds what one page
/// has, or reads anew.
const MAX_ROWS_OF_ALL: usize = 200_000;

/// What is to be read for a screen.
#[derive(Debug)]
pub(super) enum Wanted {
    Rows(Vec<JobId>),
    Counts(Box<[GroupId]>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) view: View,
    /// Of the newest event in it.
    stamp: Option<Stamp>,
    /// When sums were last read, and as of which event.
    counted: Option<(Instant, u64)>,
    shown: Option<Frame>,
    /// When watched jobs were last read.
    looked: Option<Instant>,
    /// Of the rows of all.
    rows: Share,
}

impl Screen {
    pub(super) fn new(view: View, rows: Share) -> Self {
        Self {
            view,
            stamp: None,
            counted: None,
            shown: None,
            looked: None,
            rows,
        }
    }

    /// The sums that were shown, or are being read, say nothing any more.
    pub(super) fn forget_sums(&mut self) {
        (self.counted, self.shown) = (None, None);
    }

    /// Whether it takes no page before some rows are sent.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.view.is_full(now, self.is_pressed())
    }

    /// Takes in a page. False when more changed than is kept.
    pub(super) fn fold(&mut self, page: &Page, now: Instant) -> bool {
        self.stamp = Some(page.stamp());
        let pressed = self.is_pressed();
        let kept = self.view.fold(&page.events, page.last, now, pressed);
        if !kept {
            self.stamp = None;
        }
        self.rows.set(self.view.waiting());
        kept
    }

    fn is_pressed(&self) -> bool {
        self.rows.all() > MAX_ROWS_OF_ALL
    }

    /// Rows to send, with the age of the newest event in them.
    pub(super) fn flush(&mut self, now: Instant) -> Option<(Rows, Option<f64>)> {
        let rows = self.view.flush(now)?;
        self.rows.set(self.view.waiting());
        Some((rows, self.stamp.take().map(Stamp::age)))
    }

    /// When something is to be sent or read although nothing comes; what is read
    /// counts only where it may be.
    pub(super) fn due(&self, at: u64, now: Instant, may_read: bool) -> Option<Instant> {
        // Whoever is too far behind says so when that is over.
        let counts = self
            .counts_due(at, now)
            .filter(|_| !self.view.is_blocked(now));
        let reads = [self.watch_due(now), counts]
            .into_iter()
            .filter(|_| may_read);
        reads.chain([self.view.due(now)]).flatten().min()
    }

    /// What the database is to be asked now.
    pub(super) fn wanted(&mut self, at: u64, now: Instant) -> Option<Wanted> {
        let is_now = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_now(self.watch_due(now))
            && let Some(ids) = self.view.asked()
        {
            self.looked = Some(now);
            return Some(Wanted::Rows(ids));
        }
        (is_now(self.counts_due(at, now)) && !self.view.is_blocked(now))
            .then(|| Wanted::Counts(self.view.topics().groups.clone()))
    }

    fn watch_due(&self, now: Instant) -> Option<Instant> {
        let earliest = self
            .looked
            .map_or(now, |looked| (looked + WATCHED).max(now));
        self.view.asks().then_some(earliest)
    }

    /// When sums may be read, if there are any on it that may have changed.
    fn counts_due(&self, at: u64, now: Instant) -> Option<Instant> {
        let topics = self.view.topics();
        if !(topics.counts_jobs() || topics.usage || !topics.groups.is_empty()) {
            return None;
        }
        match self.counted {
            None => Some(now),
            Some((_, seq)) if seq >= at => None,
            Some((here, _)) => Some((here + COUNTED).max(now)),
        }
    }

    /// A frame of sums, if they are not as they were shown.
    pub(super) fn count(&mut self, seq: u64, counts: &Counts) -> Option<Frame> {
        self.counted = Some((Instant::now(), seq));
        let topics = self.view.topics();
        let of_group = |group: &GroupId| {
            let states = counts.groups.get(group).map_or(&[][..], Vec::as_slice);
            (group.to_string(), groups::counts(states))
        };
        let frame = Frame::Counts {
            jobs: topics.counts_jobs().then(|| groups::counts(&counts.jobs)),
            groups: topics.groups.iter().map(of_group).collect(),
            usage: topics.usage.then(|| topics::usage(counts.usage)),
        };
        if self.shown.as_ref() == Some(&frame) {
            return None;
        }
        self.shown = Some(frame.clone());
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ROWS_OF_ALL, Screen, WATCHED, Wanted};
    use crate::caller::Extent;
    use crate::live::page::tests::{cut, event};
    use crate::live::share::Share;
    use crate::live::topics::Topics;
    use crate::live::view::View;
    use offpeak_domain::id::JobId;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;
    use uuid::Uuid;

    fn screen(rows: &Arc<AtomicUsize>, watched: u128) -> Screen {
        let topics = Topics::parse(["batches"], &Extent::Tenant).unwrap();
        let mut view = View::new(topics, 0);
        view.watch(ids(watched));
        Screen::new(view, Share::of(rows))
    }

    fn ids(count: u128) -> Vec<JobId> {
        let id = |n| JobId::from_uuid(Uuid::from_u128(n));
        (0..count).map(id).collect()
    }

    #[test]
    fn who_changes_its_mind_is_read_for_no_oftener() {
        let now = Instant::now();
        let mut screen = screen(&Arc::default(), 3);
        let reads = |wanted| matches!(wanted, Some(Wanted::Rows(ids)) if ids.len() == 3);
        assert!(reads(screen.wanted(0, now)));
        screen.view.watch(Vec::new());
        screen.view.watch(ids(3));
        assert!(screen.wanted(0, now).is_none());
        assert_eq!(screen.due(0, now, true), Some(now + WATCHED));
        assert_eq!(screen.due(0, now, false), None);
        assert!(reads(screen.wanted(0, now + WATCHED)));
    }

    #[test]
    fn where_too_much_waits_for_all_each_holds_little() {
        let (now, rows) = (Instant::now(), Arc::default());
        let mut screen = screen(&rows, 200);
        let pages = cut(vec![event(1, 100), event(2, 200)]);
        assert!(screen.fold(&pages[0], now));
        assert_eq!(rows.load(Ordering::Relaxed), screen.view.waiting());
        assert!(!screen.is_full(now));
        let others = Share::of(&rows);
        let mut others = others;
        others.set(MAX_ROWS_OF_ALL);
        assert!(screen.is_full(now));
        while screen.flush(now).is_some() {}
        assert!(!screen.is_full(now));
        assert_eq!(rows.load(Ordering::Relaxed), MAX_ROWS_OF_ALL);
        drop((screen, others));
        assert_eq!(rows.load(Ordering::Relaxed), 0);
    }
}
