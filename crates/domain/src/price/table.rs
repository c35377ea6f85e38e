//! Reading a price list, and refusing one that could not be exact.

use std::collections::HashSet;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;

use super::{Model, Prices, Rates, Row};
use crate::money::{ParseError, Pico};

/// Rates must be divisible by this, so that half of 1.1 times a rate is whole.
const DIVISOR: i128 = 20;

/// Why a price list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the TOML that is expected.
    #[error("the price list cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A price that is no number, or finer than a pico-dollar per token.
    #[error("{model}: the price {text:?} cannot be held exactly")]
    Amount {
        /// The model (or `web_search_per_1000`).
        model: String,
        /// The price as written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// A price whose batch half, or 1.1 of it, is finer than a pico-dollar per token.
    #[error("{model}: the price {text:?} is not whole per token in a batch")]
    NotIntegral {
        /// The model (or `web_search_per_1000`).
        model: String,
        /// The price as written.
        text: String,
    },
    /// A price below zero.
    #[error("{model}: the price {text:?} is negative")]
    Negative {
        /// The model (or `web_search_per_1000`).
        model: String,
        /// The price as written.
        text: String,
    },
    /// A day that is not `YYYY-MM-DD`.
    #[error("{model}: {text:?} is not a day (YYYY-MM-DD)")]
    Day {
        /// The model.
        model: String,
        /// The day as written.
        text: String,
    },
    /// Two models or aliases of one name.
    #[error("{name} is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No row holds always, or a price change lacks its row for short prompts.
    #[error(
        "{model}: each change of price needs one row without `above`, the first also without `from`"
    )]
    Incomplete {
        /// The model.
        model: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    web_search_per_1000: String,
    model: Vec<FileModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModel {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    retires: Option<String>,
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
    cache_write_5m: String,
    cache_write_1h: String,
    cache_read: String,
}

pub(super) fn parse(text: &str) -> Result<Prices, Error> {
    let file: File = toml::from_str(text)?;
    // Dollars per thousand are, a thousandfold, dollars per million.
    let per_1000 = amount("web_search_per_1000", &file.web_search_per_1000)?;
    let web_search = Pico(per_1000.0 * 1_000);
    let models = file
        .model
        .into_iter()
        .map(model)
        .collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    for name in models
        .iter()
        .flat_map(|model| model.aliases.iter().chain([&model.id]))
    {
        if !names.insert(name) {
            return Err(Error::Duplicate { name: name.clone() });
        }
    }
    Ok(Prices { models, web_search })
}

fn model(file: FileModel) -> Result<Model, Error> {
    let FileModel {
        id,
        aliases,
        retires,
        price,
    } = file;
    let mut rows = price
        .iter()
        .map(|price| row(&id, price))
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| (row.from, row.above));
    // Sorted so, the first row of each day must be the one for all lengths.
    let first_of_day = |at: usize| at == 0 || rows[at - 1].from != rows[at].from;
    let starts_at_the_beginning = rows.first().is_some_and(|row| row.from == Date::MIN);
    let complete = (0..rows.len()).all(|at| first_of_day(at) == (rows[at].above == 0));
    if !starts_at_the_beginning || !complete {
        return Err(Error::Incomplete { model: id });
    }
    let retires = retires.map(|text| day(&id, &text)).transpose()?;
    Ok(Model {
        id,
        aliases,
        retires,
        rows,
    })
}

fn row(model: &str, row: &FileRow) -> Result<Row, Error> {
    let from = row
        .from
        .as_deref()
        .map_or(Ok(Date::MIN), |text| day(model, text))?;
    let rates = Rates {
        input: amount(model, &row.input)?,
        output: amount(model, &row.output)?,
        cache_write_5m: amount(model, &row.cache_write_5m)?,
        cache_write_1h: amount(model, &row.cache_write_1h)?,
        cache_read: amount(model, &row.cache_read)?,
    };
    Ok(Row {
        from,
        above: row.above,
        rates,
    })
}

fn amount(model: &str, text: &str) -> Result<Pico, Error> {
    let owned = || (model.to_owned(), text.to_owned());
    let amount = Pico::from_usd_per_mtok_str(text).map_err(|source| {
        let (model, text) = owned();
        Error::Amount {
            model,
            text,
            source,
        }
    })?;
    let (model, text) = owned();
    if amount < Pico::ZERO {
        return Err(Error::Negative { model, text });
    }
    if amount.0 % DIVISOR != 0 {
        return Err(Error::NotIntegral { model, text });
    }
    Ok(amount)
}

fn day(model: &str, text: &str) -> Result<Date, Error> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| Error::Day {
        model: model.to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Prices, parse};
    use std::error::Error as _;
    use time::macros::date;

    fn list(rows: &str) -> String {
        format!("web_search_per_1000 = '10'\n[[model]]\nid = 'm'\nprice = [{rows}]")
    }

    fn row(extra: &str, price: &str) -> String {
        format!(
            "{{ {extra} input = '{price}', output = '1', cache_write_5m = '1', cache_write_1h = '1', cache_read = '1' }}"
        )
    }

    fn refusal(rows: &str) -> String {
        let err = Prices::parse(&list(rows)).unwrap_err();
        let cause = err
            .source()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        format!("{err}{cause}")
    }

    #[test]
    fn a_list_that_cannot_be_exact_is_refused() {
        let refused = [
            row("", "0.0000001"),
            row("", "0.00003"), // 30 pico-dollars a token; 1.1 of its half is 16.5
            row("", "1e-3"),
            row("", "-1"),
            row("from = '2026-13-01',", "1"),
            row("from = '2026-10-07',", "1"),
            row("above = 5,", "1"),
            format!("{}, {}", row("", "1"), row("", "2")),
            format!(
                "{}, {}",
                row("", "1"),
                row("from = '2026-10-07', above = 5,", "2")
            ),
            String::new(),
        ];
        let table: Vec<String> = refused.iter().map(|rows| refusal(rows)).collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        m: the price "0.0000001" cannot be held exactly: at most 6 digits after the point can be held exactly
        m: the price "0.00003" is not whole per token in a batch
        m: the price "1e-3" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5
        m: the price "-1" is negative
        m: "2026-13-01" is not a day (YYYY-MM-DD)
        m: each change of price needs one row without `above`, the first also without `from`
        m: each change of price needs one row without `above`, the first also without `from`
        m: each change of price needs one row without `above`, the first also without `from`
        m: each change of price needs one row without `above`, the first also without `from`
        m: each change of price needs one row without `above`, the first also without `from`
        "#);
        let twice = format!(
            "{0}\n[[model]]\nid='n'\naliases=['m']\nprice=[{1}]",
            list(&row("", "1")),
            row("", "1")
        );
        assert_eq!(
            Prices::parse(&twice).unwrap_err().to_string(),
            "m is listed twice"
        );
    }

    #[test]
    fn a_change_of_price_takes_its_steps_with_it() {
        // In any order.
        let rows = [
            row("from = '2026-10-07',", "3"),
            row("above = 100,", "2"),
            row("", "1"),
        ];
        let prices = parse(&list(&rows.join(", "))).unwrap();
        let on = |day, prompt| prices.models()[0].rates(day, prompt).input.0 / 1_000_000;
        let (before, after) = (date!(2026 - 10 - 06), date!(2026 - 10 - 07));
        assert_eq!(
            [on(before, 100), on(before, 101), on(after, 101)],
            [1, 2, 3]
        );
    }
}
