//! Pages that were read for somebody who came back from long ago. Whoever comes
//! back at the same time, as all do after a restart, mostly wants the same ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::page::Page;
use super::share::Share;

/// For how long they are kept, from the last reading on.
const LIFETIME: Duration = Duration::from_secs(30);

/// Pages by their first event; they may overlap.
#[derive(Debug)]
pub(super) struct Kept {
    pages: BTreeMap<u64, Arc<Page>>,
    bytes: Share,
    added: Instant,
}

impl Kept {
    pub(super) fn new(bytes: Share) -> Self {
        Self {
            pages: BTreeMap::new(),
            bytes,
            added: Instant::now(),
        }
    }

    /// Adds pages; the oldest ones give way.
    pub(super) fn add(&mut self, pages: &[Arc<Page>], most: usize) {
        let new = pages.iter().map(|page| (page.first, Arc::clone(page)));
        self.pages.extend(new);
        let mut bytes = self.pages.values().map(|page| page.bytes()).sum();
        while bytes > most
            && let Some((_, page)) = self.pages.pop_first()
        {
            bytes -= page.bytes();
        }
        self.bytes.set(bytes);
        self.added = Instant::now();
    }

    /// The page that goes on after `seq`.
    pub(super) fn after(&self, epoch: &str, seq: u64) -> Option<Arc<Page>> {
        let (_, page) = self.pages.range(..=seq + 1).next_back()?;
        page.goes_on(epoch, seq).then(|| Arc::clone(page))
    }

    /// Forgets those that nobody came back for.
    pub(super) fn age(&mut self) {
        if self.added.elapsed() > LIFETIME {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.bytes.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use crate::live::page::tests::{cut, event};
    use crate::live::share::Share;
    use std::sync::Arc;

    #[test]
    fn pages_are_found_by_what_is_in_them_and_the_oldest_give_way() {
        let mut kept = Kept::new(Share::of(&Arc::default()));
        let read = |first, last| cut((first..=last).map(|seq| event(seq, 1)).collect());
        kept.add(&read(10, 20), usize::MAX);
        kept.add(&read(15, 30), usize::MAX);
        let found = |kept: &Kept, seq| kept.after("e", seq).map(|page| (page.first, page.last));
        assert_eq!(found(&kept, 8), None);
        assert_eq!(found(&kept, 9), Some((10, 20)));
        assert_eq!(found(&kept, 13), Some((10, 20)));
        assert_eq!(found(&kept, 14), Some((15, 30)));
        assert_eq!(found(&kept, 29), Some((15, 30)));
        assert_eq!(found(&kept, 30), None);
        assert!(kept.after("f", 9).is_none());
        // The same once more takes no more room.
        let before = kept.bytes.all();
        kept.add(&read(15, 30), usize::MAX);
        assert_eq!(kept.bytes.all(), before);
        kept.add(&read(31, 32), before);
        assert_eq!(found(&kept, 9), None);
        assert_eq!(found(&kept, 30), Some((31, 32)));
        kept.clear();
        assert_eq!(kept.bytes.all(), 0);
    }
}
