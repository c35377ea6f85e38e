//! One working day of jobs, the same for the same seed.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use offpeak_domain::cache::Prefix;
use offpeak_domain::job_type::{Compiled, JobType};
use rand::rngs::StdRng;
use rand::{Rng, RngExt as _, SeedableRng as _};
use serde_json::json;

/// Tenants, of which the largest sends some fifty times as much as the smallest.
pub const TENANTS: usize = 80;
/// From the first job to the last.
pub const DAY: Duration = Duration::from_hours(8);
/// Tokens of the instructions that all jobs of a type begin with.
const INSTRUCTIONS: usize = 3_000;
/// Of a hundred jobs.
const URGENT: u32 = 35;
const DUPLICATES: u32 = 4;
/// How far back the job may lie that another one repeats.
const REPEATED_WITHIN: Duration = Duration::from_hours(1);

/// A kind of work: its name, the tokens of its documents, and of its answers at most.
const TYPES: [(&str, std::ops::Range<usize>, u32); 3] = [
    ("triage", 150..600, 120),
    ("extract", 400..1_600, 200),
    ("summary", 800..3_200, 400),
];

/// A job that comes.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When, from the beginning of the day.
    pub at: Duration,
    /// Whose, below [`TENANTS`].
    pub tenant: usize,
    /// A model's name.
    pub model: String,
    /// How soon it is wanted.
    pub within: Option<Duration>,
    /// Somebody waits for it: within minutes.
    pub urgent: bool,
    /// The Messages body.
    pub params: Vec<u8>,
    /// What it begins with.
    pub prefix: Option<Prefix>,
}

/// The day.
pub fn day(jobs: usize, seed: u64, model: &str) -> Result<Vec<Arrival>> {
    let mut random = StdRng::seed_from_u64(seed);
    let types: Vec<Compiled> = TYPES
        .iter()
        .map(|(name, _, max_tokens)| compiled(name, *max_tokens, model, &mut random))
        .collect::<Result<_>>()?;
    let mut times: Vec<Duration> = (0..jobs).map(|_| time(&mut random)).collect();
    times.sort_unstable();
    let mut day: Vec<Arrival> = Vec::with_capacity(jobs);
    let mut last: HashMap<usize, Vec<usize>> = HashMap::new();
    for at in times {
        // Few tenants send most.
        let share: f64 = random.random();
        let tenant = place(share.powi(3), TENANTS);
        let (urgent, within) = wanted(&mut random);
        let earlier = last.entry(tenant).or_default();
        earlier.retain(|job| at.saturating_sub(day[*job].at) < REPEATED_WITHIN);
        let repeats = random.random_range(0..100) < DUPLICATES && !earlier.is_empty();
        let arrival = if repeats {
            let source = &day[earlier[random.random_range(0..earlier.len())]];
            Arrival {
                at,
                ..source.clone()
            }
        } else {
            let kind = random.random_range(0..types.len());
            let (_, length, _) = &TYPES[kind];
            let text = words(random.random_range(length.clone()), &mut random);
            let params = types[kind].render(&json!({ "text": text }));
            Arrival {
                at,
                tenant,
                model: model.to_owned(),
                within,
                urgent,
                params: params.map_err(|error| anyhow!(error.to_string()))?,
                prefix: types[kind].head().prefix(),
            }
        };
        earlier.push(day.len());
        day.push(arrival);
    }
    Ok(day)
}

fn compiled(name: &str, max_tokens: u32, model: &str, random: &mut StdRng) -> Result<Compiled> {
    let job_type: JobType = serde_json::from_value(json!({
        "name": name,
        "version": 1,
        "model": model,
        "max_tokens": max_tokens,
        "system": words(INSTRUCTIONS, random),
        "template": "<document>{{ text }}</document>\nAnswer in at most 40 words.",
        "input_schema": {
            "type": "object",
            "properties": { "text": { "type": "string" } },
            "required": ["text"],
        },
    }))?;
    Compiled::new(job_type)
        .map_err(|invalid| anyhow!("{invalid:?}"))
        .context(name.to_owned())
}

/// Most come around eleven and around three.
fn time(random: &mut StdRng) -> Duration {
    let hours: f64 = (0..4).map(|_| random.random_range(0.0..1.0)).sum();
    let peak = if random.random() { 0.0 } else { 4.0 };
    Duration::from_secs_f64((hours + peak) * 3_600.0).min(DAY)
}

/// Whether somebody waits for it, and until when.
fn wanted(random: &mut StdRng) -> (bool, Option<Duration>) {
    let minutes = Duration::from_mins;
    if random.random_range(0..100) < URGENT {
        let soon = [Duration::from_secs(30), minutes(2), minutes(5)];
        return (true, Some(soon[random.random_range(0..3_usize)]));
    }
    let later = [None, None, Some(minutes(180)), Some(minutes(24 * 60))];
    (false, later[random.random_range(0..4_usize)])
}

/// Text of so many tokens, at four bytes each.
fn words(tokens: usize, random: &mut impl Rng) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu",
        "va",
    ];
    let mut text = String::with_capacity(tokens * 4);
    while text.len() < tokens * 4 {
        for _ in 0..random.random_range(1..5) {
            text.push_str(SYLLABLES[random.random_range(0..SYLLABLES.len())]);
        }
        text.push_str(if random.random_range(0..12) == 0 {
            ". "
        } else {
            " "
        });
    }
    text.truncate(tokens * 4);
    text
}

/// A place below `n` for a share below one.
fn place(share: f64, n: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some dozens"
    )]
    let place = (share * n as f64) as usize;
    place.min(n - 1)
}

#[cfg(test)]
mod tests {
    use super::{DAY, day};

    #[test]
    fn a_day_is_what_is_published() {
        let jobs = day(2_000, 1, "claude-haiku-5-5").unwrap();
        assert_eq!(jobs.len(), 2_000);
        assert!(jobs.is_sorted_by_key(|job| job.at) && jobs[1_999].at <= DAY);
        let percent = |n: usize| n * 100 / 2_000;
        let urgent = jobs.iter().filter(|job| job.urgent).count();
        assert!((32..=38).contains(&percent(urgent)), "{urgent} are urgent");
        let mut bodies: Vec<_> = jobs.iter().map(|job| (job.tenant, &job.params)).collect();
        bodies.sort_unstable();
        bodies.dedup();
        let twice = percent(2_000 - bodies.len());
        assert!((2..=5).contains(&twice), "{twice} % repeat another");
        assert!(
            jobs.iter()
                .all(|job| job.prefix.is_some_and(|prefix| prefix.tokens >= 3_000))
        );
    }
}
