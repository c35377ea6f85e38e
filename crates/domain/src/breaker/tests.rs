use proptest::prelude::*;

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Fails so many calls, one a second from `from` on, each let through.
fn fail(breaker: &mut Breaker, from: u64, times: u64) {
    for second in from..from + times {
        assert_eq!(breaker.ask(S(second)), Permit::Go, "at {second}");
        breaker.went(S(second), Went::Badly(None), 1.0);
    }
}

#[test]
fn five_in_a_row_open_it_and_a_success_between_does_not() {
    let mut breaker = Breaker::new(Call::Create);
    fail(&mut breaker, 0, 4);
    breaker.went(S(4), Went::Well, 1.0);
    fail(&mut breaker, 5, 4);
    assert!(!breaker.is_open());
    fail(&mut breaker, 9, 1);
    assert!(breaker.is_open());
    // The first backoff is 2 s at most.
    assert_eq!(breaker.ask(S(9)), Permit::Wait(S(2)));
    assert_eq!(breaker.ask(S(11)), Permit::Probe);
}

#[test]
fn half_of_twenty_within_a_minute_open_it() {
    let go = |every: Duration| {
        let mut breaker = Breaker::new(Call::Create);
        for n in 0..20 {
            let went = if n % 2 == 0 {
                Went::Well
            } else {
                Went::Badly(None)
            };
            breaker.went(every * n, went, 1.0);
        }
        breaker.is_open()
    };
    assert!(go(S(3)), "20 calls in 57 s");
    assert!(!go(S(4)), "16 in a minute");
}

#[test]
fn comes_back_by_a_probe_and_in_rounds() {
    let mut breaker = Breaker::new(Call::Create);
    fail(&mut breaker, 0, 5);
    let mut now = S(6);
    assert_eq!(breaker.ask(now), Permit::Probe);
    assert!(matches!(breaker.ask(now), Permit::Wait(_)), "one probe");
    breaker.probed(now, Went::Well, 1.0);
    assert!(!breaker.is_open());
    for size in [1, 2, 4, 8, 16] {
        for _ in 0..size {
            assert_eq!(breaker.ask(now), Permit::Go, "in the round of {size}");
        }
        assert!(matches!(breaker.ask(now), Permit::Wait(_)), "after {size}");
        for _ in 0..size {
            breaker.went(now, Went::Well, 1.0);
        }
        if size < FULL {
            assert_eq!(breaker.ask(now), Permit::Wait(ROUND), "{size}");
        }
        now += ROUND;
    }
    for _ in 0..100 {
        assert_eq!(breaker.ask(now), Permit::Go);
    }
}

#[test]
fn each_failure_on_the_way_back_waits_longer_up_to_five_minutes() {
    let mut breaker = Breaker::new(Call::Create);
    fail(&mut breaker, 0, 5);
    let mut now = S(5);
    let mut waits = Vec::new();
    for round in 0..10 {
        let Permit::Wait(wait) = breaker.ask(now) else {
            panic!("open at {round}");
        };
        waits.push((wait + Duration::from_secs(u64::from(round == 0))).as_secs());
        now += wait;
        assert_eq!(breaker.ask(now), Permit::Probe);
        // The list is fine, the create is not; or the list is not fine either.
        if round % 2 == 0 {
            breaker.probed(now, Went::Well, 1.0);
            assert_eq!(breaker.ask(now), Permit::Go);
            breaker.went(now, Went::Badly(None), 1.0);
        } else {
            breaker.probed(now, Went::Badly(None), 1.0);
        }
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn waits_as_long_as_told_within_reason() {
    let told = |wait| {
        let mut breaker = Breaker::new(Call::Create);
        breaker.went(S(0), Went::Told(wait), 1.0);
        let held = breaker.held(S(0));
        // Then it goes on as before: to be told to wait is no failure.
        assert_eq!(breaker.ask(S(3600)), Permit::Go);
        held
    };
    assert_eq!(told(S(7)), Some(S(7)));
    assert_eq!(told(S(1_000_000)), Some(LONGEST_TOLD));

    let mut breaker = Breaker::new(Call::Read);
    breaker.went(S(0), Went::Badly(Some(S(30))), 1.0);
    assert_eq!(breaker.held(S(0)), Some(S(30)), "a 503 may tell it too");
}

#[test]
fn retries_of_reads_are_a_tenth_of_requests() {
    let mut breaker = Breaker::new(Call::Read);
    // Two failures, then one success, again and again: no trip by a row, and
    // far enough apart for no trip by share.
    let (mut made, mut retried) = (0, 0);
    for n in 0..3000 {
        let now = Duration::from_millis(4 * n);
        match breaker.ask(now) {
            Permit::Go => {
                made += 1;
                retried += u64::from(breaker.in_row > 0);
                let went = if made % 10 == 0 {
                    Went::Badly(None)
                } else {
                    Went::Well
                };
                breaker.went(now, went, 1.0);
            }
            Permit::Wait(_) | Permit::Probe => {}
        }
    }
    assert!(retried * 10 <= made + 110, "{retried} of {made}");
    assert!(retried > 10, "{retried} of {made}");
}

#[test]
fn an_empty_budget_fills_by_itself() {
    let mut breaker = Breaker::new(Call::Read);
    breaker.tokens = 0.0;
    breaker.went(S(0), Went::Badly(None), 1.0);
    let Permit::Wait(wait) = breaker.ask(S(0)) else {
        panic!("no token")
    };
    assert!(wait <= REFILL + S(1));
    assert_eq!(breaker.ask(wait), Permit::Go);
}

#[test]
fn a_probe_that_nobody_reports_on_is_made_again() {
    let mut breaker = Breaker::new(Call::Results);
    fail(&mut breaker, 0, 5);
    assert_eq!(breaker.ask(S(10)), Permit::Probe);
    assert!(breaker.held(S(10)).is_some());
    assert_eq!(breaker.ask(S(10) + PROBE), Permit::Probe);
    breaker.probed(S(10) + PROBE, Went::Well, 1.0);
    assert_eq!(breaker.ask(S(200)), Permit::Go);
    assert!(breaker.held(S(200)).is_some());
    assert_eq!(breaker.ask(S(200) + PROBE), Permit::Go, "nor on a call");
    breaker.unmade();
    assert_eq!(breaker.ask(S(200) + PROBE), Permit::Go);
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ask,
    Went(Went),
    Probed(Went),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let went = || {
        prop_oneof![
            Just(Went::Well),
            Just(Went::Badly(None)),
            (0_u64..100_000).prop_map(|s| Went::Badly(Some(S(s)))),
            (0_u64..100_000).prop_map(|s| Went::Told(S(s))),
        ]
    };
    let step = prop_oneof![
        (0_u64..400).prop_map(Step::Pass),
        Just(Step::Ask),
        went().prop_map(Step::Went),
        went().prop_map(Step::Probed),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens: a wait is bounded and ends in a permit, what is open
    /// lets nothing but a probe through, and health returns.
    #[test]
    fn never_stuck_and_never_open_and_calling(steps in steps(), random in 0.0_f64..1.0) {
        let mut breaker = Breaker::new(Call::Read);
        let mut now = S(1);
        for step in steps {
            match step {
                Step::Pass(seconds) => now += S(seconds),
                Step::Ask => {
                    let was_open = breaker.is_open();
                    let told_only = matches!(breaker.state, State::Open { probe: false, .. });
                    match breaker.ask(now) {
                        Permit::Go => prop_assert!(!was_open || told_only),
                        Permit::Probe => prop_assert!(was_open),
                        Permit::Wait(wait) => {
                            prop_assert!(wait <= LONGEST_TOLD);
                            let mut later = breaker.clone();
                            prop_assert!(!matches!(later.ask(now + wait), Permit::Wait(_)));
                        }
                    }
                }
                Step::Went(went) => breaker.went(now, went, random),
                Step::Probed(went) => breaker.probed(now, went, random),
            }
        }
        for _ in 0..200 {
            match breaker.ask(now) {
                Permit::Go => breaker.went(now, Went::Well, random),
                Permit::Probe => breaker.probed(now, Went::Well, random),
                Permit::Wait(wait) => now += wait,
            }
        }
        prop_assert_eq!(breaker.state, State::Closed);
    }
}
