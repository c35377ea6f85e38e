//! What is to become of one batch. Written into its record, so it outlives a restart.

use std::collections::BTreeMap;

use offpeak_anthropic::shape::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::refusal::Refusal;

/// What becomes of a batch and of its items. Shares are from 0 to 1 and are drawn
/// for each item from the stand-in's seed; together they should not exceed 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// It never ends: not after its time, not after a day, not after a cancel.
    pub never_ends: bool,
    /// Items that never reach a model: 1 = the whole batch expires.
    pub expired: f64,
    /// Items that fail, by `error.type`.
    pub errored: BTreeMap<String, f64>,
    /// Items that the model refuses with empty content (not charged).
    pub refused: f64,
    /// Items that the model refuses after a part of the answer (charged).
    pub broken_off: f64,
    /// A cancel comes too late for every item.
    pub cancel_completes: bool,
    /// How long it takes, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turnaround_ms: Option<u64>,
    /// How likely a warm cache entry is found, 0 to 1; set from the behavior that
    /// holds when the batch is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_hit_rate: Option<f64>,
}

/// What the plan has in mind for one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Lot {
    /// Nothing: it is answered.
    Answered,
    Expired,
    Errored(Refusal),
    Refused {
        empty: bool,
    },
}

impl Plan {
    /// The lot of one item.
    pub(crate) fn lot(&self, batch: &str, item: u32, seed: u64) -> Lot {
        let shares = self.expired + self.refused + self.broken_off;
        if shares <= 0.0 && self.errored.is_empty() {
            return Lot::Answered;
        }
        let mut left = Dice::new(seed, &[batch, "lot", &item.to_string()]).share();
        let mut falls = |share: f64| {
            left -= share;
            left < 0.0
        };
        if falls(self.expired) {
            return Lot::Expired;
        }
        for (kind, share) in &self.errored {
            if falls(*share) {
                return Lot::Errored(Refusal::new(
                    500,
                    ErrorKind::from(kind.as_str()),
                    "A fault that was asked for",
                ));
            }
        }
        if falls(self.refused) {
            return Lot::Refused { empty: true };
        }
        if falls(self.broken_off) {
            return Lot::Refused { empty: false };
        }
        Lot::Answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept() {
        let plan = Plan {
            expired: 0.1,
            errored: [("overloaded_error".to_owned(), 0.2)].into(),
            refused: 0.3,
            ..Plan::default()
        };
        let mut counts = [0; 4];
        for item in 0..10_000 {
            let at = match plan.lot("b", item, 7) {
                Lot::Expired => 0,
                Lot::Errored(refusal) => {
                    assert_eq!(refusal.kind, ErrorKind::Overloaded);
                    1
                }
                Lot::Refused { empty } => {
                    assert!(empty);
                    2
                }
                Lot::Answered => 3,
            };
            counts[at] += 1;
        }
        for (count, expected) in counts.iter().zip([1_000, 2_000, 3_000, 4_000]) {
            assert!(
                (expected - 200..expected + 200).contains(count),
                "{counts:?}"
            );
        }
        assert_eq!(Plan::default().lot("b", 1, 7), Lot::Answered);
    }
}
