//! Forty bills, worked out by hand from the published prices: dollars per million
//! tokens as in the comment, whose value is the cost. The synchronous price takes
//! every prompt token at the input rate of the same row.

use time::Date;
use time::macros::date;

use super::super::{Bill, Prices, Usage};
use crate::job::Lane::{self, Batch, Direct};
use crate::money::Pico;

struct Case {
    what: &'static str,
    model: &'static str,
    day: Date,
    lane: Lane,
    geo_us: bool,
    /// Input, output, five-minute and one-hour writes, reads, web searches.
    used: [u64; 6],
    cost: &'static str,
    sync: &'static str,
    saved_batch: &'static str,
    saved_cache: &'static str,
}

#[rustfmt::skip]
const CASES: [Case; 40] = [
    // 0.5 × 1 × 0.1 millionths
    Case { what: "one token in a batch", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [1, 0, 0, 0, 0, 0],
           cost: "0.00000005", sync: "0.0000001", saved_batch: "0.00000005", saved_cache: "0" },
    // 0.5 × 1 × 0.125 millionths
    Case { what: "one five-minute write: 62.5 nano-dollars", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [0, 0, 1, 0, 0, 0],
           cost: "0.0000000625", sync: "0.0000001", saved_batch: "0.0000000625", saved_cache: "-0.000000025" },
    // 0.5 × 1.1 × 1 × 0.125 millionths
    Case { what: "the same in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [0, 0, 1, 0, 0, 0],
           cost: "0.00000006875", sync: "0.00000011", saved_batch: "0.00000006875", saved_cache: "-0.0000000275" },
    // 1 × 0.125 millionths
    Case { what: "the same at once", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: false, used: [0, 0, 1, 0, 0, 0],
           cost: "0.000000125", sync: "0.0000001", saved_batch: "0", saved_cache: "-0.000000025" },
    // 1.1 × 1 × 0.125 millionths
    Case { what: "the same at once, in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: true, used: [0, 0, 1, 0, 0, 0],
           cost: "0.0000001375", sync: "0.00000011", saved_batch: "0", saved_cache: "-0.0000000275" },
    // 0.5 × 1 × 0.2 millionths
    Case { what: "one one-hour write", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [0, 0, 0, 1, 0, 0],
           cost: "0.0000001", sync: "0.0000001", saved_batch: "0.0000001", saved_cache: "-0.0000001" },
    // 0.5 × 1.1 × 1 × 0.2 millionths
    Case { what: "the same in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [0, 0, 0, 1, 0, 0],
           cost: "0.00000011", sync: "0.00000011", saved_batch: "0.00000011", saved_cache: "-0.00000011" },
    // 0.5 × 1 × 0.01 millionths
    Case { what: "one read: 5 nano-dollars", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [0, 0, 0, 0, 1, 0],
           cost: "0.000000005", sync: "0.0000001", saved_batch: "0.000000005", saved_cache: "0.00000009" },
    // 0.5 × 1.1 × 1 × 0.01 millionths
    Case { what: "the same in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [0, 0, 0, 0, 1, 0],
           cost: "0.0000000055", sync: "0.00000011", saved_batch: "0.0000000055", saved_cache: "0.000000099" },
    // 0.5 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.125) millionths
    Case { what: "a prefix written for five minutes and not read", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [10_000, 800, 3_000, 0, 0, 0],
           cost: "0.0008875", sync: "0.0017", saved_batch: "0.0008875", saved_cache: "-0.000075" },
    // 0.5 × 1.1 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.125) millionths
    Case { what: "the same in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [10_000, 800, 3_000, 0, 0, 0],
           cost: "0.00097625", sync: "0.00187", saved_batch: "0.00097625", saved_cache: "-0.0000825" },
    // 0.5 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.2) millionths
    Case { what: "a prefix written for an hour and not read", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [10_000, 800, 0, 3_000, 0, 0],
           cost: "0.001", sync: "0.0017", saved_batch: "0.001", saved_cache: "-0.0003" },
    // 0.5 × 1.1 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.2) millionths
    Case { what: "the same in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [10_000, 800, 0, 3_000, 0, 0],
           cost: "0.0011", sync: "0.00187", saved_batch: "0.0011", saved_cache: "-0.00033" },
    // 1.1 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.2) millionths
    Case { what: "the same at once", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: true, used: [10_000, 800, 0, 3_000, 0, 0],
           cost: "0.0022", sync: "0.00187", saved_batch: "0", saved_cache: "-0.00033" },
    // 0.5 × (10,000 × 0.1 + 800 × 0.5 + 3,000 × 0.01) millionths
    Case { what: "a prefix read", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [10_000, 800, 0, 0, 3_000, 0],
           cost: "0.000715", sync: "0.0017", saved_batch: "0.000715", saved_cache: "0.00027" },
    // 0.5 × 100,000 × 0.1 millionths
    Case { what: "the last prompt of the lower step", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [100_000, 0, 0, 0, 0, 0],
           cost: "0.005", sync: "0.01", saved_batch: "0.005", saved_cache: "0" },
    // 0.5 × 100,001 × 0.5 millionths
    Case { what: "the first prompt of the upper step", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [100_001, 0, 0, 0, 0, 0],
           cost: "0.02500025", sync: "0.0500005", saved_batch: "0.02500025", saved_cache: "0" },
    // 0.5 × (90,000 × 0.1 + 1,000 × 0.5 + 4,000 × 0.125 + 3,000 × 0.2 + 3,000 × 0.01) millionths
    Case { what: "the step counts writes and reads: 100,000", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [90_000, 1_000, 4_000, 3_000, 3_000, 0],
           cost: "0.005315", sync: "0.0105", saved_batch: "0.005315", saved_cache: "-0.00013" },
    // 0.5 × (90,000 × 0.5 + 1,000 × 2.5 + 4,000 × 0.625 + 3,000 × 1 + 3,001 × 0.05) millionths
    Case { what: "the step counts writes and reads: 100,001, output at the upper rate", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [90_000, 1_000, 4_000, 3_000, 3_001, 0],
           cost: "0.026575025", sync: "0.0525005", saved_batch: "0.026575025", saved_cache: "-0.00064955" },
    // 0.5 × 1.1 × (1 × 0.5 + 100,000 × 0.625) millionths
    Case { what: "above the step by one token, nearly all written, in the United States only", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [1, 0, 100_000, 0, 0, 0],
           cost: "0.034375275", sync: "0.05500055", saved_batch: "0.034375275", saved_cache: "-0.01375" },
    // 1 × 0.5 + 10 × 2.5 + 100,000 × 0.05 millionths
    Case { what: "above the step by one token, nearly all read, at once", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: false, used: [1, 10, 0, 0, 100_000, 0],
           cost: "0.0050255", sync: "0.0500255", saved_batch: "0", saved_cache: "0.045" },
    // 0.5 × (500 × 0.1 + 2,000,000 × 0.5) millionths
    Case { what: "output alone never climbs the step", model: "claude-haiku-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [500, 2_000_000, 0, 0, 0, 0],
           cost: "0.500025", sync: "1.00005", saved_batch: "0.500025", saved_cache: "0" },
    // 0.5 × (1,000 × 1 + 200 × 5) millionths
    Case { what: "no step in Haiku 4.5", model: "claude-haiku-4-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [1_000, 200, 0, 0, 0, 0],
           cost: "0.001", sync: "0.002", saved_batch: "0.001", saved_cache: "0" },
    // 0.5 × (1,000 × 1 + 200 × 5) millionths
    Case { what: "no price for a place before 4.6", model: "claude-haiku-4-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [1_000, 200, 0, 0, 0, 0],
           cost: "0.001", sync: "0.002", saved_batch: "0.001", saved_cache: "0" },
    // 1,000 × 5 + 200 × 25 + 400 × 6.25 millionths
    Case { what: "no price for a place before 4.6", model: "claude-opus-4-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: true, used: [1_000, 200, 400, 0, 0, 0],
           cost: "0.0125", sync: "0.012", saved_batch: "0", saved_cache: "-0.0005" },
    // 1,000 × 3 + 200 × 15 + 400 × 0.3 millionths
    Case { what: "no price for a place before 4.6, on its last day", model: "claude-sonnet-4-5", day: date!(2026 - 11 - 30), lane: Direct,
           geo_us: true, used: [1_000, 200, 0, 0, 400, 0],
           cost: "0.00612", sync: "0.0072", saved_batch: "0", saved_cache: "0.00108" },
    // 1.1 × (1,000 × 5 + 200 × 25) millionths
    Case { what: "the first model with a price for a place", model: "claude-opus-4-6", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: true, used: [1_000, 200, 0, 0, 0, 0],
           cost: "0.011", sync: "0.011", saved_batch: "0", saved_cache: "0" },
    // 0.5 × 1.1 × (700 × 3 + 300 × 15 + 200 × 3.75 + 100 × 6 + 900 × 0.3) millionths
    Case { what: "every kind at once", model: "claude-sonnet-4-6", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [700, 300, 200, 100, 900, 0],
           cost: "0.004521", sync: "0.01122", saved_batch: "0.004521", saved_cache: "0.002178" },
    // 0.5 × (100 × 2 + 50 × 10 + 20,000 × 0.2) millionths
    Case { what: "the day before the cut of reads", model: "claude-sonnet-5-5", day: date!(2026 - 10 - 06), lane: Batch,
           geo_us: false, used: [100, 50, 0, 0, 20_000, 0],
           cost: "0.00235", sync: "0.0407", saved_batch: "0.00235", saved_cache: "0.036" },
    // 0.5 × (100 × 2 + 50 × 10 + 20,000 × 0.1) millionths
    Case { what: "the day of the cut of reads", model: "claude-sonnet-5-5", day: date!(2026 - 10 - 07), lane: Batch,
           geo_us: false, used: [100, 50, 0, 0, 20_000, 0],
           cost: "0.00135", sync: "0.0407", saved_batch: "0.00135", saved_cache: "0.038" },
    // 100 × 2 + 50 × 10 + 20,000 × 0.2 millionths
    Case { what: "long before it", model: "claude-sonnet-5-5", day: date!(2025 - 01 - 01), lane: Direct,
           geo_us: false, used: [100, 50, 0, 0, 20_000, 0],
           cost: "0.0047", sync: "0.0407", saved_batch: "0", saved_cache: "0.036" },
    // 123,457 × 2 + 8,191 × 10 millionths
    Case { what: "plain and at once: nothing is saved", model: "claude-sonnet-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: false, used: [123_457, 8_191, 0, 0, 0, 0],
           cost: "0.328824", sync: "0.328824", saved_batch: "0", saved_cache: "0" },
    // 0.5 × (250 × 4 + 1,200 × 20 + 3,000 × 8) millionths
    Case { what: "the job that writes a shared prefix", model: "claude-opus-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [250, 1_200, 0, 3_000, 0, 0],
           cost: "0.0245", sync: "0.037", saved_batch: "0.0245", saved_cache: "-0.012" },
    // 0.5 × (250 × 4 + 1,200 × 20 + 3,000 × 0.2) millionths
    Case { what: "the job that reads it", model: "claude-opus-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [250, 1_200, 0, 0, 3_000, 0],
           cost: "0.0128", sync: "0.037", saved_batch: "0.0128", saved_cache: "0.0114" },
    // 1,000,000 × 10 millionths
    Case { what: "a million written for an hour, at once, and nobody reads", model: "claude-opus-5", day: date!(2026 - 11 - 22), lane: Direct,
           geo_us: false, used: [0, 0, 0, 1_000_000, 0, 0],
           cost: "10", sync: "5", saved_batch: "0", saved_cache: "-5" },
    // 0.5 × 1.1 × (333 × 8 + 777 × 40 + 111 × 10 + 222 × 16 + 555 × 0.2) millionths
    Case { what: "odd numbers", model: "claude-fable-5-2", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [333, 777, 111, 222, 555, 0],
           cost: "0.02118435", sync: "0.0449328", saved_batch: "0.02118435", saved_cache: "0.0025641" },
    // 0.5 × (1 × 50 + 1,000,000 × 0.25) millionths
    Case { what: "reads at a fortieth", model: "claude-fable-5-1", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [0, 1, 0, 0, 1_000_000, 0],
           cost: "0.125025", sync: "10.00005", saved_batch: "0.125025", saved_cache: "9.75" },
    // 0.5 × (1 × 50 + 1,000,000 × 1) millionths
    Case { what: "reads at a tenth", model: "claude-mythos-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [0, 1, 0, 0, 1_000_000, 0],
           cost: "0.500025", sync: "10.00005", saved_batch: "0.500025", saved_cache: "9" },
    // 0.5 × (1,000 × 4 + 1,000 × 20) millionths + 3 × 0.01
    Case { what: "web searches, which a batch does not halve", model: "claude-opus-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: false, used: [1_000, 1_000, 0, 0, 0, 3],
           cost: "0.042", sync: "0.054", saved_batch: "0.012", saved_cache: "0" },
    // 0.5 × 1.1 × (1,000 × 4 + 1,000 × 20 + 9,000 × 0.2) millionths + 3 × 0.01
    Case { what: "nor a place makes dearer", model: "claude-opus-5-5", day: date!(2026 - 11 - 22), lane: Batch,
           geo_us: true, used: [1_000, 1_000, 0, 0, 9_000, 3],
           cost: "0.04419", sync: "0.096", saved_batch: "0.01419", saved_cache: "0.03762" },
];

#[test]
fn forty_bills_are_as_worked_out_by_hand() {
    let prices = Prices::shipped().unwrap();
    for case in CASES {
        let used = case.used;
        let usage = Usage {
            input: used[0],
            output: used[1],
            cache_write_5m: used[2],
            cache_write_1h: used[3],
            cache_read: used[4],
            web_searches: used[5],
            geo_us: case.geo_us,
        };
        let bill = prices
            .bill(&usage, case.model, case.day, case.lane)
            .unwrap();
        let dollars = |text: &str| text.parse::<Pico>().unwrap();
        let worked_out = Bill {
            cost: dollars(case.cost),
            sync: dollars(case.sync),
            saved_batch: dollars(case.saved_batch),
            saved_cache: dollars(case.saved_cache),
            saved_reuse: Pico::ZERO,
        };
        assert_eq!(bill, worked_out, "{}: {}", case.model, case.what);
        assert!(bill.adds_up(), "{}", case.what);
    }
}
