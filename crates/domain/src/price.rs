//! What Anthropic charges: prices as data with effective dates, and the cost
//! of one request, exact to the pico-dollar.

use time::Date;

use crate::job::Lane;
use crate::money::Pico;

mod table;

pub use table::Error;

/// What one request used, as Anthropic reported it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Uncached prompt tokens.
    pub input: u64,
    /// Output tokens, thinking included.
    pub output: u64,
    /// Prompt tokens written to the five-minute cache.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the one-hour cache.
    pub cache_write_1h: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Web searches that the server made.
    pub web_searches: u64,
    /// Whether it ran in the United States only (`inference_geo`), at 1.1
    /// times the token price.
    pub geo_us: bool,
}

impl Usage {
    /// The whole prompt: uncached, written and read tokens.
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.cache_read)
    }
}

/// The price of one token of each kind, outside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rates {
    /// An uncached prompt token.
    pub input: Pico,
    /// An output token.
    pub output: Pico,
    /// A token written to the five-minute cache.
    pub cache_write_5m: Pico,
    /// A token written to the one-hour cache.
    pub cache_write_1h: Pico,
    /// A token read from a cache.
    pub cache_read: Pico,
}

/// The prices of one model, by day and by length of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// Other names of the same model.
    pub aliases: Vec<String>,
    /// The day on which it is announced to go.
    pub retires: Option<Date>,
    rows: Vec<Row>,
}

/// Rates with the condition under which they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// First day; `Date::MIN` for the beginning.
    from: Date,
    /// Prompts with more tokens than this; 0 for all.
    above: u64,
    rates: Rates,
}

/// A price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    models: Vec<Model>,
    web_search: Pico,
}

/// A model that the price list does not name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no price is known for the model {model:?}")]
pub struct UnknownModel {
    /// The name that was asked for.
    pub model: String,
}

impl Prices {
    /// The list that ships with offpeak (`price/prices.toml`).
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(include_str!("price/prices.toml"))
    }

    /// Reads a list in the form of the shipped one.
    ///
    /// A price that is not a whole number of pico-dollars per token is
    /// refused, and so is one that would not be after the batch's half and the
    /// 1.1 of US-only inference: then no cost is ever rounded.
    pub fn parse(text: &str) -> Result<Self, Error> {
        table::parse(text)
    }

    /// Every model with a price, in the order of the list.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The price of one web search.
    pub fn web_search(&self) -> Pico {
        self.web_search
    }

    /// The model of this name or alias.
    pub fn model(&self, name: &str) -> Result<&Model, UnknownModel> {
        self.models
            .iter()
            .find(|known| known.id == name || known.aliases.iter().any(|alias| alias == name))
            .ok_or_else(|| UnknownModel {
                model: name.to_owned(),
            })
    }

    /// What tokens of this model cost on `day` in a request with a short prompt.
    pub fn find(&self, model: &str, day: Date) -> Option<Rates> {
        Some(self.model(model).ok()?.rates(day, 0))
    }

    /// What a request with this usage cost on `day` (UTC).
    ///
    /// A batch halves the tokens, not the web searches. Call it again with
    /// [`Lane::Direct`] for what the same work would have cost at once.
    pub fn cost(
        &self,
        usage: &Usage,
        model: &str,
        day: Date,
        lane: Lane,
    ) -> Result<Pico, UnknownModel> {
        let rates = self.model(model)?.rates(day, usage.prompt());
        let at_list_price = rates.input * usage.input
            + rates.output * usage.output
            + rates.cache_write_5m * usage.cache_write_5m
            + rates.cache_write_1h * usage.cache_write_1h
            + rates.cache_read * usage.cache_read;
        let (numerator, denominator) = factor(lane, usage.geo_us);
        // Exact: the list refuses rates that the denominator does not divide.
        let tokens = Pico(at_list_price.0 * numerator / denominator);
        Ok(tokens + self.web_search * usage.web_searches)
    }
}

/// What the token price is multiplied by.
const fn factor(lane: Lane, geo_us: bool) -> (i128, i128) {
    match (lane, geo_us) {
        (Lane::Direct, false) => (1, 1),
        (Lane::Batch, false) => (1, 2),
        (Lane::Direct, true) => (11, 10),
        (Lane::Batch, true) => (11, 20),
    }
}

impl Model {
    /// What a token costs on `day` in a request whose prompt has so many. With
    /// a price step, the whole request is at the rates of its step.
    pub fn rates(&self, day: Date, prompt_tokens: u64) -> Rates {
        // Rows are sorted by day, then by length; each day's first is for all
        // lengths, and the list's first for all days. So the last that holds
        // is the newest price, at its highest step.
        let holds = |row: &&Row| row.from <= day && (row.above == 0 || row.above < prompt_tokens);
        self.rows.iter().rfind(holds).unwrap_or(&self.rows[0]).rates
    }
}

#[cfg(test)]
mod tests {
    use super::{Prices, Usage};
    use crate::job::Lane;
    use crate::money::Pico;
    use proptest::prelude::*;
    use time::Date;
    use time::macros::date;

    const TODAY: Date = date!(2026 - 11 - 22);

    fn cost(usage: &Usage, model: &str, day: Date, lane: Lane) -> String {
        Prices::shipped()
            .unwrap()
            .cost(usage, model, day, lane)
            .unwrap()
            .to_usd_string()
    }

    /// Each row against the published figures: dollars for a million tokens of
    /// each kind, and for the batch its input and output.
    #[test]
    fn the_shipped_list() {
        let prices = Prices::shipped().unwrap();
        let mut table = Vec::new();
        for model in prices.models() {
            // No price step may hide behind the million.
            let rates = model.rates(TODAY, 0);
            let [input, output, short, long, read] = [
                rates.input,
                rates.output,
                rates.cache_write_5m,
                rates.cache_write_1h,
                rates.cache_read,
            ]
            .map(|rate| (rate * 1_000_000).to_usd_string());
            let [half_in, half_out] = [rates.input, rates.output]
                .map(|rate| Pico((rate * 1_000_000).0 / 2).to_usd_string());
            table.push(format!(
                "{:<18} {input:>4} {output:>4} {short:>5} {long:>4} {read:>5}  {half_in:>4} / {half_out}",
                model.id
            ));
        }
        insta::assert_snapshot!(table.join("\n"), @r"
        claude-fable-5-2      8   40    10   16   0.2     4 / 20
        claude-fable-5-1     10   50  12.5   20  0.25     5 / 25
        claude-mythos-5-1    10   50  12.5   20  0.25     5 / 25
        claude-fable-5       10   50  12.5   20     1     5 / 25
        claude-mythos-5      10   50  12.5   20     1     5 / 25
        claude-opus-5-5       4   20     5    8   0.2     2 / 10
        claude-opus-5         5   25  6.25   10   0.5   2.5 / 12.5
        claude-opus-4-8       5   25  6.25   10   0.5   2.5 / 12.5
        claude-opus-4-7       5   25  6.25   10   0.5   2.5 / 12.5
        claude-opus-4-6       5   25  6.25   10   0.5   2.5 / 12.5
        claude-opus-4-5       5   25  6.25   10   0.5   2.5 / 12.5
        claude-sonnet-5-5     2   10   2.5    4   0.1     1 / 5
        claude-sonnet-5       2   10   2.5    4   0.2     1 / 5
        claude-sonnet-4-6     3   15  3.75    6   0.3   1.5 / 7.5
        claude-sonnet-4-5     3   15  3.75    6   0.3   1.5 / 7.5
        claude-haiku-5-5    0.1  0.5 0.125  0.2  0.01  0.05 / 0.25
        claude-haiku-4-5      1    5  1.25    2   0.1   0.5 / 2.5
        ");
    }

    #[test]
    fn a_price_changes_on_its_day() {
        let usage = Usage {
            cache_read: 1_000_000,
            ..Usage::default()
        };
        let on = |day| cost(&usage, "claude-sonnet-5-5", day, Lane::Direct);
        assert_eq!(on(date!(2026 - 01 - 01)), "0.2");
        assert_eq!(on(date!(2026 - 10 - 06)), "0.2");
        assert_eq!(on(date!(2026 - 10 - 07)), "0.1");
        assert_eq!(on(TODAY), "0.1");
    }

    #[test]
    fn the_step_of_haiku_counts_the_whole_prompt_and_prices_the_whole_request() {
        let model = "claude-haiku-5-5";
        let at = Usage {
            input: 90_000,
            cache_read: 10_000,
            output: 1_000,
            ..Usage::default()
        };
        let over = Usage {
            cache_read: 10_001,
            ..at
        };
        assert_eq!(cost(&at, model, TODAY, Lane::Direct), "0.0096");
        assert_eq!(cost(&over, model, TODAY, Lane::Direct), "0.04800005");
    }

    #[test]
    fn a_batch_halves_tokens_and_not_searches() {
        let usage = Usage {
            input: 1_000_000,
            web_searches: 3,
            ..Usage::default()
        };
        assert_eq!(cost(&usage, "claude-opus-5-5", TODAY, Lane::Direct), "4.03");
        assert_eq!(cost(&usage, "claude-opus-5-5", TODAY, Lane::Batch), "2.03");
        let in_us = Usage {
            geo_us: true,
            ..usage
        };
        assert_eq!(cost(&in_us, "claude-opus-5-5", TODAY, Lane::Direct), "4.43");
        assert_eq!(cost(&in_us, "claude-opus-5-5", TODAY, Lane::Batch), "2.23");
    }

    #[test]
    fn the_smallest_amount_is_exact() {
        let usage = Usage {
            cache_write_5m: 1,
            ..Usage::default()
        };
        assert_eq!(
            cost(&usage, "claude-haiku-5-5", TODAY, Lane::Batch),
            "0.0000000625"
        );
        assert_eq!(
            cost(&Usage::default(), "claude-haiku-5-5", TODAY, Lane::Batch),
            "0"
        );
    }

    #[test]
    fn names_and_aliases() {
        let prices = Prices::shipped().unwrap();
        let alias = prices.model("claude-haiku-4-5-20251001").unwrap();
        assert_eq!(alias, prices.model("claude-haiku-4-5").unwrap());
        assert_eq!(
            prices.model("claude-sonnet-4-5").unwrap().retires,
            Some(date!(2026 - 11 - 30))
        );
        assert_eq!(prices.find("claude-mythos-5-2", TODAY), None);
        let err = prices
            .cost(&Usage::default(), "gpt", TODAY, Lane::Batch)
            .unwrap_err();
        insta::assert_snapshot!(err, @r#"no price is known for the model "gpt""#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is used, of whichever model: nothing is rounded, so two
        /// batched requests cost what one at the normal price costs, and
        /// costs add up (away from the price step).
        #[test]
        fn nothing_is_rounded(
            (input, output, write, read) in (0..40_000_u64, 0..200_000_u64, 0..20_000_u64, 0..20_000_u64),
            geo_us in any::<bool>(),
            pick in any::<prop::sample::Index>(),
        ) {
            let prices = Prices::shipped().unwrap();
            let model = &pick.get(prices.models()).id;
            let usage = Usage {
                input, output, cache_write_5m: write, cache_write_1h: write, cache_read: read,
                web_searches: 0, geo_us,
            };
            let of = |usage: &Usage, lane| prices.cost(usage, model, TODAY, lane).unwrap();
            let direct = of(&usage, Lane::Direct);
            prop_assert_eq!(of(&usage, Lane::Batch) * 2, direct);
            let home = of(&Usage { geo_us: false, ..usage }, Lane::Direct);
            if geo_us {
                prop_assert_eq!(direct * 10, home * 11);
            }
            let parts = [
                Usage { output: 0, ..usage },
                Usage { output, geo_us, ..Usage::default() },
            ];
            if usage.prompt() <= 100_000 {
                prop_assert_eq!(parts.iter().map(|part| of(part, Lane::Direct)).sum::<Pico>(), direct);
            }
        }
    }
}
