use super::{Error, Prices, parse};
use crate::job::Lane;
use crate::price::Usage;
use std::error::Error as _;
use time::macros::date;

/// What a list has to say for all models.
const FOR_ALL: &str = "web_search_per_1000 = '10'
factors = { batch = '0.5', geo_us = '1.1', cache_write_5m = '1.25', cache_write_1h = '2', cache_read = '0.1' }
";

fn list(rows: &str) -> String {
    format!("{FOR_ALL}[[model]]\nid = 'm'\nprice = [{rows}]")
}

fn row(extra: &str, price: &str) -> String {
    format!(
        "{{ {extra} input = '{price}', output = '1', cache_write_5m = '1', cache_write_1h = '1', cache_read = '1' }}"
    )
}

fn refusal(rows: &str) -> String {
    said(&Prices::parse(&list(rows)).unwrap_err())
}

fn said(err: &Error) -> String {
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
        row("", "1000000.1"),
        "{ input = '0.00002', output = '1' }".to_owned(), // a read would be 2 pico-dollars
        row("from = '2026-13-01',", "1"),
        row("from = '2026-10-07',", "1"),
        row("above = 5,", "1"),
        format!("{}, {}", row("", "1"), row("", "2")),
        format!(
            "{}, {}, {}",
            row("", "1"),
            row("above = 5,", "2"),
            row("above = 5,", "3")
        ),
        format!(
            "{}, {}",
            row("", "1"),
            row("from = '2026-10-07', above = 5,", "2")
        ),
        String::new(),
    ];
    let table: Vec<String> = refused.iter().map(|rows| refusal(rows)).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    m: price.input: "0.0000001" cannot be held exactly: at most 6 digits after the point can be held exactly
    m: price.input: the price "0.00003" is not a whole number of pico-dollars per token in a batch in the United States only
    m: price.input: "1e-3" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5
    m: price.input: "-1" is negative
    m: price.input: "1000000.1" is more than anything costs
    m: price.cache_write_5m: the price "0.00002" is not a whole number of pico-dollars per token in a batch
    m: price.from: "2026-13-01" is not a day (YYYY-MM-DD)
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
    m: price: each change of price needs one row without `above`, the first also without `from`, and each step once
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

#[test]
fn a_cache_without_prices_of_its_own_costs_so_many_times_the_input() {
    let own = |factors: &str| {
        let model =
            format!("[[model]]\nid = 'm'\n{factors}\nprice = [{{ input = '3', output = '15' }}]");
        let prices = parse(&format!("{FOR_ALL}{model}")).unwrap();
        let rates = prices.models()[0].rates(date!(2026 - 11 - 22), 0);
        [rates.cache_write_5m, rates.cache_write_1h, rates.cache_read]
            .map(|rate| (rate * 1_000_000).to_usd_string())
            .join(" ")
    };
    assert_eq!(own(""), "3.75 6 0.3");
    assert_eq!(own("factors = { cache_read = '0.025' }"), "3.75 6 0.075");
}

#[test]
fn a_list_of_ones_own_goes_over_the_shipped_one() {
    let today = date!(2026 - 11 - 22);
    let cost = |prices: &Prices, model, lane, geo_us| {
        let usage = Usage {
            input: 1_000_000,
            web_searches: 1,
            geo_us,
            ..Usage::default()
        };
        prices
            .cost(&usage, model, today, lane)
            .unwrap()
            .to_usd_string()
    };
    let shipped = Prices::shipped().unwrap();
    // Nothing said, nothing changed.
    assert_eq!(Prices::overlaid("").unwrap(), shipped);
    let own = Prices::overlaid(
        "web_search_per_1000 = '5'
         factors = { batch = '0.4' }
         [[model]]
         id = 'claude-haiku-5-5'
         price = [{ input = '0.08', output = '0.4' }]
         [[model]]
         id = 'claude-mythos-5-2'
         factors = { geo_us = '1.2' }
         price = [{ input = '8', output = '40' }]",
    )
    .unwrap();
    // One price instead of two, at every length.
    assert_eq!(cost(&own, "claude-haiku-5-5", Lane::Direct, false), "0.085");
    assert_eq!(cost(&own, "claude-mythos-5-2", Lane::Direct, true), "9.605");
    // What is said for all holds for those that stand only in the shipped list.
    assert_eq!(cost(&own, "claude-opus-5-5", Lane::Batch, false), "1.605");
    assert_eq!(cost(&own, "claude-opus-5-5", Lane::Batch, true), "1.765");
    assert_eq!(own.models().len(), shipped.models().len() + 1);
}

#[test]
fn a_list_of_ones_own_is_refused_with_model_and_field() {
    let refused = |own: &str| {
        let err = Prices::overlaid(own).unwrap_err();
        let text = said(&err);
        // A TOML error shows the place on more lines.
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.collect::<Vec<_>>().join(" / ")
    };
    let table = [
        refused("factors = { batch = '0.333333' }"),
        refused("factors = { batch = '-1' }"),
        refused("factors = { batch = 'half' }"),
        refused("factors = { batch = '101' }"),
        refused("web_search_per_1000 = 'free'"),
        refused("[[model]]\nid = 'm'\nprice = [{ input = '1' }]"),
        refused("[[model]]\nid = 'm'\nprice = [{ input = '1', output = '0.1e1' }]"),
        refused("[[model]]\nid = 'm'\nretires = 'soon'\nprice = []"),
        refused("[[model]]\nid = 'm'\nprize = []"),
        refused("[[model]]\nid = 'm'\nprice = []\n[[model]]\nid = 'm'\nprice = []"),
        refused(
            "[[model]]\nid = 'claude-haiku-4-5-20251001'\nprice = [{ input = '1', output = '5' }]",
        ),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    claude-fable-5-2: price.input: the price "8" is not a whole number of pico-dollars per token in a batch in the United States only
    the list: factors.batch: "-1" is negative
    the list: factors.batch: "half" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5
    the list: factors.batch: "101" is more than anything costs
    the list: web_search_per_1000: "free" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5
    the price list cannot be read: TOML parse error at line 3, column 10 /   | / 3 | price = [{ input = '1' }] /   |          ^^^^^^^^^^^^^^^ / missing field `output`
    m: price.output: "0.1e1" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5
    m: retires: "soon" is not a day (YYYY-MM-DD)
    the price list cannot be read: TOML parse error at line 3, column 1 /   | / 3 | prize = [] /   | ^^^^^ / unknown field `prize`, expected one of `id`, `aliases`, `retires`, `factors`, `price`
    m is listed twice
    claude-haiku-4-5-20251001 is listed twice
    "#);
}
