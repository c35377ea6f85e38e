//! Budgets: of what, for how long, and what a job is expected to cost.
//!
//! A budget counts what was submitted in its period (UTC): what is reserved for a
//! job, and what it costs in the end, stay in the period of its submit.

use time::Date;

use crate::estimate::{Calibration, Prompt};
use crate::job::Lane;
use crate::label::labels;
use crate::money::Pico;
use crate::price::{Prices, Usage};

labels! {
    /// Whose spending a budget counts.
    pub enum Scope as "budget scope", as_str {
        /// All of a tenant's.
        Tenant = "tenant",
        /// That for one of its users, or for each.
        User = "user",
        /// That of one job type, or of each.
        Type = "type",
    }
}

/// The most that a budget may be: nine million dollars, which a `bigint` holds.
pub const MAX_LIMIT: Pico = Pico(9_000_000_000_000_000_000);

labels! {
    /// For how long a budget is.
    pub enum Period as "budget period", as_str {
        /// From midnight to midnight (UTC).
        Day = "day",
        /// A calendar month (UTC).
        Month = "month",
    }
}

impl Period {
    /// The first day of the period that this day is in.
    pub fn start(self, day: Date) -> Date {
        match self {
            Self::Day => day,
            Self::Month => day.replace_day(1).unwrap_or(day),
        }
    }

    /// The first day of the one after that which begins on this day.
    pub fn renews(self, start: Date) -> Date {
        let next = match self {
            Self::Day => start.next_day(),
            Self::Month => {
                let first = start.replace_day(1).ok();
                let days = start.month().length(start.year());
                first.and_then(|first| first.checked_add(time::Duration::days(i64::from(days))))
            }
        };
        next.unwrap_or(Date::MAX)
    }
}

/// What a job is expected to cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// By the local estimate alone.
    pub plain: Pico,
    /// Corrected by what jobs of its kind have really cost; this is reserved.
    pub cost: Pico,
}

impl Expected {
    /// Nothing is known: there is no price.
    pub const UNPRICED: Self = Self {
        plain: Pico::ZERO,
        cost: Pico::ZERO,
    };
}

/// How much jobs of a kind cost, of what was estimated, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction(u32);

/// Estimates that count as right before anything was measured.
const TRUSTED: i128 = 10;
/// The least and the most that an estimate is corrected to.
const BOUNDS: (i128, i128) = (250, 4_000);

impl Correction {
    /// None.
    pub const NONE: Self = Self(1_000);

    /// By so many jobs that were estimated at `plain` together and have cost
    /// `settled`. Few of them change little.
    pub fn of(jobs: u64, plain: Pico, settled: Pico) -> Self {
        let jobs = i128::from(jobs);
        let permille = settled.0.saturating_mul(1_000).checked_div(plain.0);
        let Some(permille) = permille else {
            return Self::NONE;
        };
        let permille = permille.clamp(0, 1_000_000);
        let mean = (permille * jobs + 1_000 * TRUSTED) / (jobs + TRUSTED);
        Self(u32::try_from(mean.clamp(BOUNDS.0, BOUNDS.1)).unwrap_or(1_000))
    }

    /// In thousandths.
    pub fn permille(self) -> u32 {
        self.0
    }

    /// An amount corrected, rounded up.
    fn correct(self, amount: Pico) -> Pico {
        Pico((amount.0 * i128::from(self.0) + 999) / 1_000)
    }
}

/// What a job with these params is expected to cost in its lane on `day`: its own
/// tokens and the most likely length of its answer, nothing from a cache, at the
/// day's price. `correction` is that of its job type and model.
pub fn expect(
    params: &[u8],
    model: &str,
    lane: Lane,
    day: Date,
    prices: &Prices,
    correction: Correction,
) -> Expected {
    let text = std::str::from_utf8(params).unwrap_or_default();
    let Ok(prompt) = Prompt::read(text, None, &Calibration::SHIPPED) else {
        return Expected::UNPRICED;
    };
    let usage = Usage {
        input: prompt.tokens,
        output: prompt.answer,
        geo_us: prompt.geo_us,
        ..Usage::default()
    };
    match prices.cost(&usage, model, day, lane) {
        // What no row could hold is more than any budget.
        Ok(plain) => {
            let most = Pico(i128::from(i64::MAX));
            Expected {
                plain: plain.min(most),
                cost: correction.correct(plain).min(most),
            }
        }
        Err(_) => Expected::UNPRICED,
    }
}

/// By how many tenths of a percent estimates were above what was settled; none
/// before anything was.
pub fn deviation(estimated: Pico, settled: Pico) -> Option<i64> {
    let off = estimated.0.checked_sub(settled.0)?.checked_mul(1_000)?;
    i64::try_from(off.checked_div(settled.0)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Correction, Expected, Period, deviation, expect};
    use crate::job::Lane;
    use crate::money::Pico;
    use crate::price::Prices;
    use proptest::prelude::*;
    use time::macros::date;

    const BODY: &str = r#"{"model":"claude-haiku-5-5","max_tokens":100,
        "messages":[{"role":"user","content":"Say it in at most 40 words."}]}"#;

    #[test]
    fn periods_begin_and_renew_at_midnight() {
        let leap = date!(2028 - 02 - 29);
        assert_eq!(Period::Day.start(leap), leap);
        assert_eq!(Period::Day.renews(leap), date!(2028 - 03 - 01));
        assert_eq!(Period::Month.start(leap), date!(2028 - 02 - 01));
        assert_eq!(
            Period::Month.renews(date!(2028 - 02 - 01)),
            date!(2028 - 03 - 01)
        );
        assert_eq!(
            Period::Month.renews(date!(2026 - 12 - 01)),
            date!(2027 - 01 - 01)
        );
    }

    #[test]
    fn a_lane_an_answer_and_a_correction_make_the_cost() {
        let prices = Prices::shipped().unwrap();
        let day = date!(2026 - 11 - 28);
        let of = |lane, correction| {
            expect(
                BODY.as_bytes(),
                "claude-haiku-5-5",
                lane,
                day,
                &prices,
                correction,
            )
        };
        let (batch, direct) = (
            of(Lane::Batch, Correction::NONE),
            of(Lane::Direct, Correction::NONE),
        );
        assert_eq!(direct.plain.0, 2 * batch.plain.0);
        assert!(batch.plain > Pico::ZERO);
        assert_eq!(batch.cost, batch.plain);
        let less = of(Lane::Batch, Correction::of(10, Pico(1_000), Pico(334)));
        assert_eq!(less.plain, batch.plain);
        assert_eq!(
            less.cost.0,
            (batch.plain.0 * 667 + 999) / 1_000,
            "rounded up"
        );
        let unknown = expect(
            BODY.as_bytes(),
            "m",
            Lane::Batch,
            day,
            &prices,
            Correction::NONE,
        );
        assert_eq!(unknown, Expected::UNPRICED);
    }

    #[test]
    fn few_measurements_change_little_and_none_changes_all() {
        let permille =
            |jobs, plain, settled| Correction::of(jobs, Pico(plain), Pico(settled)).permille();
        assert_eq!(permille(0, 0, 0), 1_000);
        assert_eq!(permille(5, 0, 7), 1_000);
        assert_eq!(permille(1, 100, 200), 1_090);
        assert_eq!(permille(10, 1_000, 2_000), 1_500);
        assert_eq!(permille(990, 1_000, 2_000), 1_990);
        assert_eq!(permille(500, 1_000, 0), 250);
        assert_eq!(permille(500, 1, i128::MAX), 4_000);
    }

    #[test]
    fn the_error_is_in_tenths_of_a_percent() {
        assert_eq!(deviation(Pico(5), Pico(0)), None);
        assert_eq!(deviation(Pico(1_024), Pico(1_000)), Some(24));
        assert_eq!(deviation(Pico(950), Pico(1_000)), Some(-50));
    }

    proptest! {
        /// However often it is corrected by what it is told, it comes to the truth.
        #[test]
        fn a_correction_converges(truth in 300_i128..3_900, plain in 1_000_i128..1_000_000) {
            let jobs = 2_000;
            let settled = Pico(plain * i128::from(jobs) * truth / 1_000);
            let found = Correction::of(jobs, Pico(plain * i128::from(jobs)), settled);
            let off = i128::from(found.permille()) - truth;
            prop_assert!(off.abs() <= truth / 50 + 5, "{found:?} for {truth}");
        }
    }
}
