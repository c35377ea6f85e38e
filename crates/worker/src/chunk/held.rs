//! The lines that are held: those of one transaction.

use std::collections::HashMap;

use offpeak_domain::id::JobId;
use offpeak_domain::job::Lane;
use offpeak_domain::job_type::OutputChecker;
use offpeak_domain::quarantine::Flaw;
use offpeak_domain::settle;
use offpeak_store::quarantine::Flawed;
use offpeak_store::settle::{Effect, Odd, Released};
use rand::RngExt as _;
use time::Date;

use super::{Ours, Said, effect};
use crate::worker::Setting;

/// The lines of one transaction.
#[derive(Default)]
pub(crate) struct Lines {
    ours: Vec<Ours>,
    /// Flawed lines that name no job of the batch.
    others: Vec<Flawed>,
    bytes: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, line: Ours) {
        self.bytes += line.bytes.len();
        self.ours.push(line);
    }

    pub(crate) fn extend(&mut self, line: Option<Ours>) {
        if let Some(line) = line {
            self.push(line);
        }
    }

    /// Adds a line that names no job of the batch.
    pub(crate) fn push_other(&mut self, line: Flawed) {
        self.others.push(line);
    }

    pub(crate) fn len(&self) -> usize {
        self.ours.len() + self.others.len()
    }

    /// Whether it is to be settled now, by its number of lines and their bytes.
    pub(crate) fn is_full(&self, lines: usize, bytes: usize) -> bool {
        self.len() >= lines || self.bytes >= bytes
    }

    /// Whether the next chunk may come down while this one is settled. One that
    /// holds a very long line is settled alone, so that both together never
    /// hold more than three times `bytes` and the line that was read last.
    pub(crate) fn leaves_room(&self, bytes: usize) -> bool {
        self.bytes <= 2 * bytes
    }

    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.ours.iter().map(|line| line.job).collect()
    }

    /// The two halves, or itself again when it is a single line.
    pub(crate) fn halves(mut self) -> std::result::Result<(Self, Self), Self> {
        if self.ours.len() < 2 {
            return Err(self);
        }
        let second = self.ours.split_off(self.ours.len() / 2);
        Ok((
            Self {
                ours: self.ours,
                others: self.others,
                bytes: 0,
            },
            Self {
                ours: second,
                ..Self::default()
            },
        ))
    }

    /// The same lines, not to be read any more.
    pub(crate) fn into_unreadable(mut self) -> Self {
        for line in &mut self.ours {
            line.said = Said::unreadable();
            line.flaw = Some(Flaw::Refused);
        }
        self
    }

    /// Whether the answers to these params fit the schemas in them. Of two lines
    /// for one job the first counts.
    pub(crate) fn check(
        &self,
        params: &HashMap<JobId, Vec<u8>>,
        checker: &mut OutputChecker,
        fits: &mut HashMap<JobId, bool>,
    ) {
        for line in self.ours.iter().rev() {
            if let Some(params) = params.get(&line.job) {
                fits.remove(&line.job);
                fits.extend(line.fits(params, checker).map(|fits| (line.job, fits)));
            }
        }
    }

    /// Those lines whose job is not among the released: replays, most likely.
    pub(crate) fn replays(&self, released: &HashMap<JobId, Released>) -> Vec<(JobId, [u8; 32])> {
        self.ours
            .iter()
            .filter(|line| !released.contains_key(&line.job))
            .map(|line| (line.job, line.hash))
            .collect()
    }

    /// What is to be put aside of these lines. `odd` names those of the replays
    /// that are none, by their place among them.
    pub(crate) fn flawed(
        &self,
        released: &HashMap<JobId, Released>,
        odd: &HashMap<usize, Odd>,
    ) -> Vec<Flawed> {
        let mut flawed = self.others.clone();
        let mut replay = 0;
        for (at, line) in self.ours.iter().enumerate() {
            if odd.is_empty() && line.flaw.is_none() && !line.again {
                continue;
            }
            let flaw = if released.contains_key(&line.job) {
                // The first line of a job takes effect. Only one that comes again
                // is worth a search for it.
                let first = line
                    .again
                    .then(|| self.ours[..at].iter().find(|first| first.job == line.job))
                    .flatten();
                match first {
                    Some(first) if first.hash == line.hash => Some(Flaw::DuplicateId),
                    Some(_) => Some(Flaw::Conflict),
                    None => line.flaw,
                }
            } else {
                replay += 1;
                match odd.get(&(replay - 1)) {
                    Some(Odd::Conflicting) => Some(Flaw::Conflict),
                    Some(Odd::Unknown) => Some(Flaw::UnknownId),
                    None if line.again => Some(Flaw::DuplicateId),
                    None => line.flaw,
                }
            };
            flawed.extend(flaw.map(|flaw| line.flawed(flaw)));
        }
        flawed
    }

    /// One effect for each job that was taken out of flight; the other lines are
    /// replays. A second line of the same job finds it gone.
    pub(crate) fn effects(
        &self,
        setting: &Setting,
        (lane, day): (Lane, Date),
        released: &mut HashMap<JobId, Released>,
        fits: &HashMap<JobId, bool>,
    ) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(released.len());
        let mut random = setting.random();
        for line in &self.ours {
            let Some(row) = released.remove(&line.job) else {
                continue;
            };
            let mut said = line.said.clone();
            if let settle::Line::Succeeded { schema_ok, .. } = &mut said.line {
                *schema_ok = fits.get(&line.job).copied();
            }
            let of = (lane, day);
            effects.push(effect(setting, of, line, said, row, random.random()));
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::chunk::{Sorted, sort};
    use bytes::Bytes;
    use offpeak_anthropic::Line;
    use offpeak_domain::id::{BatchId, CustomId, JobId};
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    use uuid::Uuid;

    const CHUNK: usize = 4000;
    const LONGEST: usize = 32_000;

    fn batch() -> BatchId {
        BatchId::from_uuid(Uuid::from_u128(2))
    }

    /// A line of ours of about this length.
    fn line(length: usize) -> Line {
        let id = CustomId {
            job: JobId::from_uuid(Uuid::from_u128(1)),
            batch: batch(),
        };
        let text = format!("{{\"custom_id\":\"{id}\"{}", " ".repeat(length));
        Line::Whole {
            bytes: Bytes::from(text),
            terminated: true,
        }
    }

    #[test]
    fn two_chunks_hold_a_bounded_number_of_bytes() {
        let mut random = StdRng::seed_from_u64(3);
        let (mut settled, mut most) = (Lines::default(), 0);
        for _ in 0..2000 {
            let mut next = Lines::default();
            while !next.is_full(100, CHUNK) {
                let length = match random.random_range(0..20) {
                    0 => LONGEST,
                    _ => random.random_range(0..CHUNK),
                };
                let Sorted::Ours(line) = sort(line(length), batch()) else {
                    panic!("it is ours");
                };
                next.push(line);
            }
            most = most.max(settled.bytes + next.bytes);
            settled = next;
            if !settled.leaves_room(CHUNK) {
                settled = Lines::default();
            }
        }
        let names = 200;
        assert!(most > LONGEST + CHUNK, "it was tried: {most}");
        assert!(most <= 3 * CHUNK + LONGEST + names, "{most}");
    }
}
