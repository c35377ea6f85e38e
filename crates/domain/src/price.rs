//! What Anthropic charges: prices as data with effective dates, and the bill
//! for one request, exact to the pico-dollar.

use time::Date;

use crate::job::Lane;
use crate::money::Pico;

mod bill;
mod factor;
mod line;
mod table;

pub use bill::Bill;
use factor::Factor;
pub use line::{Item, Line};
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
    /// Whether it ran in the United States only (`inference_geo`), where the
    /// model has a factor for that.
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

/// The price of one token of each kind.
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

impl Rates {
    /// All tokens of a request, each at the rate of its kind.
    fn of(&self, usage: &Usage) -> Pico {
        self.input * usage.input
            + self.output * usage.output
            + self.cache_write_5m * usage.cache_write_5m
            + self.cache_write_1h * usage.cache_write_1h
            + self.cache_read * usage.cache_read
    }

    /// The same with something done to each.
    fn each(self, change: impl Fn(Pico) -> Pico) -> Self {
        Self {
            input: change(self.input),
            output: change(self.output),
            cache_write_5m: change(self.cache_write_5m),
            cache_write_1h: change(self.cache_write_1h),
            cache_read: change(self.cache_read),
        }
    }

    /// The same without a cache: the whole prompt at the rate of its step.
    fn uncached(&self, usage: &Usage) -> Pico {
        self.input * usage.prompt() + self.output * usage.output
    }
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
    batch: Factor,
    geo_us: Factor,
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
    allow_unknown: bool,
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
    /// refused, and so is one that would not be after the batch's factor and
    /// that of US-only inference: then no cost is ever rounded.
    pub fn parse(text: &str) -> Result<Self, Error> {
        table::parse(text)
    }

    /// The shipped list with an operator's over it: a model that is named there
    /// has the prices that stand there and no others, a new one is added, and
    /// what is said for all models holds for all that say nothing else.
    pub fn overlaid(own: &str) -> Result<Self, Error> {
        table::overlaid(include_str!("price/prices.toml"), own)
    }

    /// The same list, under which a model without a price may be asked for. What
    /// it uses is then booked as having no known price.
    #[must_use]
    pub fn allowing_unknown(self, allow_unknown: bool) -> Self {
        Self {
            allow_unknown,
            ..self
        }
    }

    /// Whether a job may ask for this model.
    pub fn admits(&self, model: &str) -> bool {
        self.allow_unknown || self.model(model).is_ok()
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

    /// What tokens of this model cost on `day` in this lane, in a request with a short
    /// prompt.
    pub fn find(&self, model: &str, day: Date, lane: Lane) -> Option<Rates> {
        let model = self.model(model).ok()?;
        let factor = model.factor(lane, false);
        Some(model.rates(day, 0).each(|rate| factor.of(rate)))
    }

    /// What a request with this usage cost on `day` (UTC) in this lane.
    pub fn cost(
        &self,
        usage: &Usage,
        model: &str,
        day: Date,
        lane: Lane,
    ) -> Result<Pico, UnknownModel> {
        Ok(self.bill(usage, model, day, lane)?.cost)
    }

    /// The whole bill of a request with this usage on `day` (UTC) in this lane:
    /// what it cost, what it would have cost, and why it did not.
    pub fn bill(
        &self,
        usage: &Usage,
        model: &str,
        day: Date,
        lane: Lane,
    ) -> Result<Bill, UnknownModel> {
        let model = self.model(model)?;
        let rates = model.rates(day, usage.prompt());
        // Cost the same in every lane.
        let tools = self.web_search * usage.web_searches;
        let at_once = model.factor(Lane::Direct, usage.geo_us);
        let cost = model.factor(lane, usage.geo_us).of(rates.of(usage)) + tools;
        let cached = at_once.of(rates.of(usage)) + tools;
        let sync = at_once.of(rates.uncached(usage)) + tools;
        Ok(Bill {
            cost,
            sync,
            saved_batch: cached - cost,
            saved_cache: sync - cached,
            saved_reuse: Pico::ZERO,
        })
    }
}

impl Model {
    /// What the token price is multiplied by.
    fn factor(&self, lane: Lane, geo_us: bool) -> Factor {
        let of_lane = match lane {
            Lane::Direct => Factor::ONE,
            Lane::Batch => self.batch,
        };
        if geo_us {
            of_lane.and(self.geo_us)
        } else {
            of_lane
        }
    }

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
mod tests;
