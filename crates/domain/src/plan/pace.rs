//! How long batches take by their size, as far as that was seen, and what follows
//! for how large they are made: results come only when a whole batch has ended.

use std::time::Duration;

/// What one batch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Requests in it.
    pub items: u32,
    /// From its creation to its end.
    pub time: Duration,
}

/// How long a batch takes: so long at least, and so much for each thousand
/// requests in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// However small it is.
    pub least: Duration,
    /// More for each thousand requests.
    pub per_thousand: Duration,
}

/// Fewer batches say nothing.
const ENOUGH: usize = 20;
/// Nor do such of about one size, …
const SIZES_APART: u64 = 4;
/// … or of which the large ones take hardly longer: five quarters of the small.
const TIMES_APART: (u128, u128) = (5, 4);
/// No batch is made smaller than this for the sake of time alone.
const LEAST_ITEMS: u32 = 100;

impl Pace {
    /// The pace of these batches, if their size shows in their time: by the middle
    /// one of the smallest third and of the largest.
    pub fn of(took: &[Took]) -> Option<Self> {
        if took.len() < ENOUGH {
            return None;
        }
        let mut took = took.to_vec();
        took.sort_by_key(|one| one.items);
        let third = took.len() / 3;
        let (small, large) = (middle(&took[..third]), middle(&took[took.len() - third..]));
        let more = large
            .items
            .checked_sub(small.items)
            .filter(|more| *more > 0)?;
        let (quick, slow) = (small.time.as_millis(), large.time.as_millis());
        let apart = u64::from(large.items) >= u64::from(small.items) * SIZES_APART
            && slow * TIMES_APART.1 >= quick * TIMES_APART.0;
        if !apart {
            return None;
        }
        let per_thousand = (slow - quick) * 1_000 / u128::from(more);
        let least = quick.saturating_sub(per_thousand * u128::from(small.items) / 1_000);
        let millis = |n: u128| Duration::from_millis(u64::try_from(n).unwrap_or(u64::MAX));
        Some(Self {
            least: millis(least),
            per_thousand: millis(per_thousand),
        })
    }

    /// How long a batch of this size takes.
    pub fn time(&self, items: u32) -> Duration {
        let more = self.per_thousand.as_millis() * u128::from(items) / 1_000;
        let more = Duration::from_millis(u64::try_from(more).unwrap_or(u64::MAX));
        self.least.saturating_add(more)
    }

    /// The most requests that end within this time, or the fewest that are worth
    /// a batch; none when not even one ends in time.
    pub(super) fn most_within(&self, time: Duration) -> Option<u32> {
        let room = time.checked_sub(self.least)?;
        let items = room.as_millis() * 1_000 / self.per_thousand.as_millis().max(1);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        (items > 0).then_some(items.max(LEAST_ITEMS))
    }

    /// The size from which on most of the time is the size's: larger batches keep
    /// everybody in them waiting for the rest.
    pub(super) fn turning_point(&self) -> u32 {
        self.most_within(self.least.saturating_mul(2))
            .unwrap_or(LEAST_ITEMS)
    }
}

/// The middle size and the middle time of some batches, at least one.
fn middle(took: &[Took]) -> Took {
    let mut times: Vec<Duration> = took.iter().map(|one| one.time).collect();
    times.sort_unstable();
    Took {
        items: took[took.len() / 2].items,
        time: times[times.len() / 2],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Pace, Took};

    fn took(sizes: impl IntoIterator<Item = u32>, time: impl Fn(u32) -> u64) -> Vec<Took> {
        sizes
            .into_iter()
            .map(|items| Took {
                items,
                time: Duration::from_secs(time(items)),
            })
            .collect()
    }

    #[test]
    fn size_counts_only_where_it_shows() {
        let sizes = || (1..=30).map(|n| n * 300);
        let pace = Pace::of(&took(sizes(), |items| 120 + u64::from(items) / 10)).unwrap();
        assert_eq!(pace.least, Duration::from_mins(2));
        assert_eq!(pace.per_thousand, Duration::from_secs(100));
        assert_eq!(pace.time(3_000), Duration::from_mins(7));
        assert_eq!(pace.most_within(Duration::from_mins(7)), Some(3_000));
        assert_eq!(pace.most_within(Duration::from_secs(119)), None);
        assert_eq!(pace.turning_point(), 1_200);

        assert_eq!(Pace::of(&took(sizes(), |_| 600)), None, "all alike");
        let slowly = |items| 1_000 + u64::from(items) / 50;
        assert_eq!(Pace::of(&took(sizes(), slowly)), None, "hardly longer");
        let shrinking = |items| 9_000 - u64::from(items) / 2;
        assert_eq!(Pace::of(&took(sizes(), shrinking)), None, "quicker");
        let alike = (1_000..1_030).collect::<Vec<_>>();
        assert_eq!(Pace::of(&took(alike, u64::from)), None, "of one size");
        let few = took((1..20).map(|n| n * 300), u64::from);
        assert_eq!(Pace::of(&few), None, "too few");
    }

    proptest! {
        /// Whatever was seen: what fits into a time ends within it, and no call fails.
        #[test]
        fn what_fits_is_in_time(
            seen in prop::collection::vec((1_u32..100_000, 0_u64..100_000), 0..60),
            seconds in 0_u64..1_000_000,
        ) {
            let seen: Vec<Took> = seen
                .into_iter()
                .map(|(items, time)| Took { items, time: Duration::from_secs(time) })
                .collect();
            if let Some(pace) = Pace::of(&seen) {
                let time = Duration::from_secs(seconds);
                if let Some(items) = pace.most_within(time).filter(|items| *items > 100) {
                    prop_assert!(pace.time(items) <= time);
                }
                prop_assert!(pace.turning_point() >= 100);
            }
        }
    }
}
