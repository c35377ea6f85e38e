//! What the planner's parameters cost and gain: recorded arrivals and one night's
//! upload, planned by the real planner in virtual time. No server, no database.
//!
//! What is not recorded is how long Anthropic takes: a batch takes five minutes and
//! two more for each thousand requests in it. That is assumed, so what is said here
//! is about the choices among each other, not about Anthropic.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::say;
use offpeak_domain::id::{BucketId, TenantId};
use offpeak_domain::plan::{BucketFacts, Budget, Held, Limits, Pace, TenantShare, plan};
use time::OffsetDateTime;
use uuid::Uuid;

/// Author times of a year's commits to a public repository, as one working day.
const WORKING_DAY: &str = include_str!("../../arrivals/working-day.csv");
/// Each of them stands for somebody who sends so many documents.
const DOCUMENTS: u32 = 20;
/// Every fourth of these wants its results within so many seconds.
const SOON: u64 = 90 * 60;
/// What is uploaded at two in the morning, due twenty minutes later.
const NIGHT: (u64, u32, u64) = (2 * 3_600, 60_000, 2 * 3_600 + 20 * 60);
/// The same day among so many tenants, so much faster: in six minutes, with more
/// to send than there are creates for.
const RUSH: (u128, u64) = (80, 240);
/// Of a small organization.
const CREATES_PER_MINUTE: u32 = 50;
const QUEUE: u64 = 200_000;

const PACE: Pace = Pace {
    least: Duration::from_mins(5),
    per_thousand: Duration::from_mins(2),
};

/// A job that comes.
#[derive(Clone, Copy)]
struct Job {
    at: u64,
    tenant: u128,
    deadline: Option<u64>,
}

/// What came of a pattern under a choice of parameters.
#[derive(Default)]
struct Came {
    minutes: Samples,
    creates: u32,
    missed: u32,
}

fn main() -> Result<()> {
    let day = working_day(1, 1)?;
    let patterns = [
        ("day", day),
        ("rush", working_day(RUSH.0, RUSH.1)?),
        ("night", night()),
    ];
    let choices: Vec<(&str, Limits)> = choices().collect();
    let mut figures = Figures::new("plan");
    let mut missed = 0;
    let mut worst: f64 = 0.0;
    for (pattern, jobs) in &patterns {
        let mut best = f64::INFINITY;
        let mut shipped = None;
        for (choice, limits) in &choices {
            let came = live(jobs, limits);
            let (mean, p95) = (mean(&came.minutes), came.minutes.quantile(0.95));
            say(format_args!(
                "{pattern:<8} {choice:<22} mean {mean:>6.1} min, 95 % {p95:>6.1} min, {:>5} creates, {:>5} missed",
                came.creates, came.missed
            ));
            let creates = f64::from(came.creates);
            let shipped = shipped.get_or_insert((mean, creates));
            // To be compared with: what keeps as many deadlines for twice the creates.
            if creates <= 2.0 * shipped.1 {
                best = best.min(mean);
            }
            if *choice == "shipped" {
                missed += came.missed;
                figures.note(&format!("{pattern}_mean_min"), mean);
                figures.note(&format!("{pattern}_p95_min"), p95);
                figures.note(&format!("{pattern}_creates"), creates);
            }
            if *choice == "size unknown" {
                figures.note(&format!("{pattern}_mean_min_size_unknown"), mean);
                figures.note(
                    &format!("{pattern}_missed_size_unknown"),
                    f64::from(came.missed),
                );
            }
        }
        let (mean, _) = shipped.unwrap_or_default();
        worst = worst.max(mean / best);
    }
    figures.note("deadlines_missed", f64::from(missed));
    figures.note("mean_over_best", worst);
    figures.end()
}

/// The shipped parameters first, where it is known how long batches take.
fn choices() -> impl Iterator<Item = (&'static str, Limits)> {
    let shipped = Limits {
        pace: Some(PACE),
        ..Limits::default()
    };
    let flush = |seconds| Duration::from_secs(seconds);
    [
        ("shipped", shipped),
        ("size unknown", Limits::default()),
        (
            "1,000 items",
            Limits {
                max_items: 1_000,
                ..Limits::default()
            },
        ),
        (
            "100,000 items",
            Limits {
                max_items: 100_000,
                ..Limits::default()
            },
        ),
        (
            "flush after 15 s",
            Limits {
                flush_after: flush(15),
                ..shipped
            },
        ),
        (
            "flush after 5 min",
            Limits {
                flush_after: flush(300),
                ..shipped
            },
        ),
        (
            "idle after 1 s",
            Limits {
                idle_after: flush(1),
                ..shipped
            },
        ),
        (
            "idle after 30 s",
            Limits {
                idle_after: flush(30),
                ..shipped
            },
        ),
    ]
    .into_iter()
}

fn working_day(tenants: u128, faster: u64) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    let lines = WORKING_DAY.lines().filter(|line| !line.starts_with('#'));
    for (place, line) in lines.enumerate() {
        let (at, count) = line.split_once(',').context("a line of arrivals")?;
        let (at, count): (u64, u32) = (at.parse::<u64>()? / faster, count.parse()?);
        let deadline = place.is_multiple_of(4).then_some(at + SOON);
        let tenant = place as u128 % tenants;
        let job = Job {
            at,
            tenant,
            deadline,
        };
        jobs.extend((0..count * DOCUMENTS).map(|_| job));
    }
    Ok(jobs)
}

fn night() -> Vec<Job> {
    let (at, count, due) = NIGHT;
    let job = Job {
        at,
        tenant: 0,
        deadline: Some(due),
    };
    (0..count).map(|_| job).collect()
}

/// Plans every second until all have come back.
fn live(jobs: &[Job], limits: &Limits) -> Came {
    let time_of = |second: u64| OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second);
    let mut waiting: BTreeMap<u128, VecDeque<Job>> = BTreeMap::new();
    let mut vtimes: BTreeMap<TenantId, i64> = BTreeMap::new();
    // When each create was made, and when each batch ends, with its size.
    let mut creates: VecDeque<u64> = VecDeque::new();
    let mut open: Vec<(u64, u64)> = Vec::new();
    let mut came = Came::default();
    let mut next = 0;
    let mut second = 0;
    while next < jobs.len() || waiting.values().any(|queue| !queue.is_empty()) {
        while let Some(job) = jobs.get(next).filter(|job| job.at <= second) {
            waiting.entry(job.tenant).or_default().push_back(*job);
            next += 1;
        }
        creates.retain(|at| *at + 60 > second);
        open.retain(|(ends, _)| *ends > second);
        let facts: Vec<BucketFacts> = waiting
            .iter()
            .filter_map(|(tenant, queue)| facts(*tenant, queue, &time_of))
            .collect();
        let made = u32::try_from(creates.len()).unwrap_or(u32::MAX);
        let queued: u64 = open.iter().map(|(_, items)| items).sum();
        let budget = Budget {
            creates_left: CREATES_PER_MINUTE.saturating_sub(made),
            creates_per_minute: CREATES_PER_MINUTE,
            queue_left: QUEUE.saturating_sub(queued),
            shared: None,
        };
        let shares: Vec<TenantShare> = facts
            .iter()
            .map(|facts| TenantShare {
                tenant: facts.tenant,
                weight: 100,
                vtime: vtimes.get(&facts.tenant).copied().unwrap_or(0),
                held: Held::default(),
            })
            .collect();
        let plan = plan(time_of(second), &facts, &shares, limits, &budget);
        vtimes = plan.shares.into_iter().collect();
        for close in plan.close {
            let tenant = close.tenant.as_uuid().as_u128();
            let Some(queue) = waiting.get_mut(&tenant) else {
                continue;
            };
            let size = queue.len().min(close.max_items as usize);
            let items = u32::try_from(size).unwrap_or(u32::MAX);
            let ends = second + PACE.time(items).as_secs();
            for job in queue.drain(..size) {
                #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
                came.minutes.push((ends - job.at) as f64 / 60.0);
                came.missed += u32::from(job.deadline.is_some_and(|due| ends > due));
            }
            creates.push_back(second);
            open.push((ends, u64::from(items)));
            came.creates += 1;
        }
        second += 1;
    }
    came
}

fn facts(
    tenant: u128,
    queue: &VecDeque<Job>,
    time_of: &impl Fn(u64) -> OffsetDateTime,
) -> Option<BucketFacts> {
    let (first, last) = (queue.front()?, queue.back()?);
    let id = Uuid::from_u128(tenant);
    Some(BucketFacts {
        tenant: TenantId::from_uuid(id),
        bucket: BucketId::from_uuid(id),
        items: queue.len() as u64,
        bytes: queue.len() as u64 * 3_000,
        oldest: time_of(first.at),
        newest: time_of(last.at),
        earliest_deadline: queue
            .iter()
            .filter_map(|job| job.deadline)
            .min()
            .map(time_of),
        item_cap: None,
    })
}

fn mean(samples: &Samples) -> f64 {
    let count = samples.count();
    #[expect(
        clippy::cast_precision_loss,
        reason = "far fewer than a float can count"
    )]
    let count = count.max(1) as f64;
    samples.sum() / count
}
