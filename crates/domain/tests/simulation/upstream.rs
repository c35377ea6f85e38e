//! Anthropic as the rules meet it: it stores, hides for a while, ends, bills.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::time::{MINUTE, Ms, SECOND};

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Succeeded,
    Invalid,
    Overloaded,
    Expired,
}

/// One message batch.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Of which batch of ours; none for somebody else's.
    pub(crate) of: Option<usize>,
    pub(crate) created_at: Ms,
    /// When its create arrived, on our clock.
    pub(crate) arrived_at: Ms,
    pub(crate) visible_at: Ms,
    /// When somebody first saw it in one.
    pub(crate) seen_at: Option<Ms>,
    pub(crate) ends_at: Ms,
    /// How many; its counts say so from the beginning.
    pub(crate) total: u64,
    pub(crate) lines: Vec<(usize, Kind)>,
}

/// How this run's Anthropic behaves.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Longest time from a create to its being listed; also longer than is waited.
    pub(crate) lag: Ms,
    /// Chance that a create goes wrong in some way.
    pub(crate) trouble: f64,
    /// Chance that a download breaks off.
    pub(crate) cut: f64,
    /// Chance that a listing leaves a batch out that it could show.
    pub(crate) flaps: f64,
    /// How far its clock is off, either way.
    pub(crate) skew: i64,
    /// Somebody else uses the workspace.
    pub(crate) shared: bool,
}

impl Manner {
    pub(crate) fn draw(rng: &mut StdRng, settle: Ms) -> Self {
        let trouble = [0.05, 0.3, 0.8][rng.random_range(0..3)];
        Self {
            lag: [0, 5 * SECOND, settle / 2, settle - SECOND, 3 * settle][rng.random_range(0..5)],
            trouble,
            cut: [0.0, 0.3][rng.random_range(0..2)],
            flaps: [0.0, 0.05][rng.random_range(0..2)],
            skew: rng.random_range(-600_000..=600_000),
            shared: rng.random_bool(0.3),
        }
    }
}

/// What a create is answered with, and whether it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored(usize),
    NotStored,
    TooLarge,
    /// A 500, or nothing at all.
    Unclear,
}

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) remotes: Vec<Remote>,
    pub(crate) manner: Manner,
}

impl Upstream {
    /// A create has arrived whole.
    pub(crate) fn create(
        &mut self,
        of: Option<usize>,
        jobs: &[usize],
        now: Ms,
        rng: &mut StdRng,
    ) -> Answer {
        let trouble = of.is_some() && rng.random_bool(self.manner.trouble);
        let fate = if trouble { rng.random_range(0..5) } else { 9 };
        match fate {
            0 => return Answer::NotStored,
            1 if jobs.len() > 1 => return Answer::TooLarge,
            2 => return Answer::Unclear,
            _ => {}
        }
        let lag = rng.random_range(0..=self.manner.lag);
        let lines = jobs.iter().map(|&job| (job, kind(rng))).collect();
        let created_at = now.saturating_add_signed(self.manner.skew);
        self.remotes.push(Remote {
            of,
            created_at,
            arrived_at: now,
            visible_at: now + lag,
            seen_at: None,
            ends_at: now + rng.random_range(1..60) * MINUTE,
            total: jobs.len() as u64,
            lines,
        });
        if fate < 9 {
            // Stored, and the answer is lost or says nothing.
            return Answer::Unclear;
        }
        Answer::Stored(self.remotes.len() - 1)
    }
}

fn kind(rng: &mut StdRng) -> Kind {
    match rng.random_range(0..20) {
        0 => Kind::Invalid,
        1 | 2 => Kind::Overloaded,
        3 => Kind::Expired,
        _ => Kind::Succeeded,
    }
}
