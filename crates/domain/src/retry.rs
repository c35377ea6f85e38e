//! How long to wait before something is tried again.

use std::time::Duration;

/// The least wait.
pub const MIN: Duration = Duration::from_secs(1);
/// The greatest wait.
pub const MAX: Duration = Duration::from_mins(5);

/// The wait before the next try, after `tries` failed ones (at least 1).
///
/// Exponential with full jitter: anywhere between [`MIN`] and a ceiling that
/// doubles with each try from 2 s up to [`MAX`], so that what failed together
/// does not come back together. `unit_random` is uniform in 0..1.
pub fn backoff(tries: u32, unit_random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.max(1));
    let ceiling = MIN.saturating_mul(doubled).min(MAX);
    let fraction = if unit_random.is_nan() {
        0.0
    } else {
        unit_random.clamp(0.0, 1.0)
    };
    MIN + ceiling.saturating_sub(MIN).mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::{MAX, MIN, backoff};
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_five_minutes() {
        let ceilings: Vec<u64> = (0..11).map(|tries| backoff(tries, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(9, 0.5).as_millis(), 150_500);
    }

    proptest! {
        #[test]
        fn any_wait_is_within_bounds(tries in any::<u32>(), random in any::<f64>()) {
            let wait = backoff(tries, random);
            prop_assert!(MIN <= wait && wait <= MAX);
        }
    }
}
