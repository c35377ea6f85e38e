use proptest::prelude::*;
use serde_json::json;
use time::Date;
use time::macros::date;

use super::{Assumed, Calibration, Call, Lanes, Logged, Prefix, Prompt, Tally};
use crate::job::Lane;
use crate::money::Pico;
use crate::price::{Prices, Usage};

const TODAY: Date = date!(2026 - 11 - 27);
const MODEL: &str = "claude-haiku-5-5";

fn call(prompt: u64, output: u64) -> Call<'static> {
    Call {
        model: MODEL,
        day: TODAY,
        at: None,
        identity: None,
        prefix: None,
        usage: Usage {
            input: prompt,
            output,
            ..Usage::default()
        },
        logged: None,
    }
}

fn of(calls: &[Call<'_>], assumed: Assumed) -> Lanes {
    let prices = Prices::shipped().unwrap();
    let mut tally = Tally::default();
    for call in calls {
        tally.add(call, &prices).unwrap();
    }
    tally.rows(assumed).into_iter().map(|row| row.lanes).sum()
}

/// Costs in micro-dollars, and what is saved by each of the three.
fn shown(name: &str, calls: &[Call<'_>], assumed: Assumed) -> String {
    let micro = |amount: Pico| amount.0 / 1_000_000;
    let lanes = of(calls, assumed);
    let offpeak = lanes.offpeak.map(|through| micro(through.cost).to_string());
    let middle = lanes.offpeak[1];
    format!(
        "{name:<26} {:>6} {:>6} {:>6} {:>6}  {:<14}  {:>5} {:>5} {:>5}",
        micro(lanes.logged),
        micro(lanes.sync),
        micro(lanes.sync_cached),
        micro(lanes.batch),
        offpeak.join("/"),
        micro(middle.duplicates),
        micro(middle.batch),
        micro(middle.cache),
    )
}

/// A million tokens cost 100,000 micro-dollars in, 500,000 out; ten calls of
/// 10,000 and 2,000 tokens cost 10 × 2,000.
#[test]
fn each_lane_by_hand() {
    let plain = Assumed::default();
    let urgent = Assumed {
        urgent: 35,
        ..plain
    };
    let all_urgent = Assumed {
        urgent: 100,
        ..plain
    };
    let ten = |change: fn(u64, &mut Call<'_>)| -> Vec<Call<'static>> {
        (0..10)
            .map(|n| {
                let mut one = call(10_000, 2_000);
                change(n, &mut one);
                one
            })
            .collect()
    };
    let prefix = |tokens| move |one: &mut Call<'_>| one.prefix = Some(Prefix { key: 1, tokens });
    let long = prefix(8_000);
    let alone = ten(|_, _| {});
    let same = ten(|_, one| one.identity = Some(7));
    let mut apart = same.clone();
    let mut shared = alone.clone();
    let mut rare = alone.clone();
    let mut rarer = alone.clone();
    let mut short = alone.clone();
    let mut logged = alone.clone();
    for (n, at) in (0..10).zip([0_i64, 10, 20, 30, 40, 50, 60, 70, 80, 90]) {
        apart[n].at = Some(at * 500);
        long(&mut shared[n]);
        long(&mut rare[n]);
        rare[n].at = Some(at * 100);
        rarer[n].prefix = shared[n].prefix;
        rarer[n].at = apart[n].at;
        prefix(511)(&mut short[n]);
        logged[n].logged = Some(Logged {
            usage: Usage {
                input: 2_000,
                cache_read: 8_000,
                output: 2_000,
                ..Usage::default()
            },
            lane: Lane::Direct,
        });
    }
    let table = [
        shown("nothing shared", &alone, plain),
        shown("a third urgent", &alone, urgent),
        shown("all the same", &same, plain),
        shown("the same, a third urgent", &same, urgent),
        shown("the same, hours apart", &apart, plain),
        shown("8,000 tokens shared", &shared, plain),
        shown("shared, a third urgent", &shared, urgent),
        shown("shared, all urgent", &shared, all_urgent),
        shown("shared, minutes apart", &rare, plain),
        shown("shared, hours apart", &rarer, plain),
        shown("too short to be cached", &short, plain),
        shown("once alone", &shared[..1], plain),
        shown("cached as logged", &logged, plain),
    ];
    insta::assert_snapshot!(table.join("\n"), @r"
    nothing shared              20000  20000  20000  10000  10000/10000/10000      0 10000     0
    a third urgent              20000  20000  20000  13500  13500/13500/13500      0  6500     0
    all the same                20000  20000  20000  10000  1000/1000/1000  18000  1000     0
    the same, a third urgent    20000  20000  20000  13500  7650/7650/7650  11700   650     0
    the same, hours apart       20000  20000  20000  10000  10000/10000/10000      0 10000     0
    8,000 tokens shared         20000  20000  13720  10000  9758/8350/6942      0  8350  3299
    shared, a third urgent      20000  20000  13720  13500  13391/11758/10116      0  5530  2710
    shared, all urgent          20000  20000  13720  20000  19516/16700/13885      0     0  3299
    shared, minutes apart       20000  20000  20000  10000  9758/8350/6942      0  8350  3299
    shared, hours apart         20000  20000  20000  10000  10000/10000/10000      0 10000     0
    too short to be cached      20000  20000  20000  10000  10000/10000/10000      0 10000     0
    once alone                   2000   2000   2000   1000  1000/1000/1000      0  1000     0
    cached as logged            12800  20000  20000  10000  10000/10000/10000      0 10000     0
    ");
}

#[test]
fn no_price_is_never_zero() {
    let prices = Prices::shipped().unwrap();
    let mut tally = Tally::default();
    for n in 0..60 {
        let model = format!("gpt-{n}");
        let unknown = Call {
            model: &model,
            ..call(1, 1)
        };
        assert!(tally.add(&unknown, &prices).is_err());
        assert!(tally.add(&unknown, &prices).is_err());
    }
    let unknown = tally.unknown();
    assert_eq!(unknown.len(), 51);
    assert_eq!(unknown[0], ("gpt-0".to_owned(), 2));
    assert_eq!(unknown[50], ("others".to_owned(), 20));
    assert_eq!(tally.rows(Assumed::default()), []);
}

#[test]
fn a_model_has_one_row_under_all_its_names_and_its_price_by_day() {
    let prices = Prices::shipped().unwrap();
    let mut tally = Tally::default();
    for model in ["claude-haiku-4-5", "claude-haiku-4-5-20251001"] {
        tally
            .add(
                &Call {
                    model,
                    ..call(1_000_000, 0)
                },
                &prices,
            )
            .unwrap();
    }
    let rows = tally.rows(Assumed::default());
    assert_eq!(
        (rows.len(), rows[0].calls, rows[0].input),
        (1, 2, 2_000_000)
    );
    assert_eq!(rows[0].lanes.sync.to_usd_string(), "2");
    let read = Logged {
        usage: Usage {
            cache_read: 1_000_000,
            ..Usage::default()
        },
        lane: Lane::Batch,
    };
    let on = |day| {
        let one = Call {
            model: "claude-sonnet-5-5",
            day,
            logged: Some(read),
            ..call(1_000_000, 0)
        };
        of(&[one], Assumed::default()).logged.to_usd_string()
    };
    assert_eq!(
        [on(date!(2026 - 10 - 06)), on(date!(2026 - 10 - 07))],
        ["0.1", "0.05"]
    );
}

fn body(system: &str, question: &str) -> String {
    json!({
        "model": MODEL, "max_tokens": 50, "system": system,
        "messages": [{ "role": "user", "content": question }],
    })
    .to_string()
}

#[test]
fn a_request_is_read_for_its_price() {
    let read = |body: &str| {
        Prompt::read(
            body,
            Some(&["model", "max_tokens", "system", "messages", "output_config"]),
            &Calibration::SHIPPED,
        )
        .map(|p| {
            (
                p.tokens,
                p.prefix.map(|prefix| prefix.tokens),
                p.answer,
                p.identity,
                p.prefix.map(|p| p.key),
            )
        })
    };
    let one = body("12345678", "12345");
    let (tokens, prefix, answer, identity, key) = read(&one).unwrap();
    assert_eq!((tokens, prefix, answer), (4, Some(2), 50));
    // What stands beside a request, and how its answer comes, is none of it.
    let beside = one.replacen('{', r#"{"usage":{"input_tokens":9},"stream":true,"#, 1);
    assert_eq!(read(&beside).unwrap().3, identity);
    let other = read(&body("12345678", "12346")).unwrap();
    assert_ne!(other.3, identity);
    assert_eq!(other.4, key, "another question has the same prefix");
    assert_ne!(read(&body("12345679", "12345")).unwrap().4, key);
    let bare = r#"{"model":"m","messages":[],"output_config":{"format":{"schema":{"a": 12}}}}"#;
    assert_eq!(read(bare).unwrap().0, 2);
    assert_eq!(read(bare).unwrap().1, None);
}

#[test]
fn what_is_no_request_says_where() {
    let fault = |body: &str| {
        Prompt::read(body, None, &Calibration::SHIPPED)
            .unwrap_err()
            .to_string()
    };
    let table = [
        "7",
        r#"{"model":7}"#,
        r#"{"model":"m"}"#,
        r#"{"model":"m","messages":["x"]}"#,
    ]
    .map(fault);
    insta::assert_snapshot!(table.join("\n"), @r"
    must be a JSON object
    /model: must be the name of a model
    /messages: must be an array of messages
    /messages: must be an array of messages
    ");
}

fn any_call() -> impl Strategy<Value = Call<'static>> {
    (
        (
            1..120_000_u64,
            0..3_000_u64,
            prop::option::of(0..40_000_i64),
        ),
        (
            prop::option::of(0..6_u64),
            prop::option::of((0..3_u64, 0..6_000_u64)),
        ),
        prop::sample::select(vec![MODEL, "claude-opus-5-5", "claude-opus-4-7"]),
    )
        .prop_map(|((prompt, output, at), (identity, prefix), model)| Call {
            model,
            at,
            identity,
            prefix: prefix.map(|(key, tokens)| Prefix { key, tokens }),
            ..call(prompt, output)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is called: the cost and what is saved make the synchronous price
    /// to the last unit, nothing is dearer than without it, more hits and less
    /// haste never cost more, and rows add up.
    #[test]
    fn savings_add_up_and_never_turn_round(
        calls in prop::collection::vec(any_call(), 0..40),
        urgent in 0..=100_u8,
    ) {
        let lanes = of(&calls, Assumed { urgent, ..Assumed::default() });
        for through in lanes.offpeak {
            prop_assert_eq!(
                through.cost + through.duplicates + through.batch + through.cache,
                lanes.sync
            );
            for part in [through.cost, through.duplicates, through.batch, through.cache] {
                prop_assert!(part >= Pico::ZERO, "{lanes:?}");
            }
            prop_assert!(through.cost <= lanes.batch);
        }
        prop_assert!(lanes.offpeak.is_sorted_by(|few, many| few.cost >= many.cost));
        prop_assert!(lanes.sync_cached <= lanes.sync && lanes.batch <= lanes.sync);
        prop_assert_eq!(lanes.logged, lanes.sync, "nothing was logged");
        let patient = of(&calls, Assumed { urgent: 0, ..Assumed::default() });
        prop_assert_eq!(patient.batch * 2, patient.sync);
        prop_assert_eq!(patient.sync, lanes.sync);
    }

    /// Without times, the order of the calls says nothing.
    #[test]
    fn in_any_order_the_same(calls in prop::collection::vec(any_call(), 0..30)) {
        let mut calls: Vec<_> = calls.into_iter().map(|call| Call { at: None, identity: None, ..call }).collect();
        let there = of(&calls, Assumed::default());
        calls.reverse();
        let back = of(&calls, Assumed::default());
        prop_assert_eq!((there.sync, there.batch, there.offpeak), (back.sync, back.batch, back.offpeak));
    }
}
