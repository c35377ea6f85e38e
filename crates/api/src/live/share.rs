//! What each of many holds of something that is bounded for all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One part of a sum; dropped, it is part of it no more.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Share {
    pub(super) fn of(all: &Arc<AtomicUsize>) -> Self {
        Self {
            all: Arc::clone(all),
            own: 0,
        }
    }

    pub(super) fn set(&mut self, own: usize) {
        // Wraps where it becomes less: so does the sum.
        self.all
            .fetch_add(own.wrapping_sub(self.own), Ordering::Relaxed);
        self.own = own;
    }

    /// The sum.
    pub(super) fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::Share;
    use std::sync::Arc;

    #[test]
    fn a_sum_is_that_of_its_parts() {
        let all = Arc::default();
        let (mut one, mut other) = (Share::of(&all), Share::of(&all));
        one.set(7);
        other.set(5);
        one.set(3);
        assert_eq!(one.all(), 8);
        drop(one);
        assert_eq!(other.all(), 5);
    }
}
