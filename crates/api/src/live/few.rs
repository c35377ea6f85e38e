//! Whom a page concerns. Most connections follow one user or group among
//! thousands: each is woken for its own pages and passes over all others, so that
//! a change costs those who hear of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use offpeak_domain::id::GroupId;
use offpeak_store::event::UserKey;
use tokio::sync::Notify;

use super::page::Page;

/// No page waits.
const NONE: u64 = u64::MAX;

/// The groups and users that a connection follows, where it follows nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Concern {
    pub(super) groups: Box<[GroupId]>,
    pub(super) users: Box<[UserKey]>,
}

/// What wakes such a connection.
#[derive(Debug)]
pub(super) struct Slot {
    /// The first event of the first page that concerns it and that it has not
    /// passed.
    first: AtomicU64,
    /// The first event of the last page that concerns it.
    last: AtomicU64,
    bell: Notify,
}

impl Slot {
    fn mark(&self, first: u64) {
        // Whoever takes the mark sees how far marks go.
        self.last.fetch_max(first, Ordering::AcqRel);
        self.first.fetch_min(first, Ordering::AcqRel);
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// The first event up to `head` from which on something concerns it; none if
    /// nothing does. Each is given out once.
    fn take(&self, head: u64) -> Option<u64> {
        let first = self.first.swap(NONE, Ordering::AcqRel);
        // A page may be marked before it is known.
        if first <= head && self.last.load(Ordering::Acquire) > head {
            self.first.fetch_min(head + 1, Ordering::AcqRel);
        } else if first > head {
            self.first.fetch_min(first, Ordering::AcqRel);
        }
        (first <= head).then_some(first)
    }
}

/// A connection with its slot.
#[derive(Debug)]
pub(super) struct Attending {
    concern: Concern,
    slot: Arc<Slot>,
    /// Up to here every page is looked at: it was not marked, or the mark of an
    /// earlier one was taken.
    walk: u64,
}

impl Attending {
    /// Returns when it was rung, also before this.
    pub(super) async fn rung(&self) {
        self.slot.bell.notified().await;
    }

    /// The number after which something may concern it, where everything up to `seq`
    /// was looked at and everything up to `head` is known.
    pub(super) fn pass(&mut self, head: u64, seq: u64) -> u64 {
        if seq < self.walk || seq >= head {
            return seq;
        }
        match self.slot.take(head) {
            None => head,
            Some(first) => {
                self.walk = head;
                seq.max(first.saturating_sub(1))
            }
        }
    }

    pub(super) fn concern(self) -> Concern {
        self.concern
    }
}

/// All of one tenant.
#[derive(Debug, Default)]
pub(super) struct Few {
    count: usize,
    groups: HashMap<GroupId, Vec<Arc<Slot>>>,
    users: HashMap<UserKey, Vec<Arc<Slot>>>,
}

impl Few {
    /// Adds one for which no page up to `unmarked` was marked.
    pub(super) fn add(&mut self, concern: Concern, unmarked: u64) -> Attending {
        let slot = Arc::new(Slot {
            first: AtomicU64::new(NONE),
            last: AtomicU64::new(0),
            bell: Notify::new(),
        });
        self.count += 1;
        add(&mut self.groups, &concern.groups, &slot);
        add(&mut self.users, &concern.users, &slot);
        Attending {
            concern,
            slot,
            walk: unmarked,
        }
    }

    pub(super) fn remove(&mut self, attending: &Attending) {
        let Attending { concern, slot, .. } = attending;
        self.count = self.count.saturating_sub(1);
        remove(&mut self.groups, &concern.groups, slot);
        remove(&mut self.users, &concern.users, slot);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Marks those whom a page concerns, and adds them to who is to be rung.
    pub(super) fn mark(&self, page: &Page, woken: &mut Vec<Arc<Slot>>) {
        if self.groups.is_empty() && self.users.is_empty() {
            return;
        }
        let groups = page.groups.iter().filter_map(|one| self.groups.get(one));
        let users = page.users.iter().filter_map(|one| self.users.get(one));
        for slot in groups.chain(users).flatten() {
            slot.mark(page.first);
            woken.push(Arc::clone(slot));
        }
    }

    /// All, each at least once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.groups.values().chain(self.users.values()).flatten()
    }
}

fn add<K: Copy + Eq + Hash>(map: &mut HashMap<K, Vec<Arc<Slot>>>, keys: &[K], slot: &Arc<Slot>) {
    for key in keys {
        // Mostly it stays alone.
        let slots = map.entry(*key).or_insert_with(|| Vec::with_capacity(1));
        slots.push(Arc::clone(slot));
    }
}

fn remove<K: Eq + Hash>(map: &mut HashMap<K, Vec<Arc<Slot>>>, keys: &[K], slot: &Arc<Slot>) {
    for key in keys {
        if let Some(slots) = map.get_mut(key) {
            slots.retain(|one| !Arc::ptr_eq(one, slot));
            if slots.is_empty() {
                map.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Concern, Few};
    use crate::live::page::tests::cut;
    use offpeak_domain::id::JobId;
    use offpeak_domain::job::State;
    use offpeak_store::event::UserKey;
    use offpeak_store::stream::{Event, Job, What};
    use std::sync::Arc;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn of(users: &[&str]) -> Concern {
        Concern {
            groups: Box::default(),
            users: users.iter().map(|user| UserKey::of(user)).collect(),
        }
    }

    fn event(seq: u64, user: &str) -> Event {
        Event {
            seq,
            at: OffsetDateTime::UNIX_EPOCH,
            what: What::Jobs {
                state: State::Queued,
                label: None,
                batch: None,
                jobs: vec![Job {
                    id: JobId::from_uuid(Uuid::from_u128(seq.into())),
                    group: None,
                    user: Some(UserKey::of(user)),
                    cost: None,
                }],
            },
        }
    }

    #[test]
    fn a_page_wakes_those_whom_it_concerns() {
        let mut few = Few::default();
        let (mut ada, mut both) = (few.add(of(&["ada"]), 6), few.add(of(&["ada", "bob"]), 6));
        let mut woken = Vec::new();
        few.mark(&cut(vec![event(7, "bob")])[0], &mut woken);
        assert!(woken.len() == 1 && Arc::ptr_eq(&woken[0], &both.slot));
        few.mark(&cut(vec![event(8, "ada")])[0], &mut woken);
        few.mark(&cut(vec![event(9, "eve")])[0], &mut woken);
        assert_eq!(woken.len(), 3);
        // What was there before is looked at, whomever it concerns.
        assert_eq!((ada.pass(6, 3), both.pass(6, 5)), (3, 5));
        // One beyond what is known waits until it is.
        assert_eq!((ada.pass(7, 6), ada.pass(9, 7), ada.pass(9, 8)), (7, 7, 8));
        // After the first one everything is looked at.
        assert_eq!(
            (both.pass(9, 6), both.pass(9, 7), both.pass(9, 8)),
            (6, 7, 8)
        );
        assert_eq!((both.pass(12, 9), both.pass(12, 12)), (12, 12));
        few.remove(&ada);
        few.remove(&both);
        assert_eq!(few.all().count() + few.users.len() + few.count(), 0);
    }

    #[test]
    fn nothing_is_passed_over_that_concerns() {
        // Whenever it looks, however far: every page of ada's is looked at.
        for seed in 0..500_u64 {
            let (mut few, mut state) = (Few::default(), seed);
            let mut next = |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % below
            };
            let mut ada = few.add(of(&["ada"]), 0);
            let (mut known, mut at, mut wanted, mut seen) = (0, 0, Vec::new(), Vec::new());
            for seq in 1..=60 {
                let user = if next(4) == 0 { "ada" } else { "bob" };
                few.mark(&cut(vec![event(seq, user)])[0], &mut Vec::new());
                if user == "ada" {
                    wanted.push(seq);
                }
                // Sometimes a mark is there before its page is known.
                known = if next(3) == 0 { known } else { seq };
                for _ in 0..next(4) {
                    at = ada.pass(known, at);
                    if at < known {
                        at += 1;
                        seen.push(at);
                    }
                }
            }
            while ada.pass(60, at) < 60 {
                at = ada.pass(60, at) + 1;
                seen.push(at);
            }
            assert!(wanted.iter().all(|seq| seen.contains(seq)), "seed {seed}");
        }
    }
}
