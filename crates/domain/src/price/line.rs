//! A bill, line by line.

use time::Date;

use super::{Prices, UnknownModel, Usage};
use crate::job::Lane;
use crate::label::labels;
use crate::money::Pico;

labels! {
    /// What a line of a bill is for.
    pub enum Item as "item of a bill", as_str {
        /// Uncached prompt tokens.
        Input = "input",
        /// Output tokens.
        Output = "output",
        /// Prompt tokens written to the five-minute cache.
        CacheWrite5m = "cache_write_5m",
        /// Prompt tokens written to the one-hour cache.
        CacheWrite1h = "cache_write_1h",
        /// Prompt tokens read from a cache.
        CacheRead = "cache_read",
        /// Web searches.
        WebSearch = "web_search",
    }
}

/// One line of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub item: Item,
    /// Tokens, or searches.
    pub units: u64,
    /// What one of them cost in its lane.
    pub each: Pico,
}

impl Line {
    /// What all of them cost.
    pub fn cost(&self) -> Pico {
        self.each * self.units
    }
}

impl Usage {
    /// How much of each item, in the order of a bill; what was not used is left out.
    pub fn items(&self) -> impl Iterator<Item = (Item, u64)> + use<> {
        [
            (Item::Input, self.input),
            (Item::CacheWrite5m, self.cache_write_5m),
            (Item::CacheWrite1h, self.cache_write_1h),
            (Item::CacheRead, self.cache_read),
            (Item::Output, self.output),
            (Item::WebSearch, self.web_searches),
        ]
        .into_iter()
        .filter(|(_, units)| *units > 0)
    }
}

impl Prices {
    /// The lines that make up [`Prices::cost`], to the pico-dollar.
    pub fn lines(
        &self,
        usage: &Usage,
        model: &str,
        day: Date,
        lane: Lane,
    ) -> Result<Vec<Line>, UnknownModel> {
        let model = self.model(model)?;
        let rates = model.rates(day, usage.prompt());
        let factor = model.factor(lane, usage.geo_us);
        let each = |item| match item {
            Item::Input => factor.of(rates.input),
            Item::Output => factor.of(rates.output),
            Item::CacheWrite5m => factor.of(rates.cache_write_5m),
            Item::CacheWrite1h => factor.of(rates.cache_write_1h),
            Item::CacheRead => factor.of(rates.cache_read),
            // Costs the same in every lane.
            Item::WebSearch => self.web_search,
        };
        let priced = |(item, units)| Line {
            item,
            units,
            each: each(item),
        };
        Ok(usage.items().map(priced).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Item;
    use crate::job::Lane;
    use crate::money::Pico;
    use crate::price::{Prices, Usage};
    use proptest::prelude::*;
    use time::macros::date;

    proptest! {
        #[test]
        fn the_lines_are_the_bill(
            input in 0_u64..400_000, output in 0_u64..60_000, short in 0_u64..9_000,
            long in 0_u64..9_000, read in 0_u64..90_000, searches in 0_u64..9, geo: bool,
        ) {
            let usage = Usage {
                input, output, cache_write_5m: short, cache_write_1h: long,
                cache_read: read, web_searches: searches, geo_us: geo,
            };
            let (prices, day) = (Prices::shipped().unwrap(), date!(2026 - 11 - 28));
            for model in prices.models() {
                for lane in [Lane::Batch, Lane::Direct] {
                    let lines = prices.lines(&usage, &model.id, day, lane).unwrap();
                    let sum: Pico = lines.iter().map(super::Line::cost).sum();
                    prop_assert_eq!(sum, prices.cost(&usage, &model.id, day, lane).unwrap());
                }
            }
        }
    }

    #[test]
    fn what_was_not_used_has_no_line() {
        let usage = Usage {
            input: 3,
            ..Usage::default()
        };
        assert_eq!(usage.items().collect::<Vec<_>>(), [(Item::Input, 3)]);
    }
}
