//! How long message batches, and direct calls, have really taken lately: a
//! histogram by hour of the day and by size, from which quantiles are read.
//!
//! A bin is a quarter of an octave wide, so a quantile is at most a fifth more
//! than what was measured, and never less.

use std::collections::BTreeMap;
use std::time::Duration;

/// Fewer say nothing.
pub const ENOUGH: u64 = 20;
/// Days that count as lately.
pub const DAYS: u16 = 7;
/// The last bin; it holds whatever takes longer.
const LAST: u8 = 80;
/// Bins of one octave.
const OCTAVE: f64 = 4.0;

/// The bin that a time falls into.
pub fn bin_of(time: Duration) -> u8 {
    (0..LAST)
        .find(|bin| time <= longest_of(*bin))
        .unwrap_or(LAST)
}

/// The longest time of a bin.
pub fn longest_of(bin: u8) -> Duration {
    Duration::from_secs_f64((f64::from(bin) / OCTAVE).exp2())
}

/// The class of a batch with so many requests: 0 up to ten, 1 up to a hundred,
/// and so on.
pub fn size_of(items: u64) -> u8 {
    let mut most = 10;
    let mut size = 0;
    while items > most {
        most *= 10;
        size += 1;
    }
    size
}

/// So many of one size, at one hour of the day, took about so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Hour of the day (UTC) at which they began.
    pub hour: u8,
    /// By [`size_of`].
    pub size: u8,
    /// By [`bin_of`].
    pub bin: u8,
    /// How many.
    pub n: u64,
}

/// What was measured lately of one upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turnaround(Vec<Cell>);

/// How long they took, from enough of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Half of them took no longer.
    pub half: Duration,
    /// 90 of a hundred took no longer.
    pub nine_tenths: Duration,
    /// 95 of a hundred took no longer.
    pub most: Duration,
    /// How many it is read from.
    pub n: u64,
}

impl Turnaround {
    /// From all cells, in any order.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self(cells)
    }

    /// What the narrowest choice says that has [`ENOUGH`]: of this size at about
    /// this hour, of this size, at about this hour, all. None before there are
    /// enough at all.
    pub fn of(&self, hour: u8, size: Option<u8>) -> Option<Measured> {
        let near = |cell: &Cell| [0, 1, 23].contains(&((cell.hour + 24 - hour % 24) % 24));
        let alike = |cell: &Cell| size.is_none_or(|size| cell.size == size);
        let choices: [&dyn Fn(&Cell) -> bool; 4] = [
            &|cell| alike(cell) && near(cell),
            &|cell| alike(cell),
            &|cell| near(cell),
            &|_| true,
        ];
        choices.iter().find_map(|choice| self.measured(choice))
    }

    /// What was measured of this size alone, at whatever hour.
    pub fn of_size(&self, size: u8) -> Option<Measured> {
        self.measured(&|cell| cell.size == size)
    }

    fn measured(&self, choice: &dyn Fn(&Cell) -> bool) -> Option<Measured> {
        let mut bins = BTreeMap::<u8, u64>::new();
        for cell in self.0.iter().filter(|cell| choice(cell)) {
            *bins.entry(cell.bin).or_default() += cell.n;
        }
        let n: u64 = bins.values().sum();
        if n < ENOUGH {
            return None;
        }
        let quantile = |hundredths: u64| {
            let wanted = (n * hundredths).div_ceil(100);
            let mut seen = 0;
            let bin = bins.iter().find(|(_, count)| {
                seen += **count;
                seen >= wanted
            });
            longest_of(bin.map_or(LAST, |(bin, _)| *bin))
        };
        Some(Measured {
            half: quantile(50),
            nine_tenths: quantile(90),
            most: quantile(95),
            n,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cell, Turnaround, bin_of, longest_of, size_of};

    fn cells(hour: u8, size: u8, seconds: &[u64]) -> Vec<Cell> {
        let cell = |seconds: &u64| Cell {
            hour,
            size,
            bin: bin_of(Duration::from_secs(*seconds)),
            n: 1,
        };
        seconds.iter().map(cell).collect()
    }

    #[test]
    fn a_bin_holds_what_it_says() {
        for seconds in [0, 1, 2, 3, 59, 60, 61, 3_600, 40_000, 86_400, 172_800] {
            let time = Duration::from_secs(seconds);
            let longest = longest_of(bin_of(time));
            assert!(time <= longest, "{seconds}: {longest:?}");
            assert!(
                longest <= time.max(Duration::from_secs(1)).mul_f64(1.2),
                "{seconds}"
            );
        }
        assert_eq!(bin_of(Duration::from_hours(10_000)), 80);
    }

    #[test]
    fn sizes_go_by_tens() {
        let sizes: Vec<u8> = [0, 1, 10, 11, 100, 101, 10_000, 100_000]
            .iter()
            .map(|items| size_of(*items))
            .collect();
        assert_eq!(sizes, [0, 0, 0, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn nineteen_say_nothing_and_twenty_do() {
        let few = cells(7, 1, &[100; 19]);
        assert_eq!(Turnaround::new(few.clone()).of(7, Some(1)), None);
        let enough = [few, cells(19, 3, &[100])].concat();
        assert_eq!(Turnaround::new(enough).of(7, Some(1)).unwrap().n, 20);
    }

    #[test]
    fn the_narrowest_choice_that_has_enough_speaks() {
        let all = [
            cells(7, 1, &[100; 20]),
            cells(13, 1, &[1_000; 30]),
            cells(13, 3, &[10_000; 5]),
        ]
        .concat();
        let measured = Turnaround::new(all);
        let half = |hour, size| measured.of(hour, size).unwrap().half.as_secs();
        let about = |seconds| longest_of(bin_of(Duration::from_secs(seconds))).as_secs();
        assert_eq!(half(8, Some(1)), about(100), "the hour beside counts");
        assert_eq!(half(2, Some(1)), about(1_000), "all of that size");
        assert_eq!(half(12, Some(3)), about(1_000), "that hour, of any size");
        assert_eq!(half(2, Some(3)), about(1_000), "everything");
        assert_eq!(measured.of(2, None).unwrap().n, 55);
    }

    #[test]
    fn a_size_alone_is_not_told_by_others() {
        let all = [cells(7, 1, &[100; 20]), cells(13, 3, &[10_000; 19])].concat();
        let measured = Turnaround::new(all);
        assert_eq!(measured.of_size(1).unwrap().n, 20);
        assert_eq!(measured.of_size(3), None);
    }

    #[test]
    fn the_slow_tail_is_in_most_and_not_in_half() {
        let tail = [vec![60; 18], vec![7_200; 2]].concat();
        let measured = Turnaround::new(cells(0, 0, &tail)).of(0, None).unwrap();
        assert!(measured.half < Duration::from_secs(75));
        assert!(measured.most >= Duration::from_hours(2));
    }
}
