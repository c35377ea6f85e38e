//! How long what jobs were asked, and what they have answered, is kept.

use std::ops::RangeInclusive;

/// Days that something may be kept.
pub const DAYS: RangeInclusive<u32> = 1..=400;

/// Whole days (UTC) after the day of a job's submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// For what was asked: the params and the metadata.
    pub inputs: u32,
    /// For what was answered: result lines, and lines that were put aside. Never
    /// shorter than `inputs`.
    pub results: u32,
}

impl Default for Days {
    fn default() -> Self {
        Self {
            inputs: 30,
            results: 30,
        }
    }
}

/// What is wrong with a pair of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The time of inputs is not one of [`DAYS`].
    Inputs,
    /// The time of results is not one of [`DAYS`].
    Results,
    /// Inputs would be kept longer than results.
    Order,
}

impl Days {
    /// What is wrong with it, if anything.
    pub fn check(self) -> Result<Self, Fault> {
        if !DAYS.contains(&self.inputs) {
            Err(Fault::Inputs)
        } else if !DAYS.contains(&self.results) {
            Err(Fault::Results)
        } else if self.inputs > self.results {
            Err(Fault::Order)
        } else {
            Ok(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Days, Fault};

    #[test]
    fn inputs_go_first() {
        let of = |inputs, results| Days { inputs, results }.check();
        assert!(Days::default().check().is_ok());
        assert!(of(1, 400).is_ok() && of(7, 7).is_ok());
        assert_eq!(of(0, 7), Err(Fault::Inputs));
        assert_eq!(of(7, 401), Err(Fault::Results));
        assert_eq!(of(8, 7), Err(Fault::Order));
    }
}
