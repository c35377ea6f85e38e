//! Every reason, and what it looks like; and what must hold of all decisions.

use std::time::Duration;

use proptest::prelude::*;
use time::macros::date;

use super::{Facts, Mark, Measured, Reason, Seen, decide};
use crate::job::Lane;
use crate::money::Pico;
use crate::price::{Prices, Rates};

/// Four dollars a million; reads cost a twentieth.
fn rates(lane: Lane) -> Rates {
    Prices::shipped()
        .unwrap()
        .find("claude-opus-5-5", date!(2026 - 11 - 27), lane)
        .unwrap()
}

fn facts() -> Facts {
    Facts {
        tokens: 3_000,
        minimum: 512,
        items: 100,
        batch: rates(Lane::Batch),
        direct: rates(Lane::Direct),
        turnaround: None,
        last: None,
        flow: 0,
        own: Measured::default(),
        all: Measured::default(),
        lately: Pico::ZERO,
    }
}

fn seen(hits: u64, chances: u64) -> Seen {
    Seen { hits, chances }
}

#[test]
fn a_batch_counts_at_its_own_price() {
    let without = |batch| {
        let facts = Facts { batch, ..facts() };
        decide(&facts).predicted.without
    };
    let tokens = 3_000 * 100;
    assert_eq!(without(rates(Lane::Batch)).to_usd_string(), "0.6");
    assert_eq!(
        without(rates(Lane::Direct)),
        rates(Lane::Direct).input * tokens
    );
}

#[test]
fn every_reason() {
    let mins = Duration::from_mins;
    let short = |hits, chances| Measured {
        short: seen(hits, chances),
        ..Measured::default()
    };
    let primed = |unprimed, hits| Measured {
        short: seen(unprimed, 1_000),
        long: seen(unprimed, 1_000),
        long_primed: seen(hits, 1_000),
        ..Measured::default()
    };
    let situations = [
        (
            "no shared prefix",
            Facts {
                tokens: 0,
                ..facts()
            },
        ),
        (
            "shorter than the model caches",
            Facts {
                tokens: 511,
                ..facts()
            },
        ),
        (
            "one alone",
            Facts {
                items: 1,
                ..facts()
            },
        ),
        (
            "one of many",
            Facts {
                items: 1,
                flow: 200,
                ..facts()
            },
        ),
        (
            "one alone, after another batch",
            Facts {
                items: 1,
                turnaround: Some(mins(1)),
                last: Some((Mark::FiveMinutes, mins(3))),
                all: short(640, 1_000),
                ..facts()
            },
        ),
        (
            "one alone, too long after it",
            Facts {
                items: 1,
                turnaround: Some(mins(1)),
                last: Some((Mark::FiveMinutes, mins(4))),
                ..facts()
            },
        ),
        (
            "ten in five hours",
            Facts {
                items: 10,
                turnaround: Some(mins(300)),
                ..facts()
            },
        ),
        (
            "two in a day",
            Facts {
                items: 2,
                turnaround: Some(mins(1_440)),
                ..facts()
            },
        ),
        (
            "two, nothing known",
            Facts {
                items: 2,
                turnaround: Some(mins(2)),
                ..facts()
            },
        ),
        ("a hundred, nothing known", facts()),
        (
            "a hundred, 64 % found",
            Facts {
                all: short(640, 1_000),
                ..facts()
            },
        ),
        (
            "a hundred, 98 % found",
            Facts {
                all: short(980, 1_000),
                ..facts()
            },
        ),
        (
            "a hundred, none ever found",
            Facts {
                all: short(0, 1_000),
                ..facts()
            },
        ),
        (
            "none of these, most of others",
            Facts {
                own: short(0, 60),
                all: short(900, 1_000),
                ..facts()
            },
        ),
        (
            "of these too few to tell",
            Facts {
                own: short(0, 40),
                all: short(900, 1_000),
                ..facts()
            },
        ),
        (
            "ten in an hour, 64 % found",
            Facts {
                items: 10,
                all: short(640, 1_000),
                ..facts()
            },
        ),
        (
            "priming helped",
            Facts {
                all: primed(400, 950),
                ..facts()
            },
        ),
        (
            "priming helped, still warm",
            Facts {
                last: Some((Mark::OneHour, mins(30))),
                turnaround: Some(mins(10)),
                all: primed(400, 950),
                ..facts()
            },
        ),
        (
            "priming helped, batches take hours",
            Facts {
                turnaround: Some(mins(180)),
                all: primed(400, 950),
                ..facts()
            },
        ),
        (
            "priming did not help",
            Facts {
                all: primed(400, 400),
                ..facts()
            },
        ),
        (
            "quick and large",
            Facts {
                items: 1_000,
                turnaround: Some(mins(4)),
                ..facts()
            },
        ),
        (
            "quick and not so large",
            Facts {
                turnaround: Some(mins(4)),
                ..facts()
            },
        ),
        (
            "small beside the rest",
            Facts {
                items: 20,
                turnaround: Some(mins(30)),
                lately: Pico(100 * 1_000_000_000_000),
                all: short(500, 1_000),
                ..facts()
            },
        ),
    ];
    let table: Vec<String> = situations
        .into_iter()
        .map(|(situation, facts)| {
            let made = decide(&facts);
            let predicted = made.predicted;
            format!(
                "{situation:<36} {:<4} {:<13} {:>3} ‰ {} / {}",
                made.mark,
                made.reason,
                predicted.hits_per_mille,
                predicted.with.to_rounded_string(),
                predicted.without.to_rounded_string(),
            )
        })
        .collect();
    for reason in Reason::ALL {
        assert!(
            table.iter().any(|line| line.contains(reason.as_str())),
            "{reason}"
        );
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    no shared prefix                     none too_short   0 ‰ $0.00 / $0.00
    shorter than the model caches        none too_short   0 ‰ $0.1022 / $0.1022
    one alone                            none too_few   0 ‰ $0.0060 / $0.0060
    one of many                          5m pays_5m 282 ‰ $0.0055 / $0.0060
    one alone, after another batch       5m pays_5m 633 ‰ $0.0029 / $0.0060
    one alone, too long after it         none too_few   0 ‰ $0.0060 / $0.0060
    ten in five hours                    none would_not_pay 270 ‰ $0.0884 / $0.0600
    two in a day                         none too_few   0 ‰ $0.0120 / $0.0120
    two, nothing known                   none would_not_pay 150 ‰ $0.0128 / $0.0120
    a hundred, nothing known             5m pays_5m 297 ‰ $0.5362 / $0.6000
    a hundred, 64 % found                5m pays_5m 626 ‰ $0.2988 / $0.6000
    a hundred, 98 % found                5m pays_5m 956 ‰ $0.0614 / $0.6000
    a hundred, none ever found           none would_not_pay   4 ‰ $0.7464 / $0.6000
    none of these, most of others        none would_not_pay  74 ‰ $0.6965 / $0.6000
    of these too few to tell             5m pays_5m 879 ‰ $0.1170 / $0.6000
    ten in an hour, 64 % found           1h pays_1h 569 ‰ $0.0533 / $0.0600
    priming helped                       1h primed 939 ‰ $0.1254 / $0.6000
    priming helped, still warm           5m pays_5m 398 ‰ $0.4634 / $0.6000
    priming helped, batches take hours   5m pays_5m 394 ‰ $0.4663 / $0.6000
    priming did not help                 5m pays_5m 394 ‰ $0.4663 / $0.6000
    quick and large                      5m trial 300 ‰ $5.36 / $6.00
    quick and not so large               5m pays_5m 297 ‰ $0.5362 / $0.6000
    small beside the rest                1h trial 496 ‰ $0.1479 / $0.1200
    ");
}

#[test]
fn a_mark_is_json_inside_a_block() {
    for mark in Mark::ALL {
        let block = format!(r#"{{"type":"text","text":"x"{}}}"#, mark.text());
        let block: serde_json::Value = serde_json::from_str(&block).unwrap();
        let ttl = match mark {
            Mark::None => continue,
            Mark::FiveMinutes => serde_json::Value::Null,
            Mark::OneHour => "1h".into(),
        };
        assert_eq!(block["cache_control"]["type"], "ephemeral");
        assert_eq!(block["cache_control"]["ttl"], ttl);
    }
}

fn any_seen() -> impl Strategy<Value = Seen> {
    (0_u64..2_000, 0_u64..2_000).prop_map(|(hits, chances)| seen(hits.min(chances), chances))
}

fn any_measured() -> impl Strategy<Value = Measured> {
    (any_seen(), any_seen(), any_seen(), any_seen()).prop_map(
        |(short, long, short_primed, long_primed)| Measured {
            short,
            long,
            short_primed,
            long_primed,
        },
    )
}

proptest! {
    /// It is marked only where that is expected to be cheaper, or where a vain
    /// try costs a fiftieth of what is spent anyway; and what is primed is marked.
    #[test]
    fn no_mark_is_expected_to_cost_more(
        tokens in 0_u32..20_000,
        items in 1_u32..20_000,
        minutes in prop::option::of(1_u64..1_440),
        ago in prop::option::of(0_u64..90),
        own in any_measured(),
        all in any_measured(),
        lately in 0_i64..i64::MAX,
    ) {
        let facts = Facts {
            tokens, items, own, all,
            turnaround: minutes.map(Duration::from_mins),
            last: ago.map(|ago| (Mark::OneHour, Duration::from_mins(ago))),
            lately: Pico(i128::from(lately)),
            ..facts()
        };
        let made = decide(&facts);
        let predicted = made.predicted;
        let allowed = if made.reason == Reason::Trial {
            predicted.without + Pico((predicted.without + facts.lately).0 / 50)
        } else {
            predicted.without
        };
        if made.mark == Mark::None {
            prop_assert!(!made.prime);
        } else {
            prop_assert!(predicted.with <= allowed, "{made:?}");
        }
        prop_assert_eq!(
            made.prime,
            matches!(made.reason, Reason::Primed | Reason::Trial)
        );
        prop_assert!(predicted.hits_per_mille <= 1_000);
    }
}
