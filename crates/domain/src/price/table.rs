//! Reading a price list, laying one over another, and refusing what could not be
//! exact.

use std::collections::HashSet;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;

use super::{Factor, Model, Prices, Rates, Row};
use crate::job::Lane;
use crate::money::{ParseError, Pico};

/// A dollar for one token; what costs more is a slip of the pen.
const MOST: Pico = Pico(1_000_000_000_000);
/// A factor above this is one, too.
const MOST_TIMES: Pico = Pico(100);

/// Where the prices of a list stand that belong to no model.
const LIST: &str = "the list";

/// Why a price list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the TOML that is expected.
    #[error("the price list cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A price or factor that is no number, or finer than can be held.
    #[error("{model}: {field}: {text:?} cannot be held exactly")]
    Amount {
        /// The model, or that it is said for the whole list.
        model: String,
        /// The field.
        field: &'static str,
        /// The price as written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// A price that is finer than a pico-dollar per token once it is multiplied.
    #[error(
        "{model}: {field}: the price {text:?} is not a whole number of pico-dollars per token \
         {when}"
    )]
    NotIntegral {
        /// The model, or that it is said for the whole list.
        model: String,
        /// The field.
        field: &'static str,
        /// The price as written.
        text: String,
        /// After which factors.
        when: &'static str,
    },
    /// A price or factor below zero.
    #[error("{model}: {field}: {text:?} is negative")]
    Negative {
        /// The model, or that it is said for the whole list.
        model: String,
        /// The field.
        field: &'static str,
        /// The price as written.
        text: String,
    },
    /// More than anything can cost.
    #[error("{model}: {field}: {text:?} is more than anything costs")]
    TooLarge {
        /// The model, or that it is said for the whole list.
        model: String,
        /// The field.
        field: &'static str,
        /// The price as written.
        text: String,
    },
    /// Neither the model nor the list says it.
    #[error("{model}: {field} is missing")]
    Missing {
        /// The model, or that it is said for the whole list.
        model: String,
        /// The field.
        field: &'static str,
    },
    /// A day that is not `YYYY-MM-DD`.
    #[error("{model}: {field}: {text:?} is not a day (YYYY-MM-DD)")]
    Day {
        /// The model.
        model: String,
        /// The field.
        field: &'static str,
        /// The day as written.
        text: String,
    },
    /// Two models or aliases of one name.
    #[error("{name} is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No row holds always, a price change lacks its row for short prompts, or
    /// two rows hold under the same condition.
    #[error(
        "{model}: price: each change of price needs one row without `above`, the first also \
         without `from`, and each step once"
    )]
    Incomplete {
        /// The model.
        model: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    web_search_per_1000: Option<String>,
    #[serde(default)]
    factors: FileFactors,
    #[serde(default)]
    model: Vec<FileModel>,
}

/// What prices are multiplied by, of the list or of one model.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFactors {
    batch: Option<String>,
    geo_us: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    cache_read: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModel {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    retires: Option<String>,
    #[serde(default)]
    factors: FileFactors,
    price: Vec<FileRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    from: Option<String>,
    #[serde(default)]
    above: u64,
    input: String,
    output: String,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    cache_read: Option<String>,
}

impl FileFactors {
    /// These, and what they do not say from others.
    fn or(self, others: &Self) -> Self {
        let or = |own: Option<String>, other: &Option<String>| own.or_else(|| other.clone());
        Self {
            batch: or(self.batch, &others.batch),
            geo_us: or(self.geo_us, &others.geo_us),
            cache_write_5m: or(self.cache_write_5m, &others.cache_write_5m),
            cache_write_1h: or(self.cache_write_1h, &others.cache_write_1h),
            cache_read: or(self.cache_read, &others.cache_read),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Prices, Error> {
    whole(toml::from_str(text)?)
}

pub(super) fn overlaid(shipped: &str, own: &str) -> Result<Prices, Error> {
    let mut file: File = toml::from_str(shipped)?;
    let own: File = toml::from_str(own)?;
    unique(&own.model)?;
    file.web_search_per_1000 = own.web_search_per_1000.or(file.web_search_per_1000);
    file.factors = own.factors.or(&file.factors);
    for model in own.model {
        match file.model.iter_mut().find(|known| known.id == model.id) {
            Some(known) => *known = model,
            None => file.model.push(model),
        }
    }
    whole(file)
}

fn whole(file: File) -> Result<Prices, Error> {
    unique(&file.model)?;
    let field = "web_search_per_1000";
    let text = given(LIST, field, file.web_search_per_1000.as_ref())?;
    of_list(&file.factors)?;
    // Dollars per thousand are, a thousandfold, dollars per million.
    let per_1000 = amount(LIST, field, text)?;
    let web_search = Pico(per_1000.0 * 1_000);
    let models = file
        .model
        .into_iter()
        .map(|one| model(one, &file.factors))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Prices {
        models,
        web_search,
        allow_unknown: false,
    })
}

/// Refuses a factor that no model could use, by the name of the list.
fn of_list(factors: &FileFactors) -> Result<(), Error> {
    for (field, factor_of_all) in [
        ("factors.batch", &factors.batch),
        ("factors.geo_us", &factors.geo_us),
        ("factors.cache_write_5m", &factors.cache_write_5m),
        ("factors.cache_write_1h", &factors.cache_write_1h),
        ("factors.cache_read", &factors.cache_read),
    ] {
        if factor_of_all.is_some() {
            factor(LIST, field, factor_of_all.as_ref())?;
        }
    }
    Ok(())
}

fn unique(models: &[FileModel]) -> Result<(), Error> {
    let mut names = HashSet::new();
    for name in models
        .iter()
        .flat_map(|model| model.aliases.iter().chain([&model.id]))
    {
        if !names.insert(name) {
            return Err(Error::Duplicate { name: name.clone() });
        }
    }
    Ok(())
}

fn model(file: FileModel, of_list: &FileFactors) -> Result<Model, Error> {
    let FileModel {
        id,
        aliases,
        retires,
        factors,
        price,
    } = file;
    let factors = factors.or(of_list);
    let retires = retires.map(|text| day(&id, "retires", &text)).transpose()?;
    let mut model = Model {
        batch: factor(&id, "factors.batch", factors.batch.as_ref())?,
        geo_us: factor(&id, "factors.geo_us", factors.geo_us.as_ref())?,
        id,
        aliases,
        retires,
        rows: Vec::new(),
    };
    let mut rows = price
        .iter()
        .map(|price| row(&model, &factors, price))
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| (row.from, row.above));
    // Sorted so, the first row of each day must be the one for all lengths.
    let first_of_day = |at: usize| at == 0 || rows[at - 1].from != rows[at].from;
    let starts_at_the_beginning = rows.first().is_some_and(|row| row.from == Date::MIN);
    let complete = (0..rows.len()).all(|at| {
        let step_of_its_own = at == 0 || rows[at - 1].above != rows[at].above || first_of_day(at);
        step_of_its_own && first_of_day(at) == (rows[at].above == 0)
    });
    if !starts_at_the_beginning || !complete {
        return Err(Error::Incomplete { model: model.id });
    }
    model.rows = rows;
    Ok(model)
}

fn row(model: &Model, factors: &FileFactors, row: &FileRow) -> Result<Row, Error> {
    let from = row
        .from
        .as_deref()
        .map_or(Ok(Date::MIN), |text| day(&model.id, "price.from", text))?;
    let input = price(model, "price.input", &row.input, None)?;
    // A price of its own, or so many times the input's.
    let cached = |field, own: &Option<String>, name, times: &Option<String>| {
        if let Some(own) = own {
            return price(model, field, own, None);
        }
        let times = factor(&model.id, name, times.as_ref())?;
        price(model, field, &row.input, Some(times))
    };
    let rates = Rates {
        input,
        output: price(model, "price.output", &row.output, None)?,
        cache_write_5m: cached(
            "price.cache_write_5m",
            &row.cache_write_5m,
            "factors.cache_write_5m",
            &factors.cache_write_5m,
        )?,
        cache_write_1h: cached(
            "price.cache_write_1h",
            &row.cache_write_1h,
            "factors.cache_write_1h",
            &factors.cache_write_1h,
        )?,
        cache_read: cached(
            "price.cache_read",
            &row.cache_read,
            "factors.cache_read",
            &factors.cache_read,
        )?,
    };
    Ok(Row {
        from,
        above: row.above,
        rates,
    })
}

/// A price per token, whole in every lane and place.
fn price(
    model: &Model,
    field: &'static str,
    text: &str,
    times: Option<Factor>,
) -> Result<Pico, Error> {
    let inexact = |when| Error::NotIntegral {
        model: model.id.clone(),
        field,
        text: text.to_owned(),
        when,
    };
    let mut amount = amount(&model.id, field, text)?;
    if let Some(times) = times {
        if !times.is_exact_for(amount) {
            return Err(inexact("times its factor"));
        }
        amount = times.of(amount);
    }
    for (lane, geo_us, when) in [
        (Lane::Batch, false, "in a batch"),
        (Lane::Direct, true, "in the United States only"),
        (Lane::Batch, true, "in a batch in the United States only"),
    ] {
        if !model.factor(lane, geo_us).is_exact_for(amount) {
            return Err(inexact(when));
        }
    }
    Ok(amount)
}

fn given<'a>(model: &str, field: &'static str, text: Option<&'a String>) -> Result<&'a str, Error> {
    text.map(String::as_str).ok_or_else(|| Error::Missing {
        model: model.to_owned(),
        field,
    })
}

fn amount(model: &str, field: &'static str, text: &str) -> Result<Pico, Error> {
    bounded(model, field, text, MOST)
}

fn factor(model: &str, field: &'static str, text: Option<&String>) -> Result<Factor, Error> {
    let text = given(model, field, text)?;
    // As a price per million tokens it would be so many pico-dollars a token.
    let most = Pico(MOST_TIMES.0 * 1_000_000);
    Ok(Factor::of_millionths(bounded(model, field, text, most)?.0))
}

/// A decimal number in millionths, from zero to `most`.
fn bounded(model: &str, field: &'static str, text: &str, most: Pico) -> Result<Pico, Error> {
    let (model, owned) = (model.to_owned(), text.to_owned());
    match Pico::from_usd_per_mtok_str(text) {
        Err(source) => Err(Error::Amount {
            model,
            field,
            text: owned,
            source,
        }),
        Ok(amount) if amount < Pico::ZERO => Err(Error::Negative {
            model,
            field,
            text: owned,
        }),
        Ok(amount) if amount > most => Err(Error::TooLarge {
            model,
            field,
            text: owned,
        }),
        Ok(amount) => Ok(amount),
    }
}

fn day(model: &str, field: &'static str, text: &str) -> Result<Date, Error> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| Error::Day {
        model: model.to_owned(),
        field,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests;
