mod cases;

use super::{Bill, Prices, Usage};
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
        let [half_in, half_out] =
            [rates.input, rates.output].map(|rate| Pico((rate * 1_000_000).0 / 2).to_usd_string());
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
    assert_eq!(prices.find("claude-mythos-5-2", TODAY, Lane::Direct), None);
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
        if geo_us && !model.ends_with("-4-5") {
            prop_assert_eq!(direct * 10, home * 11);
        } else {
            prop_assert_eq!(direct, home);
        }
        let parts = [
            Usage { output: 0, ..usage },
            Usage { output, geo_us, ..Usage::default() },
        ];
        if usage.prompt() <= 100_000 {
            prop_assert_eq!(parts.iter().map(|part| of(part, Lane::Direct)).sum::<Pico>(), direct);
        }
    }

    /// Every bill is whole, each saving is that of its cause alone, and the sum
    /// of bills is whole again, whatever is in them.
    #[test]
    fn cost_and_savings_make_up_the_whole(
        used in prop::collection::vec(
            (any::<[u32; 5]>(), 0..9_u64, any::<bool>(), any::<bool>(), 0..400_i64, any::<prop::sample::Index>()),
            1..20),
    ) {
        let prices = Prices::shipped().unwrap();
        let mut sum = Bill::default();
        for (tokens, web_searches, geo_us, batched, days, pick) in used {
            let [input, output, cache_write_5m, cache_write_1h, cache_read] = tokens.map(u64::from);
            let usage = Usage {
                input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, geo_us,
            };
            let model = &pick.get(prices.models()).id;
            let day = date!(2026 - 01 - 01) + time::Duration::days(days);
            let lane = if batched { Lane::Batch } else { Lane::Direct };
            let bill = |usage: &Usage, lane| prices.bill(usage, model, day, lane).unwrap();
            let one = bill(&usage, lane);
            prop_assert!(one.adds_up(), "{:?}", one);
            // The lane changes nothing of what it would have cost, nor of what the cache saved.
            let at_once = bill(&usage, Lane::Direct);
            prop_assert_eq!((one.sync, one.saved_cache), (at_once.sync, at_once.saved_cache));
            prop_assert_eq!(at_once.saved_batch, Pico::ZERO);
            // Synchronous and uncached is a request that has only input and output.
            let plain = Usage {
                input: usage.prompt(), output, web_searches, geo_us, ..Usage::default()
            };
            let plain = bill(&plain, Lane::Direct);
            prop_assert_eq!((plain.cost, plain.saved()), (one.sync, Pico::ZERO));
            prop_assert_eq!(one.saved_reuse, Pico::ZERO);
            sum = Bill {
                cost: sum.cost + one.cost,
                sync: sum.sync + one.sync,
                saved_batch: sum.saved_batch + one.saved_batch,
                saved_cache: sum.saved_cache + one.saved_cache,
                saved_reuse: sum.saved_reuse + one.saved_reuse,
            };
        }
        prop_assert!(sum.adds_up(), "{:?}", sum);
    }

    /// At the edges of days and steps, of any list, its rows in any order: the
    /// row that holds is the newest one that has begun, at its highest step below
    /// the prompt. Looked for here the long way round.
    #[test]
    fn the_row_that_holds(
        (changes, seed) in (prop::collection::btree_map(
            0..300_i64, prop::collection::btree_set(1..1_000_u64, 0..4), 0..4), any::<u64>()),
    ) {
        let first = date!(2026 - 01 - 01);
        let mut changes = changes;
        changes.insert(-1, std::collections::BTreeSet::from([500]));
        // Each row has its number as its price.
        let mut rows: Vec<(Option<Date>, u64, usize)> = Vec::new();
        for (days, steps) in &changes {
            let from = (*days >= 0).then(|| first + time::Duration::days(*days));
            for above in [0].into_iter().chain(steps.iter().copied()) {
                rows.push((from, above, rows.len() + 1));
            }
        }
        let mut written = rows.clone();
        written.sort_by_key(|row| seed.wrapping_mul(2 * row.2 as u64 + 1).rotate_left(29));
        let text: Vec<String> = written
            .iter()
            .map(|(from, above, price)| {
                let from = from.map(|day| format!("from = '{day}', ")).unwrap_or_default();
                format!("{{ {from}above = {above}, input = '{price}', output = '1' }}")
            })
            .collect();
        let prices = Prices::overlaid(&format!(
            "[[model]]\nid = 'm'\nprice = [{}]", text.join(", "))).unwrap();
        let model = prices.model("m").unwrap();
        for edge in changes.keys() {
            for day in [-1, 0, 1].map(|near| first + time::Duration::days(edge + near)) {
                let begun = |row: &&(Option<Date>, u64, usize)| row.0.is_none_or(|from| from <= day);
                let newest = rows.iter().filter(begun).map(|row| row.0).max().unwrap();
                for step in rows.iter().map(|row| row.1) {
                    for prompt in [step.saturating_sub(1), step, step + 1] {
                        let holds = rows
                            .iter()
                            .filter(|row| row.0 == newest && (row.1 == 0 || prompt > row.1))
                            .max_by_key(|row| row.1)
                            .unwrap();
                        prop_assert_eq!(
                            model.rates(day, prompt).input,
                            Pico(1_000_000) * holds.2 as u64,
                            "{} at {}", day, prompt
                        );
                    }
                }
            }
        }
    }
}
