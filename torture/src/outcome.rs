//! What a run came to: the line of JSON that it ends with, and whether that is
//! what is promised.

use std::time::Instant;

use offpeak_store::torture::{MUTANTS, POINTS};
use serde_json::{Value, json};

use crate::judge::Verdict;
use crate::part::mutants::Caught;
use crate::part::{kills, points, recovery};
use crate::say;

/// Until another worker goes on after one was killed, at p99.
pub const RECOVERY: f64 = 20.0;
/// Until a lost create is found, at p50.
pub const ADOPTION: f64 = 60.0;

/// One part: its name, how often it tried, and what the judge says.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub what: &'static str,
    /// How often.
    pub tries: u64,
    /// What the judge says.
    pub verdict: Verdict,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Everything that a run counted.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each part.
    pub rows: Vec<Row>,
    /// Of the crash points.
    pub points: points::Counted,
    /// Of the kills.
    pub kills: kills::Counted,
    /// Seconds of recovery and adoption.
    pub times: recovery::Times,
    /// Every mutant.
    pub mutants: Vec<Caught>,
    /// Downloads that dripped until they were given up.
    pub given_up: u64,
}

impl Outcome {
    /// A part is over.
    pub fn note(&mut self, what: &'static str, tries: u64, verdict: Verdict, begun: Instant) {
        let seconds = begun.elapsed().as_secs_f64();
        let Verdict {
            lost, paid_twice, ..
        } = &verdict;
        let wrong = verdict.wrong();
        say(&format!(
            "{what}: {tries}, lost {lost}, paid twice {paid_twice}, violations {wrong}, {seconds:.0} s"
        ));
        self.rows.push(Row {
            what,
            tries,
            verdict,
            seconds,
        });
    }

    /// Adds what another row of parts came to.
    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.points.tried += other.points.tried;
        self.points.died += other.points.died;
        self.points.later += other.points.later;
        self.points.hit.extend(other.points.hit);
        self.mutants.extend(other.mutants);
        self.given_up += other.given_up;
        if !other.kills.after.is_empty() {
            self.kills = other.kills;
        }
        self.times.recovered.extend(other.times.recovered);
        self.times.adopted.extend(other.times.adopted);
    }

    /// All verdicts together.
    pub fn sum(&self) -> Verdict {
        let mut sum = Verdict::default();
        for row in &self.rows {
            sum.add(row.verdict.clone());
        }
        sum
    }

    /// Points at which a process died or was frozen. A kill at a random moment after
    /// one is none of them.
    pub fn points_hit(&self) -> usize {
        POINTS.len() - self.points_missed().len()
    }

    fn points_missed(&self) -> Vec<&'static str> {
        let hit = &self.points.hit;
        let missed = POINTS.iter().filter(|point| !hit.contains(**point));
        missed.copied().collect()
    }

    /// Mutants that were noticed.
    pub fn caught(&self) -> usize {
        self.mutants.iter().filter(|one| one.by.is_some()).count()
    }

    /// The last line.
    pub fn json(&self, seed: u64) -> Value {
        let sum = self.sum();
        json!({
            "kills": self.kills.ours + self.kills.postgres + self.points.died,
            "lost": sum.lost,
            "paid_twice": sum.paid_twice,
            "violations": sum.wrong(),
            "absorbed": sum.absorbed,
            "crash_points": POINTS.len(),
            "points_hit": self.points_hit(),
            "pairs": self.points.died,
            "mutants": MUTANTS.len(),
            "mutants_caught": self.caught(),
            "recovery_p99_s": percentile(&self.times.recovered, 99),
            "adopted_p50_s": percentile(&self.times.adopted, 50),
            "jobs": sum.promised,
            "seed": seed,
        })
    }

    /// What is not as it is promised, when every part was run.
    pub fn shortcomings(&self) -> Vec<String> {
        let mut short = Vec::new();
        let mut demand = |what: &str, is_so: bool| {
            if !is_so {
                short.push(what.to_owned());
            }
        };
        demand("something is wrong", self.sum().is_clean());
        let missed = self.points_missed();
        demand(
            &format!("crash points were not hit: {}", missed.join(", ")),
            missed.is_empty(),
        );
        demand("a mutant was not noticed", self.caught() == MUTANTS.len());
        let within = |times: &[f64], part, limit: f64| {
            percentile(times, part).is_some_and(|seconds| seconds <= limit)
        };
        demand(
            "recovery is slow",
            within(&self.times.recovered, 99, RECOVERY),
        );
        demand(
            "adoption is slow",
            within(&self.times.adopted, 50, ADOPTION),
        );
        short
    }
}

/// The smallest of these that so many of a hundred are not above.
pub fn percentile(times: &[f64], part: usize) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * part).div_ceil(100);
    let seconds = sorted.get(place.checked_sub(1)?)?;
    Some((seconds * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[3.0], 99), Some(3.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 50), Some(2.0));
        assert_eq!(percentile(&[4.0, 1.0, 2.0, 3.0], 99), Some(4.0));
        assert_eq!(percentile(&[4.0, 1.0, 2.0, 3.0], 50), Some(2.0));
    }
}
