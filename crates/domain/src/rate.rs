//! How often something may happen: so many a second, with as many at once as a burst
//! holds (GCRA, the generic cell rate algorithm).
//!
//! What is kept of one who is limited is one moment, before which they have paid for
//! nothing: there is no queue, no window and nothing to tidy.

use std::time::{Duration, Instant};

/// So many in a time; none in it = as often as anybody likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// How many in `per`; 0 = any.
    pub n: u64,
    /// In which time.
    pub per: Duration,
    /// How many at once after a rest; at least one.
    pub burst: u64,
}

/// When everything that was taken is paid for; none for a past without a debt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid(Option<Instant>);

impl Paid {
    /// Whether it makes no difference any more that something was taken.
    pub fn is_rested(self, now: Instant) -> bool {
        self.0.is_none_or(|at| at <= now)
    }
}

impl Rate {
    /// So many a second.
    pub fn a_second(n: u64, burst: u64) -> Self {
        Self {
            n,
            per: Duration::from_secs(1),
            burst,
        }
    }

    /// So many a minute, all of them at once if one likes.
    pub fn a_minute(n: u64) -> Self {
        Self {
            n,
            per: Duration::from_mins(1),
            burst: n,
        }
    }

    /// Takes `n` now, or says after which time they may be taken.
    ///
    /// More than a burst holds are taken once all of it is there, and paid for
    /// afterwards: what is refused for ever would be no rate.
    pub fn take(&self, paid: &mut Paid, now: Instant, n: u64) -> Result<(), Duration> {
        if self.n == 0 || n == 0 {
            return Ok(());
        }
        let burst = self.burst.max(1);
        let begins = paid.0.filter(|at| *at > now).unwrap_or(now);
        // How far ahead of its time may be taken.
        let ahead = self.cost(burst);
        let then = begins + self.cost(n.min(burst));
        match then.checked_duration_since(now + ahead) {
            Some(wait) if wait > Duration::ZERO => Err(wait),
            _ => {
                paid.0 = Some(begins + self.cost(n));
                Ok(())
            }
        }
    }

    /// Gives back `n` that were taken for nothing.
    pub fn give_back(&self, paid: &mut Paid, n: u64) {
        if self.n > 0 {
            paid.0 = paid.0.and_then(|at| at.checked_sub(self.cost(n)));
        }
    }

    /// The time that `n` stand for: at most a day, which is never (and fits).
    fn cost(&self, n: u64) -> Duration {
        const DAY: u128 = 86_400_000_000_000;
        let nanos = self.per.as_nanos().saturating_mul(u128::from(n)) / u128::from(self.n.max(1));
        Duration::from_nanos(u64::try_from(nanos.min(DAY)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Paid, Rate};
    use std::time::{Duration, Instant};

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_then_the_rate_then_a_burst_again() {
        let rate = Rate::a_second(10, 3);
        let (mut paid, now) = (Paid::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(rate.take(&mut paid, now, 1), Ok(()));
        }
        // The wait that is told is enough, and less is not.
        assert_eq!(rate.take(&mut paid, now, 1), Err(millis(100)));
        assert_eq!(rate.take(&mut paid, now + millis(99), 1), Err(millis(1)));
        assert_eq!(rate.take(&mut paid, now + millis(100), 1), Ok(()));
        assert_eq!(rate.take(&mut paid, now + millis(100), 1), Err(millis(100)));
        // A rest of any length is worth one burst.
        let later = now + Duration::from_hours(1);
        assert!(paid.is_rested(later) && !paid.is_rested(now));
        assert_eq!(rate.take(&mut paid, later, 3), Ok(()));
        assert!(rate.take(&mut paid, later, 1).is_err());
    }

    #[test]
    fn over_a_long_time_no_more_than_the_rate() {
        let rate = Rate::a_second(50, 100);
        let (mut paid, begin) = (Paid::default(), Instant::now());
        let taken = (0..60_000)
            .filter(|ms| rate.take(&mut paid, begin + millis(*ms), 1).is_ok())
            .count();
        // A minute's worth and the burst.
        assert_eq!(taken, 60 * 50 + 100 - 1);
    }

    #[test]
    fn more_than_a_burst_is_taken_once_and_paid_for() {
        let rate = Rate::a_second(10, 5);
        let (mut paid, now) = (Paid::default(), Instant::now());
        assert_eq!(rate.take(&mut paid, now, 50), Ok(()));
        assert_eq!(rate.take(&mut paid, now, 1), Err(millis(4_600)));
        let mut one = Paid::default();
        assert_eq!(rate.take(&mut one, now, 1), Ok(()));
        assert_eq!(rate.take(&mut one, now, 50), Err(millis(100)));
    }

    #[test]
    fn what_was_given_back_may_be_taken_again() {
        let rate = Rate::a_second(1, 2);
        let (mut paid, now) = (Paid::default(), Instant::now());
        assert_eq!(rate.take(&mut paid, now, 2), Ok(()));
        rate.give_back(&mut paid, 1);
        assert_eq!(rate.take(&mut paid, now, 1), Ok(()));
        assert!(rate.take(&mut paid, now, 1).is_err());
    }

    #[test]
    fn none_is_no_limit_and_one_is_a_burst() {
        let (mut paid, now) = (Paid::default(), Instant::now());
        assert_eq!(Rate::default().take(&mut paid, now, u64::MAX), Ok(()));
        assert_eq!(paid, Paid::default());
        let rate = Rate::a_minute(1);
        assert_eq!(rate.take(&mut paid, now, 1), Ok(()));
        assert_eq!(rate.take(&mut paid, now, 1), Err(Duration::from_mins(1)));
        // Whatever the figures, nothing overflows.
        let slow = Rate {
            n: 1,
            per: Duration::MAX,
            burst: u64::MAX,
        };
        assert_eq!(slow.take(&mut Paid::default(), now, u64::MAX), Ok(()));
    }
}
