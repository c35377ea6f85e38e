//! Whether a direct call is marked for the prompt cache.
//!
//! Outside of batches a warm entry is found: what has to be guessed is whether
//! another call comes before it is cold. That follows from how many came lately.

use std::time::Duration;

use super::{Mark, Reason, chance};
use crate::money::Pico;
use crate::price::Rates;

/// What the decision goes by. Calls are those of everybody on the upstream whose
/// requests begin alike: they share its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called {
    /// Tokens of the shared prefix; 0 for none.
    pub tokens: u32,
    /// Shorter ones the model does not cache.
    pub minimum: u32,
    /// What a token costs.
    pub rates: Rates,
    /// Calls within [`Called::WINDOW`], without this one.
    pub lately: u32,
    /// The last one that was marked: how, and how long ago it was begun.
    pub last: Option<(Mark, Duration)>,
}

impl Called {
    /// For how long calls are counted.
    pub const WINDOW: Duration = Duration::from_hours(1);

    /// How the call is marked, and why.
    pub fn decide(&self) -> (Mark, Reason) {
        if self.tokens == 0 || self.tokens < self.minimum {
            return (Mark::None, Reason::TooShort);
        }
        // Read, it costs less than plainly, and is kept for as long again.
        if let Some((mark, ago)) = self.last
            && ago < mark.life()
        {
            return (mark, reason(mark));
        }
        if self.lately == 0 {
            return (Mark::None, Reason::TooFew);
        }
        let best = [Mark::FiveMinutes, Mark::OneHour]
            .into_iter()
            .min_by_key(|mark| self.cost(*mark));
        match best {
            Some(mark) if self.cost(mark) < self.rates.input * 1000 => (mark, reason(mark)),
            _ => (Mark::None, Reason::WouldNotPay),
        }
    }

    /// What a thousand tokens of a call come to in the long run, if each is marked
    /// like this.
    fn cost(&self, mark: Mark) -> Pico {
        let hits = chance(self.lately, mark);
        self.rates.cache_read * hits + mark.write(&self.rates) * (1000 - hits)
    }
}

fn reason(mark: Mark) -> Reason {
    match mark {
        Mark::OneHour => Reason::PaysOneHour,
        Mark::FiveMinutes | Mark::None => Reason::PaysFiveMinutes,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Called;
    use crate::cache::{Mark, Reason};
    use crate::money::Pico;
    use crate::price::Rates;

    const RATES: Rates = Rates {
        input: Pico(1_000),
        output: Pico(5_000),
        cache_write_5m: Pico(1_250),
        cache_write_1h: Pico(2_000),
        cache_read: Pico(100),
    };

    fn called(lately: u32, last: Option<(Mark, u64)>) -> (Mark, Reason) {
        Called {
            tokens: 3_000,
            minimum: 1_024,
            rates: RATES,
            lately,
            last: last.map(|(mark, minutes)| (mark, Duration::from_mins(minutes))),
        }
        .decide()
    }

    #[test]
    fn every_reason() {
        use Mark::{FiveMinutes, None as Unmarked, OneHour};
        for (lately, last, mark, reason) in [
            (0, None, Unmarked, Reason::TooFew),
            // One in an hour is as likely not to come again.
            (1, None, Unmarked, Reason::WouldNotPay),
            (2, None, OneHour, Reason::PaysOneHour),
            (60, None, OneHour, Reason::PaysOneHour),
            // What is there is read, however few come.
            (
                0,
                Some((FiveMinutes, 4)),
                FiveMinutes,
                Reason::PaysFiveMinutes,
            ),
            (1, Some((OneHour, 59)), OneHour, Reason::PaysOneHour),
            (1, Some((OneHour, 60)), Unmarked, Reason::WouldNotPay),
            (0, Some((Unmarked, 0)), Unmarked, Reason::TooFew),
        ] {
            assert_eq!(called(lately, last), (mark, reason), "{lately} {last:?}");
        }
        let short = Called {
            tokens: 1_023,
            minimum: 1_024,
            rates: RATES,
            lately: 600,
            last: None,
        };
        assert_eq!(short.decide(), (Unmarked, Reason::TooShort));
    }
}
