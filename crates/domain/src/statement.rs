//! The ledger beside Anthropic's reports: where the two say something else, by
//! day, by what was charged and by lane.

use std::collections::BTreeMap;

use time::Date;

use crate::job::Lane;
use crate::money::Pico;

/// What was charged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Charge {
    /// Tokens of this model.
    Model(String),
    /// Something else that has a price, in Anthropic's word for it, such as
    /// `web_search`.
    Other(String),
}

/// What an amount is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// The day (UTC).
    pub day: Date,
    /// What was charged.
    pub charge: Charge,
    /// The lane, by its name; none where a report does not tell.
    pub lane: Option<&'static str>,
}

impl Item {
    /// Tokens of a model.
    pub fn of_model(day: Date, model: &str, lane: Lane) -> Self {
        Self {
            day,
            charge: Charge::Model(model.to_owned()),
            lane: Some(lane.as_str()),
        }
    }

    /// Something else, whose price no lane changes.
    pub fn other(day: Date, what: &str) -> Self {
        Self {
            day,
            charge: Charge::Other(what.to_owned()),
            lane: None,
        }
    }
}

/// Tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Outside of caches.
    pub input: u64,
    /// Written for five minutes.
    pub cache_write_5m: u64,
    /// Written for an hour.
    pub cache_write_1h: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Output.
    pub output: u64,
}

impl Tokens {
    /// The kinds with their names, in this order everywhere.
    pub fn kinds(&self) -> [(&'static str, u64); 5] {
        [
            ("input", self.input),
            ("cache write 5m", self.cache_write_5m),
            ("cache write 1h", self.cache_write_1h),
            ("cache read", self.cache_read),
            ("output", self.output),
        ]
    }

    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            input: self.input.saturating_add(more.input),
            cache_write_5m: self.cache_write_5m.saturating_add(more.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(more.cache_write_1h),
            cache_read: self.cache_read.saturating_add(more.cache_read),
            output: self.output.saturating_add(more.output),
        }
    }
}

/// What one side says of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Its tokens.
    pub tokens: Tokens,
    /// Its money.
    pub cost: Pico,
    /// Amounts that were rounded before they were added up to that.
    pub rounded: u64,
    /// Entries whose money is not known and not in it.
    pub unpriced: u64,
}

impl Said {
    /// Adds what else one side says of the same item.
    pub fn add(&mut self, more: Self) {
        self.tokens = self.tokens.and(more.tokens);
        self.cost += more.cost;
        self.rounded += more.rounded;
        self.unpriced += more.unpriced;
    }
}

/// One side.
pub type Side = BTreeMap<Item, Said>;

/// How the two sides stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They say the same, within rounding.
    Same,
    /// The money is the same, and the report has tokens that nobody was charged
    /// for, such as those of refusals without content.
    Unbilled,
    /// The ledger has entries whose price it does not know, and the report has
    /// their tokens.
    Unpriced,
    /// They say something else.
    Different,
}

impl Verdict {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Unbilled => "same, and tokens that were not charged",
            Self::Unpriced => "without a known price here",
            Self::Different => "different",
        }
    }

    /// Whether the ledger stands as it is.
    pub const fn agrees(self) -> bool {
        match self {
            Self::Same | Self::Unbilled => true,
            Self::Unpriced | Self::Different => false,
        }
    }
}

/// One item on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What it is about.
    pub item: Item,
    /// What the ledger says.
    pub ledger: Said,
    /// What the report says.
    pub report: Said,
    /// How they stand.
    pub verdict: Verdict,
}

/// A hundredth of a cent: to so much a report rounds its amounts at worst.
pub const ROUNDING: Pico = Pico(100_000_000);

/// Every item that either side names, in order, with what both say of it. `unit`
/// is to what the report rounds each of its amounts.
pub fn compare(ledger: &Side, report: &Side, unit: Pico) -> Vec<Compared> {
    let mut items: Vec<&Item> = ledger.keys().chain(report.keys()).collect();
    items.sort_unstable();
    items.dedup();
    items
        .into_iter()
        .map(|item| {
            let of = |side: &Side| side.get(item).copied().unwrap_or_default();
            let (ledger, report) = (of(ledger), of(report));
            Compared {
                item: item.clone(),
                ledger,
                report,
                verdict: judge(&ledger, &report, unit),
            }
        })
        .collect()
}

fn judge(ledger: &Said, report: &Said, unit: Pico) -> Verdict {
    // An amount that is rounded to nothing may have been left out.
    let allowed = unit * report.rounded.max(1);
    let same_money = (ledger.cost - report.cost).0.abs() <= allowed.0;
    let pairs = ledger.tokens.kinds().into_iter().zip(report.tokens.kinds());
    let same_tokens = ledger.tokens == report.tokens;
    let more_in_report = pairs.clone().all(|((_, ours), (_, theirs))| ours <= theirs);
    match (same_money, same_tokens) {
        _ if ledger.unpriced > 0 => Verdict::Unpriced,
        (true, true) => Verdict::Same,
        (true, false) if more_in_report => Verdict::Unbilled,
        _ => Verdict::Different,
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, ROUNDING, Said, Side, Tokens, Verdict, compare};
    use crate::job::Lane;
    use crate::money::Pico;
    use time::macros::date;

    fn said(input: u64, output: u64, cost: i128, rounded: u64) -> Said {
        Said {
            tokens: Tokens {
                input,
                output,
                ..Tokens::default()
            },
            cost: Pico(cost),
            rounded,
            unpriced: 0,
        }
    }

    #[test]
    fn each_way_in_which_two_sides_can_differ() {
        let cent = 10_000_000_000;
        let unpriced = Said {
            unpriced: 1,
            ..said(10, 5, 0, 0)
        };
        let rows = [
            ("the same", said(10, 5, cent, 0), said(10, 5, cent, 2)),
            (
                "rounded twice",
                said(10, 5, cent, 0),
                said(10, 5, cent + cent / 50, 2),
            ),
            (
                "beyond rounding",
                said(10, 5, cent, 0),
                said(10, 5, cent + cent / 50 + 1, 2),
            ),
            (
                "too small for a row",
                said(0, 1, 1_250_000, 0),
                said(0, 1, 0, 0),
            ),
            ("a free refusal", said(10, 5, cent, 0), said(12, 5, cent, 2)),
            (
                "charged and not booked",
                said(10, 5, cent, 0),
                said(20, 10, 2 * cent, 2),
            ),
            (
                "booked and not charged",
                said(10, 5, cent, 0),
                said(0, 0, 0, 0),
            ),
            (
                "tokens that nobody reported",
                said(10, 5, cent, 0),
                said(9, 6, cent, 2),
            ),
            (
                "another price",
                said(10, 5, cent, 0),
                said(10, 5, 2 * cent, 2),
            ),
            ("no price here", unpriced, said(10, 5, cent, 2)),
        ];
        let mut table = Vec::new();
        for (name, ours, theirs) in rows {
            let item = Item::of_model(date!(2026 - 11 - 27), "m", Lane::Batch);
            let side = |said| Side::from([(item.clone(), said)]);
            let compared = compare(&side(ours), &side(theirs), ROUNDING);
            let [one] = compared.as_slice() else {
                panic!("{compared:?}")
            };
            table.push(format!(
                "{name:<28} {:<7} {:?}",
                one.verdict.agrees(),
                one.verdict
            ));
        }
        insta::assert_snapshot!(table.join("\n"), @r"
        the same                     true    Same
        rounded twice                true    Same
        beyond rounding              false   Different
        too small for a row          true    Same
        a free refusal               true    Unbilled
        charged and not booked       false   Different
        booked and not charged       false   Different
        tokens that nobody reported  false   Different
        another price                false   Different
        no price here                false   Unpriced
        ");
    }

    #[test]
    fn what_only_one_side_names_is_there_too() {
        let day = date!(2026 - 11 - 27);
        let ours = Side::from([(Item::of_model(day, "m", Lane::Batch), said(1, 1, 1, 0))]);
        let theirs = Side::from([(Item::other(day, "code_execution"), said(0, 0, 1 << 40, 1))]);
        let compared = compare(&ours, &theirs, ROUNDING);
        assert_eq!(compared.len(), 2);
        assert_eq!(compared[1].verdict, Verdict::Different);
        assert_eq!(compared[1].ledger, Said::default());
    }
}
